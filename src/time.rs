//! Instants and durations as people read them. No clock: whoever needs the time is given it.

use serde::{Deserialize, Serialize};
use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Milliseconds since 1970-01-01T00:00:00Z. Signed, so that a clock set before 1970 is merely odd.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Timestamp(pub i64);

/// The end of the year 9999: RFC 3339 has no later one. A clock that far ahead is merely odd, too.
const END_OF_YEARS: i64 = 253_402_300_799_000;

impl Timestamp {
    /// How long after `earlier` this is; zero when the clock went backwards.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// The instant `by` later; saturates.
    pub fn after(self, by: Duration) -> Timestamp {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Timestamp(self.0.saturating_add(ms))
    }

    /// The same instant for the standard library; instants before 1970 become 1970.
    pub fn to_system(self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }
}

impl From<SystemTime> for Timestamp {
    fn from(at: SystemTime) -> Self {
        let ms = |d: Duration| i64::try_from(d.as_millis()).unwrap_or(i64::MAX);
        match at.duration_since(UNIX_EPOCH) {
            Ok(after) => Timestamp(ms(after)),
            Err(before) => Timestamp(-ms(before.duration())),
        }
    }
}

/// RFC 3339 in UTC with seconds: `2026-03-02T09:14:02Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = Timestamp(self.0.min(END_OF_YEARS)).to_system();
        f.pad(&humantime::format_rfc3339_seconds(shown).to_string())
    }
}

/// A duration in its two largest units: `0.4s`, `22s`, `1m 03s`, `3h 24m`, `3d 4h`.
pub fn two_units(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    if seconds < 2 && duration.subsec_millis() >= 50 {
        format!("{:.1}s", duration.as_secs_f64())
    } else if seconds < 60 {
        format!("{seconds}s")
    } else if seconds < 3_600 {
        format!("{minutes}m {:02}s", seconds % 60)
    } else if days == 0 {
        format!("{hours}h {minutes:02}m")
    } else {
        format!("{days}d {hours}h")
    }
}

/// Reads a duration such as `10s`, `1h 30m`, `2d`.
///
/// # Errors
/// A sentence that names the text and shows what is accepted.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|_| format!("\"{text}\" is no duration: write 10s, 5m, 1h 30m or 2d"))
}

/// Writes a duration so that [`parse_duration`] reads it back.
pub fn format_duration(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_show_two_units() {
        let shown = |ms| two_units(Duration::from_millis(ms));
        assert_eq!(shown(0), "0s");
        assert_eq!(shown(400), "0.4s");
        assert_eq!(shown(22_000), "22s");
        assert_eq!(shown(63_000), "1m 03s");
        assert_eq!(shown(12_240_000), "3h 24m");
        assert_eq!(shown(273_600_000), "3d 4h");
    }

    #[test]
    fn instants_print_as_rfc_3339_and_tolerate_a_clock_set_back() {
        let at = Timestamp(1_772_442_842_000);
        assert_eq!(at.to_string(), "2026-03-02T09:14:02Z");
        assert_eq!(Timestamp(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp::from(at.to_system()), at);
    }

    #[test]
    fn durations_read_back() {
        let day = Duration::from_secs(86_400);
        assert_eq!(parse_duration(&format_duration(day)), Ok(day));
        assert!(parse_duration("soon").unwrap_err().contains("\"soon\""));
    }
}

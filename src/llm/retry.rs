//! When to ask again: backoff without a random source, and what `Retry-After` says.

use std::time::Duration;

/// The longest that a server is believed to mean.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// How long to wait before attempt `attempt` (the first repetition is 1): doubling from `base` to `cap`, and of that between half and all,
/// by a function of the question and the attempt, so that many that failed together do not come back together and a
/// run can be repeated.
pub fn backoff(base: Duration, cap: Duration, key: u64, attempt: u32) -> Duration {
    let doubled = base
        .saturating_mul(1_u32 << attempt.saturating_sub(1).min(20))
        .min(cap);
    let bits = mix(key ^ u64::from(attempt).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let unit = (bits >> 11) as f64 / (1_u64 << 53) as f64;
    doubled.mul_f64(0.5 + 0.5 * unit)
}

/// A bijection that spreads nearby numbers (the finaliser of SplitMix64).
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ bits >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ bits >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ bits >> 31
}

/// What a `Retry-After` header means: seconds, or an instant, which is held against the answer's own `Date`, so that clocks need
/// not agree, or against `now` (seconds since 1970) where it has none.
pub fn retry_after(value: &str, date: Option<&str>, now: i64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        let usable = seconds.is_finite() && seconds >= 0.0;
        return usable.then(|| Duration::from_secs_f64(seconds.min(LONGEST.as_secs_f64())));
    }
    let at = http_date(value)?;
    let from = date.and_then(|date| http_date(date.trim())).unwrap_or(now);
    let seconds = u64::try_from(at - from).unwrap_or(0);
    Some(Duration::from_secs(seconds).min(LONGEST))
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`; the two older spellings of HTTP are read too.
fn http_date(text: &str) -> Option<i64> {
    let words: Vec<&str> = text
        .split([' ', ',', '-'])
        .filter(|word| !word.is_empty())
        .collect();
    let (day, month, year, clock) = match words[..] {
        [_, day, month, year, clock, "GMT" | "UTC"] => (day, month, year, clock),
        // asctime: `Sun Nov  6 08:49:37 1994`
        [_, month, day, clock, year] => (day, month, year, clock),
        _ => return None,
    };
    const MONTHS: [&str; 12] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ];
    let month = MONTHS.iter().position(|name| *name == month)? as i64 + 1;
    let day: i64 = day.parse().ok().filter(|day| (1..=31).contains(day))?;
    let year = match (year.len(), year.parse::<i64>().ok()?) {
        (2, year) if year < 70 => 2000 + year,
        (2, year) => 1900 + year,
        (4, year) => year,
        _ => return None,
    };
    let parts: Vec<i64> = clock
        .split(':')
        .map(|part| part.parse().ok())
        .collect::<Option<_>>()?;
    let [hours @ 0..24, minutes @ 0..60, seconds @ 0..=60] = parts[..] else {
        return None;
    };
    Some(days(year, month, day) * 86_400 + hours * 3_600 + minutes * 60 + seconds)
}

/// Days since 1970-01-01 of a Gregorian date; the year is taken to begin in March, so that the leap day is its last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap_and_spread() {
        let (base, cap) = (Duration::from_secs(1), Duration::from_secs(30));
        for attempt in 1..70 {
            let full = base.saturating_mul(1 << (attempt - 1).min(20)).min(cap);
            for key in 0..50 {
                let wait = backoff(base, cap, key, attempt);
                assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
                assert_eq!(wait, backoff(base, cap, key, attempt));
            }
        }
        let mut waits: Vec<Duration> = (0..100).map(|key| backoff(base, cap, key, 1)).collect();
        waits.sort();
        let mean = waits.iter().sum::<Duration>() / 100;
        assert!(
            mean > Duration::from_millis(700) && mean < Duration::from_millis(800),
            "{mean:?}"
        );
        waits.dedup();
        assert_eq!(waits.len(), 100);
    }

    #[test]
    fn retry_after_is_read_in_every_spelling() {
        let read =
            |value, date| retry_after(value, date, 784_111_777 - 60).map(|wait| wait.as_secs());
        assert_eq!(read("7", None), Some(7));
        assert_eq!(
            retry_after(" 0.5 ", None, 0),
            Some(Duration::from_millis(500))
        );
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT", None), Some(60));
        assert_eq!(read("Sunday, 06-Nov-94 08:49:37 GMT", None), Some(60));
        assert_eq!(read("Sun Nov  6 08:49:37 1994", None), Some(60));
        let date = Some("Sun, 06 Nov 1994 08:49:07 GMT");
        assert_eq!(
            read("Sun, 06 Nov 1994 08:49:37 GMT", date),
            Some(30),
            "by the server's clock"
        );
        assert_eq!(read("Sun, 06 Nov 1994 08:49:00 GMT", date), Some(0), "past");
        assert_eq!(read("1e300", None), Some(24 * 3600));
        for odd in [
            "soon",
            "",
            "-1",
            "NaN",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 25:49:37 GMT",
        ] {
            assert_eq!(read(odd, None), None, "{odd}");
        }
        assert_eq!(
            http_date("Thu, 29 Feb 2024 00:00:00 GMT"),
            Some(1_709_164_800)
        );
        assert_eq!(http_date("Thu, 01 Jan 1970 00:00:00 GMT"), Some(0));
    }
}

//! Values as a trace writes them: for people (`4h 12m 10s`, `7.4 MB`, `97.3%`) or raw (`15130000`, `7759462`, `97.3`).

/// A number that is not negative, exact to the thousandth, so that sums of displayed values are exact too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Milli(pub u64);

impl Milli {
    /// The number, in its unit.
    pub fn as_f64(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

/// A duration in milliseconds: the sum of its parts (`1h 5s`, `13.9s`, `350ms`), or a bare number of milliseconds.
pub fn duration(text: &str) -> Option<Milli> {
    let mut rest = text.as_bytes();
    let (mut total, mut parts) = (0_u64, 0);
    loop {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return (parts > 0).then_some(Milli(total));
        }
        let (number, after) = number_and_rest(rest);
        let letters = after.iter().take_while(|b| b.is_ascii_alphabetic()).count();
        let milliseconds = match &after[..letters] {
            b"ms" => 1,
            b"s" => 1_000,
            b"m" => 60_000,
            b"h" => 3_600_000,
            b"d" => 86_400_000,
            // A bare number is the whole text.
            b"" if parts == 0 && after.is_empty() => 1,
            _ => return None,
        };
        total = total.checked_add(scaled(number, milliseconds)?.0)?;
        (parts, rest) = (parts + 1, &after[letters..]);
    }
}

/// A size in bytes: units are powers of 1,024 (`1016 B`, `7.4 MB`); a bare number is bytes.
pub fn size(text: &str) -> Option<Milli> {
    let (number, after) = number_and_rest(text.trim().as_bytes());
    let shift = match after.trim_ascii() {
        b"" | b"B" => 0,
        b"KB" => 10,
        b"MB" => 20,
        b"GB" => 30,
        b"TB" => 40,
        b"PB" => 50,
        _ => return None,
    };
    scaled(number, 1 << shift)
}

/// A percentage in percent, with its sign or bare; above a hundred for more than one processor.
pub fn percent(text: &str) -> Option<Milli> {
    let text = text.trim();
    let number = text.strip_suffix('%').unwrap_or(text);
    scaled(number.trim_end().as_bytes(), 1)
}

/// A count, such as of processors.
pub fn count(text: &str) -> Option<Milli> {
    scaled(text.trim().as_bytes(), 1)
}

/// An instant in milliseconds: of the epoch where the trace is raw, or else of the wall clock that wrote it, whose zone
/// it does not say. Instants of one trace may be subtracted.
pub fn instant(text: &str) -> Option<i64> {
    let text = text.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok();
    }
    let (date, clock) = text.split_once([' ', 'T'])?;
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let mut parts = clock.trim_end_matches('Z').splitn(3, ':');
    let hour: i64 = parts.next()?.parse().ok()?;
    let minute: i64 = parts.next()?.parse().ok()?;
    let second = scaled(parts.next()?.as_bytes(), 1)?.0;
    let right = (1..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && second < 61_000;
    let second = i64::try_from(second).ok()?;
    let hours = days(year, month, day) * 24 + hour;
    right.then(|| (hours * 60 + minute) * 60_000 + second)
}

/// An instant as a trace shows it: `2021-03-04 21:06:07.625`.
pub fn shown(instant: i64) -> String {
    let (day, rest) = (
        instant.div_euclid(86_400_000),
        instant.rem_euclid(86_400_000),
    );
    let (year, month, date) = civil(day);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1_000 % 60);
    let thousandth = rest % 1_000;
    format!("{year:04}-{month:02}-{date:02} {hour:02}:{minute:02}:{second:02}.{thousandth:03}")
}

/// Days since 1970-01-01 in the Gregorian calendar (the algorithm of Howard Hinnant's `days_from_civil`).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The reverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    (year + era * 400 + i64::from(month <= 2), month, day)
}

fn number_and_rest(text: &[u8]) -> (&[u8], &[u8]) {
    let digits = text
        .iter()
        .take_while(|b| b.is_ascii_digit() || **b == b'.');
    text.split_at(digits.count())
}

/// A decimal number times a whole one; none where it is no number or does not fit.
fn scaled(number: &[u8], factor: u64) -> Option<Milli> {
    let (mut mantissa, mut places, mut point) = (0_u64, 0_u32, false);
    for &byte in number {
        match byte {
            // Finer digits than these are below any step of the result.
            b'0'..=b'9' if places == 9 => {}
            b'0'..=b'9' => {
                mantissa = mantissa
                    .checked_mul(10)?
                    .checked_add(u64::from(byte - b'0'))?;
                places += u32::from(point);
            }
            b'.' if !point => point = true,
            _ => return None,
        }
    }
    if number.is_empty() || number == b"." {
        return None;
    }
    if places <= 3 {
        let step = factor.checked_mul(10_u64.pow(3 - places))?;
        return mantissa.checked_mul(step).map(Milli);
    }
    let unit = 10_u128.pow(places - 3);
    let exact = u128::from(mantissa).checked_mul(u128::from(factor))?;
    u64::try_from((exact + unit / 2) / unit).ok().map(Milli)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Option<f64> {
        duration(text).map(Milli::as_f64)
    }

    #[test]
    fn durations_are_sums_of_their_parts() {
        for (text, expected) in [
            ("4h 12m 10s", 15_130_000.0),
            ("1h 5s", 3_605_000.0),
            ("1h", 3_600_000.0),
            ("2d 1ms", 172_800_001.0),
            ("2m", 120_000.0),
            ("13.9s", 13_900.0),
            ("350ms", 350.0),
            ("0ms", 0.0),
            ("82279", 82_279.0),
            ("0", 0.0),
        ] {
            assert_eq!(ms(text), Some(expected), "{text}");
        }
        for text in [
            "", "s", "5 s", "5x", "5s 3", "-5s", "1.2.3s", ".", "3 4", "NaN",
        ] {
            assert_eq!(ms(text), None, "{text}");
        }
        assert_eq!(ms("99999999999999999999d"), None);
    }

    #[test]
    fn sizes_count_in_powers_of_1024() {
        let bytes = |text: &str| size(text).map(Milli::as_f64);
        assert_eq!(bytes("1016 B"), Some(1016.0));
        assert_eq!(bytes("7.4 MB"), Some(7_759_462.4));
        assert_eq!(bytes("22.6 GB"), Some(24_266_565_222.4));
        assert_eq!(bytes("1 TB"), Some(1_099_511_627_776.0));
        assert_eq!(bytes("4294967296"), Some(4_294_967_296.0));
        assert_eq!(bytes("0.123456 KB"), Some(126.419));
        for text in ["", "MB", "7.4 XB", "-1", "1,5 GB", "999999999999 PB"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }

    #[test]
    fn percentages_have_their_sign_or_none() {
        assert_eq!(percent("2003.5%"), Some(Milli(2_003_500)));
        assert_eq!(percent("95.9"), Some(Milli(95_900)));
        assert_eq!(percent("%"), None);
    }

    #[test]
    fn instants_are_of_the_epoch_or_of_the_clock() {
        assert_eq!(instant("1719455677245"), Some(1_719_455_677_245));
        assert_eq!(instant("2024-06-27 02:34:37.245"), Some(1_719_455_677_245));
        assert_eq!(instant("2024-06-27 02:34:37"), Some(1_719_455_677_000));
        for text in [
            "",
            "-",
            "2024-13-01 00:00:00",
            "2024-06-27",
            "yesterday noon",
            "2024-06-27 25:00:00",
        ] {
            assert_eq!(instant(text), None, "{text}");
        }
        for at in [0, 951_782_400_000, 1_709_164_800_001, 253_402_300_799_999] {
            assert_eq!(instant(&shown(at)), Some(at), "{}", shown(at));
        }
    }
}

//! Scans numbers out of log lines: whole counts with `k`/`M`/`G` suffixes, and decimals.
//!
//! A number counts only when it stands alone. `-5`, `nan`, `inf`, `0.82s`, `1.2.3` and `0,82` give nothing, because guessing
//! what they mean would put a wrong value where an absent one is harmless.

/// No counter of samples is larger; what claims to be is absurd and ignored.
const LARGEST: u64 = 1_000_000_000_000_000;

/// A count as printed, with the error that its rounding allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    /// The printed value: 34,500 for `34.5k`.
    pub value: u64,
    /// How far the true value may lie from it: 50 for `34.5k`, 0 for `34500`.
    pub slack: u64,
}

impl Count {
    /// A count that was not rounded; `None` when it is absurd.
    pub(super) fn exact(value: u64) -> Option<Self> {
        (value <= LARGEST).then_some(Self { value, slack: 0 })
    }

    /// Whether the true value may be `other`.
    pub(super) fn may_be(self, other: u64) -> bool {
        self.value.abs_diff(other) <= self.slack
    }

    /// Parses a whole token: `190`, `34,500`, `8.22k`, `1.00M`.
    pub(super) fn parse(token: &[u8]) -> Option<Self> {
        let (digits, scale) = match token.split_last()? {
            (b'k' | b'K', digits) => (digits, 1_000),
            (b'M', digits) => (digits, 1_000_000),
            (b'G', digits) => (digits, 1_000_000_000),
            _ => (token, 1),
        };
        match digits.iter().position(|&b| b == b'.') {
            None => {
                Self::exact(whole(digits)?.checked_mul(scale)?).map(|count| count.rounded_to(scale))
            }
            Some(_) if scale == 1 => None,
            Some(dot) => Self::scaled(&digits[..dot], &digits[dot + 1..], scale),
        }
    }

    /// `34` `5` × 1,000: each decimal divides the scale by ten.
    fn scaled(units: &[u8], decimals: &[u8], scale: u64) -> Option<Self> {
        if decimals.len() > 9 {
            return None;
        }
        let step = 10_u64.pow(u32::try_from(decimals.len()).ok()?);
        let unit = scale.checked_div(step).filter(|&unit| unit > 0)?;
        let value = whole(units)?
            .checked_mul(scale)?
            .checked_add(plain(decimals)?.checked_mul(unit)?)?;
        Self::exact(value).map(|count| count.rounded_to(unit))
    }

    fn rounded_to(self, unit: u64) -> Self {
        Self {
            slack: unit / 2,
            ..self
        }
    }
}

/// The bytes of which a count token may consist.
pub(super) fn is_count_byte(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'.' | b',' | b'k' | b'K' | b'M' | b'G')
}

/// Digits, with or without commas between groups of three.
fn whole(digits: &[u8]) -> Option<u64> {
    let mut groups = digits.split(|&b| b == b',');
    let first = groups.next()?;
    let mut value = plain(first)?;
    for group in groups {
        if group.len() != 3 || first.len() > 3 {
            return None;
        }
        value = value.checked_mul(1000)?.checked_add(plain(group)?)?;
    }
    Some(value)
}

/// One or more digits and nothing else.
pub(super) fn plain(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        value.checked_mul(10)?.checked_add(digit)
    })
}

/// The decimal at the start of `bytes` with its length, for instance `0.82`, `1e-3`. What follows is for the caller to judge.
pub(super) fn decimal(bytes: &[u8]) -> Option<(f64, usize)> {
    let run = |from: usize| {
        bytes[from..]
            .iter()
            .take_while(|b| b.is_ascii_digit())
            .count()
    };
    let mut end = run(0);
    if end == 0 {
        return None;
    }
    if bytes.get(end) == Some(&b'.') {
        let decimals = run(end + 1);
        end += if decimals > 0 { decimals + 1 } else { 0 };
    }
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent = if end + 1 + sign < bytes.len() {
            run(end + 1 + sign)
        } else {
            0
        };
        end += if exponent > 0 { 1 + sign + exponent } else { 0 };
    }
    let value: f64 = std::str::from_utf8(&bytes[..end]).ok()?.parse().ok()?;
    value.is_finite().then_some((value, end))
}

/// Whether a number that ends where `rest` begins stands alone.
pub(super) fn ends_cleanly(rest: &[u8]) -> bool {
    match rest {
        [b'.' | b',', next, ..] => !next.is_ascii_digit(),
        [next, ..] => !(next.is_ascii_alphanumeric() || *next == b'_' || *next >= 0x80),
        [] => true,
    }
}

/// A speed in items per second that can be one: finite and not negative.
pub(super) fn speed(value: f64) -> Option<f64> {
    (value.is_finite() && (0.0..=1e12).contains(&value)).then_some(value)
}

/// A share that can be one: 0 to 1, NaN refused.
pub(super) fn share(value: f64) -> Option<f64> {
    (0.0..=1.0).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_carry_their_rounding() {
        for (token, expected) in [
            ("190", Some((190, 0))),
            ("34,500", Some((34_500, 0))),
            ("8.22k", Some((8_220, 5))),
            ("34.5k", Some((34_500, 50))),
            ("10k", Some((10_000, 500))),
            ("1.00M", Some((1_000_000, 5_000))),
            ("1.5", None),
            ("1,50", None),
            ("1234,500", None),
            ("k", None),
            ("", None),
            ("1.2345k", None),
            ("99999999999999999999999", None),
            ("9999999999999999", None),
        ] {
            let count = Count::parse(token.as_bytes()).map(|c| (c.value, c.slack));
            assert_eq!(count, expected, "{token:?}");
        }
    }

    #[test]
    fn decimals_are_finite_and_unsigned() {
        for (text, expected) in [
            ("0.82 |", Some((0.82, 4))),
            ("87%", Some((87.0, 2))),
            ("0.82.", Some((0.82, 4))),
            ("1e-3", Some((1e-3, 4))),
            ("1e", Some((1.0, 1))),
            ("1e+", Some((1.0, 1))),
            ("-0.5", None),
            ("nan", None),
            ("inf", None),
            (".5", None),
            ("1e999", None),
        ] {
            assert_eq!(decimal(text.as_bytes()), expected, "{text:?}");
        }
    }
}

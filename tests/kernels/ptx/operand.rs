//! The operands of an instruction as they are written: names, numbers, vectors, addresses.

/// A number as written.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Literal {
    /// An integer, two's complement in 64 bits.
    Integer(u64),
    /// `0fXXXXXXXX`: the bits of an f32.
    Single(u32),
    /// `0dXXXXXXXXXXXXXXXX` or a decimal with a point: an f64.
    Double(f64),
}

/// An operand as written.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Operand<'a> {
    Name(&'a str),
    /// `!name`.
    Not(&'a str),
    Number(Literal),
    /// `{a, b}`.
    Vector(Vec<Operand<'a>>),
    /// `[base + offset]`.
    Address(Box<Operand<'a>>, i64),
    /// `a|b`: two targets.
    Pair(&'a str, &'a str),
}

/// Splits at commas that stand in no bracket.
pub(crate) fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0);
    for (at, character) in text.char_indices() {
        match character {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(text[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = text[start..].trim();
    if !last.is_empty() {
        parts.push(last);
    }
    parts
}

impl<'a> Operand<'a> {
    /// Reads one operand.
    ///
    /// # Errors
    /// What is neither name, number, vector nor address.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        let text = text.trim();
        let inside = |open, close| {
            text.strip_prefix(open)
                .and_then(|t: &str| t.strip_suffix(close))
        };
        if let Some(list) = inside('{', '}') {
            return Ok(Self::Vector(
                split(list)
                    .into_iter()
                    .map(Self::parse)
                    .collect::<Result<_, _>>()?,
            ));
        }
        if let Some(address) = inside('[', ']') {
            return address_of(address.trim());
        }
        if let Some(name) = text.strip_prefix('!') {
            return Ok(Self::Not(name.trim()));
        }
        if let Some((first, second)) = text.split_once('|') {
            return Ok(Self::Pair(first.trim(), second.trim()));
        }
        if text.starts_with(|c: char| c.is_ascii_digit() || c == '-') {
            return literal(text).map(Self::Number);
        }
        if text.is_empty() || text.contains(char::is_whitespace) {
            return Err(format!("operand `{text}` is not understood"));
        }
        Ok(Self::Name(text))
    }
}

/// `base`, `base+4`, `base+-4`, `base-4` or a number.
fn address_of(text: &str) -> Result<Operand<'_>, String> {
    let cut = text
        .char_indices()
        .skip(1)
        .find(|(_, c)| matches!(c, '+' | '-'));
    let (base, offset) = match cut {
        Some((at, '+')) => (&text[..at], text[at + 1..].trim()),
        Some((at, _)) => (&text[..at], text[at..].trim()),
        None => (text, "0"),
    };
    let Literal::Integer(offset) = literal(offset)? else {
        return Err(format!("offset `{offset}` is no integer"));
    };
    Ok(Operand::Address(
        Box::new(Operand::parse(base)?),
        offset.cast_signed(),
    ))
}

/// Reads a number.
///
/// # Errors
/// What is none.
pub(crate) fn literal(text: &str) -> Result<Literal, String> {
    let wrong = || format!("number `{text}` is not understood");
    let (negative, digits) = text
        .strip_prefix('-')
        .map_or((false, text), |rest| (true, rest));
    if let Some(hex) = digits.strip_prefix("0f").or(digits.strip_prefix("0F")) {
        let bits = u32::from_str_radix(hex, 16).map_err(|_| wrong())?;
        return Ok(Literal::Single(bits ^ u32::from(negative) << 31));
    }
    if let Some(hex) = digits.strip_prefix("0d").or(digits.strip_prefix("0D")) {
        let bits = u64::from_str_radix(hex, 16).map_err(|_| wrong())?;
        return Ok(Literal::Double(f64::from_bits(
            bits ^ u64::from(negative) << 63,
        )));
    }
    if digits.contains('.') {
        return text.parse().map(Literal::Double).map_err(|_| wrong());
    }
    let digits = digits.trim_end_matches('U');
    let value = if let Some(hex) = digits.strip_prefix("0x").or(digits.strip_prefix("0X")) {
        u64::from_str_radix(hex, 16)
    } else if let Some(bits) = digits.strip_prefix("0b").or(digits.strip_prefix("0B")) {
        u64::from_str_radix(bits, 2)
    } else if digits.len() > 1 && digits.starts_with('0') {
        u64::from_str_radix(digits, 8)
    } else {
        digits.parse()
    };
    let value = value.map_err(|_| wrong())?;
    Ok(Literal::Integer(if negative {
        value.wrapping_neg()
    } else {
        value
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let integer = |value: i64| Literal::Integer(value.cast_unsigned());
        for (text, want) in [
            ("42", integer(42)),
            ("-1", integer(-1)),
            ("0x1F", integer(31)),
            ("0b101", integer(5)),
            ("017", integer(15)),
            ("7U", integer(7)),
            ("0f3F800000", Literal::Single(0x3f80_0000)),
            ("0d4000000000000000", Literal::Double(2.0)),
            ("-2.5", Literal::Double(-2.5)),
        ] {
            assert_eq!(literal(text), Ok(want), "{text}");
        }
        assert!(literal("12x").is_err() && literal("").is_err() && literal("0f12").is_ok());
    }

    #[test]
    fn shapes() {
        let address = |base, offset| Operand::Address(Box::new(Operand::Name(base)), offset);
        assert_eq!(Operand::parse("[%rd1+-8]"), Ok(address("%rd1", -8)));
        assert_eq!(Operand::parse("[ name + 4 ]"), Ok(address("name", 4)));
        assert_eq!(Operand::parse("[%rd1]"), Ok(address("%rd1", 0)));
        assert_eq!(Operand::parse("%p1|_"), Ok(Operand::Pair("%p1", "_")));
        assert_eq!(Operand::parse("!%p1"), Ok(Operand::Not("%p1")));
        assert_eq!(
            Operand::parse("{%r1, 5}"),
            Ok(Operand::Vector(vec![
                Operand::Name("%r1"),
                Operand::Number(Literal::Integer(5))
            ]))
        );
        assert_eq!(split("{a, b}, [c], d"), ["{a, b}", "[c]", "d"]);
        assert!(Operand::parse("a b").is_err());
    }
}

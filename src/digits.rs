//! Numbers as people read them, wherever a sentence has one.

/// A whole number in groups of three: `1,204`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let said = [0, 999, 1204, 1_000_000].map(thousands);
        assert_eq!(said, ["0", "999", "1,204", "1,000,000"]);
    }
}

//! What is asked for: the path and query of a request. The only place where words of a person become part of a URI, so
//! that no word, whatever it holds, can end a segment, begin a query or make the URI unreadable.

use std::fmt::{Display, Write};

/// The path and query of a request, encoded (RFC 3986, section 2.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    text: String,
    queried: bool,
}

impl Target {
    /// `/v1/...`: each word is one segment, whatever it holds.
    pub fn new(segments: &[&str]) -> Self {
        let mut text = String::from("/v1");
        for segment in segments {
            text.push('/');
            encode(segment, &mut text);
        }
        Self {
            text,
            queried: false,
        }
    }

    /// With a key of the query and its value.
    #[must_use]
    pub fn query(mut self, key: &str, value: impl Display) -> Self {
        self.text.push(if self.queried { '&' } else { '?' });
        self.queried = true;
        encode(key, &mut self.text);
        self.text.push('=');
        encode(&value.to_string(), &mut self.text);
        self
    }

    /// With a key, where there is a value.
    #[must_use]
    pub fn query_some(self, key: &str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.query(key, value),
            None => self,
        }
    }

    /// As it is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// Everything but the unreserved characters is escaped: what needs no escape in one place needs one in another.
fn encode(word: &str, text: &mut String) {
    for byte in word.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_segments_and_values_whatever_they_hold() {
        let target = Target::new(&["campaigns", "a b/c?d%e", "verdict"]);
        assert_eq!(target.as_str(), "/v1/campaigns/a%20b%2Fc%3Fd%25e/verdict");
        let target = Target::new(&["campaigns"])
            .query("state", "a&b=c d")
            .query_some("id", Some("é#+"))
            .query_some("none", None::<&str>)
            .query("follow", 1);
        assert_eq!(
            target.as_str(),
            "/v1/campaigns?state=a%26b%3Dc%20d&id=%C3%A9%23%2B&follow=1"
        );
        assert_eq!(
            Target::new(&["jobs"]).query("id", "alttp-1_2.x~").as_str(),
            "/v1/jobs?id=alttp-1_2.x~"
        );
    }
}

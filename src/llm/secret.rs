//! Keys: where they come from, and that they go nowhere but into the header.
//!
//! A [`Secret`] cannot be printed, serialised or compared. What a server sends back may hold one (proxies echo headers in
//! their error pages), so every text that leaves this module is passed through [`Secret::redact`].

use serde::{Deserialize, Serialize};
use std::{env, fmt, fs, path::PathBuf};

/// What stands in place of a key.
const REDACTED: &str = "[redacted]";
/// Servers quote the head of a wrong key; this much of one gives it away.
const HEAD: usize = 6;
/// Shorter keys are no keys, and their heads are ordinary words.
const LONG: usize = 16;

/// Where a key comes from. This is what requests between processes hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// The server asks for none.
    #[default]
    None,
    /// A file that holds nothing else.
    File(PathBuf),
    /// A systemd credential: `$CREDENTIALS_DIRECTORY/NAME`.
    Credential(String),
    /// An environment variable.
    Env(String),
}

/// A key. Nothing shows it.
#[derive(Clone)]
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(REDACTED)
    }
}

impl SecretSource {
    /// Reads the key; `None` where the source is none.
    ///
    /// # Errors
    /// A sentence that names the source.
    pub fn read(&self) -> Result<Option<Secret>, String> {
        let text = match self {
            SecretSource::None => return Ok(None),
            SecretSource::File(path) => read_file(path)?,
            SecretSource::Credential(name) => read_file(&credential(name)?)?,
            SecretSource::Env(name) => env::var(name).map_err(|_| {
                format!("the environment variable {name}, which should hold a key, is not set")
            })?,
        };
        let text = text.trim();
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(format!(
                "{self} holds no key: one line of printable characters is expected"
            ));
        }
        Ok(Some(Secret(text.to_owned())))
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SecretSource::None => write!(f, "no key"),
            SecretSource::File(path) => write!(f, "the file {}", path.display()),
            SecretSource::Credential(name) => write!(f, "the credential {name}"),
            SecretSource::Env(name) => write!(f, "the environment variable {name}"),
        }
    }
}

fn credential(name: &str) -> Result<PathBuf, String> {
    if name.is_empty() || name.contains('/') || name == ".." || name == "." {
        return Err(format!("\"{name}\" is no name of a credential"));
    }
    let dir = env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        format!("the credential {name} cannot be read: CREDENTIALS_DIRECTORY is not set (LoadCredential= of the unit sets it)")
    })?;
    Ok(PathBuf::from(dir).join(name))
}

fn read_file(path: &PathBuf) -> Result<String, String> {
    fs::read_to_string(path)
        .map_err(|error| format!("cannot read the key in {}: {error}", path.display()))
}

impl Secret {
    /// The value of the `Authorization` header.
    pub(super) fn bearer(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether it is the same key; a key that was replaced is tried anew.
    pub(super) fn same(&self, other: &Secret) -> bool {
        self.0 == other.0
    }

    /// `text` without the key, as it is and as URLs and JSON write it, nor words that begin as it does.
    pub fn redact(&self, text: String) -> String {
        let head = self.0.get(..HEAD).filter(|_| self.0.len() >= LONG);
        let mut text = text;
        for form in [self.0.clone(), percent(&self.0), json(&self.0)] {
            if text.contains(&form) {
                text = text.replace(&form, REDACTED);
            }
        }
        match head {
            Some(head) if text.contains(head) => without_words(&text, head),
            _ => text,
        }
    }
}

fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte);
    let each = |byte: u8| {
        if plain(byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    text.bytes().map(each).collect()
}

fn json(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// Replaces each word that begins with `head`, from there to the next character that no key holds.
fn without_words(text: &str, head: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(head) {
        out.push_str(&rest[..at]);
        out.push_str(REDACTED);
        let tail = &rest[at + head.len()..];
        let ends = |c: char| !(c.is_ascii_alphanumeric() || "-_.*+/=…".contains(c));
        rest = &tail[tail.find(ends).unwrap_or(tail.len())..];
    }
    out.push_str(rest);
    out
}

/// Passes a text through the key, if there is one.
pub(super) fn redact(secret: Option<&Secret>, text: String) -> String {
    match secret {
        Some(secret) => secret.redact(text),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_from_its_source_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, "sk-live-0123456789abcdef\n").unwrap();
        let secret = SecretSource::File(path.clone()).read().unwrap().unwrap();
        assert_eq!(secret.bearer(), "Bearer sk-live-0123456789abcdef");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "[redacted] [redacted] Some([redacted])"
        );
        fs::write(&path, "two\nlines").unwrap();
        let why = SecretSource::File(path).read().unwrap_err();
        assert!(
            why.contains("holds no key") && !why.contains("two"),
            "{why}"
        );
        assert!(SecretSource::None.read().unwrap().is_none());
        for name in ["", "..", "a/b"] {
            assert!(SecretSource::Credential(name.into()).read().is_err());
        }
        let why = SecretSource::Env("CAMPAIGND_NO_SUCH_VARIABLE".into())
            .read()
            .unwrap_err();
        assert!(why.contains("CAMPAIGND_NO_SUCH_VARIABLE"), "{why}");
    }

    #[test]
    fn a_key_is_found_in_every_form() {
        let secret = Secret("sk-a\"b/c\\0123456789".into());
        for echoed in [
            "sk-a\"b/c\\0123456789",
            "sk-a%22b%2Fc%5C0123456789",
            "sk-a\\\"b/c\\\\0123456789",
            "sk-a\"b***89",
        ] {
            let text = secret.redact(format!("bad key {echoed} given"));
            assert!(
                text.contains("[redacted]") && !text.contains("0123456789"),
                "{text}"
            );
        }
        assert_eq!(secret.redact("sk- is a prefix".into()), "sk- is a prefix");
        let short = Secret("local".into());
        assert_eq!(short.redact("locally".into()), "[redacted]ly");
        let usual = Secret("sk-proj-0123456789abcdef".into());
        assert_eq!(
            usual.redact("Incorrect API key: sk-proj-01***cdef. See".into()),
            "Incorrect API key: [redacted] See"
        );
    }
}

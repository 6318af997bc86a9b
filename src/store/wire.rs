//! Values as bytes: a version of two bytes (little endian), then bincode.
//!
//! bincode writes no names and no lengths of structs, so a type that changed reads its old bytes wrongly and without
//! an error. Hence the version: it is raised with every change of a stored type, an older one is brought forward by
//! one migration function per step, and a newer one is refused.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::change::Tree;
use super::frame::MAX_BODY;

/// Why bytes are no value of the wanted type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A newer campaignd wrote them.
    Newer {
        /// The version of the bytes.
        found: u16,
        /// The newest version that this program reads.
        reads: u16,
    },
    /// They are of an older version that no migration starts from.
    Older {
        /// The version of the bytes.
        found: u16,
    },
    /// They are too short, too long, or no such value.
    Malformed(String),
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Fault::Newer { found, reads } => {
                write!(f, "version {found} is newer than {reads}, which this reads")
            }
            Fault::Older { found } => write!(f, "no migration starts from version {found}"),
            Fault::Malformed(why) => f.write_str(why),
        }
    }
}

impl std::error::Error for Fault {}

/// A value that the state keeps, one tree per type.
///
/// The type must serialise by position: no `flatten`, `untagged` or `skip_serializing_if`.
pub trait Record: Serialize + DeserializeOwned {
    /// The version that this program writes. Raised by one with every change of the type.
    const VERSION: u16;
    /// Where records of this type live.
    const TREE: Tree;

    /// Reads a value of an older `version` (the bytes follow the prefix) and brings it forward, one function per
    /// step: decode the type as it was with [`body`], then call each `vN_to_vN1` in turn.
    fn migrate(version: u16, bytes: &[u8]) -> Result<Self, Fault> {
        let _ = bytes;
        Err(Fault::Older { found: version })
    }
}

/// `value` as the store keeps it.
pub fn encode<T: Serialize>(version: u16, value: &T) -> Vec<u8> {
    let mut bytes = version.to_le_bytes().to_vec();
    bincode::serde::encode_into_std_write(value, &mut bytes, bincode::config::standard())
        .expect("stored types are plain data, and a vector takes every write");
    bytes
}

/// Splits bytes into their version and the encoded value.
pub fn split(bytes: &[u8]) -> Result<(u16, &[u8]), Fault> {
    match bytes {
        [low, high, body @ ..] => Ok((u16::from_le_bytes([*low, *high]), body)),
        _ => Err(Fault::Malformed(format!(
            "{} bytes are too few for a version",
            bytes.len()
        ))),
    }
}

/// Sizes of encoded values, in bytes, for each of which a bound on what they may claim to hold is set.
const SMALL: usize = 64 << 10;
const LARGE: usize = 16 << 20;

/// bincode counts what a number takes in memory, not in the file: one byte there can be sixteen here.
const WIDEST: usize = 16;

/// Reads an encoded value without its version. Bytes left over are a fault: they show that the type is another.
///
/// bincode makes room for a text before it reads it, as much as the length says that stands before the text. Without a
/// bound a few damaged bytes would ask for more memory than there is, which ends the process.
pub fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Fault> {
    use bincode::{config::standard, serde::decode_from_slice};
    let read = if bytes.len() <= SMALL {
        decode_from_slice(bytes, standard().with_limit::<{ WIDEST * SMALL }>())
    } else if bytes.len() <= LARGE {
        decode_from_slice(bytes, standard().with_limit::<{ WIDEST * LARGE }>())
    } else {
        decode_from_slice(bytes, standard().with_limit::<{ WIDEST * MAX_BODY }>())
    };
    let (value, used) = read.map_err(|error| Fault::Malformed(error.to_string()))?;
    match bytes.len() - used {
        0 => Ok(value),
        left => Err(Fault::Malformed(format!("{left} bytes are left over"))),
    }
}

/// Reads a value of exactly `version`, for types that were never changed.
pub fn decode<T: DeserializeOwned>(version: u16, bytes: &[u8]) -> Result<T, Fault> {
    let (found, rest) = split(bytes)?;
    match found.cmp(&version) {
        std::cmp::Ordering::Equal => body(rest),
        std::cmp::Ordering::Less => Err(Fault::Older { found }),
        std::cmp::Ordering::Greater => Err(Fault::Newer {
            found,
            reads: version,
        }),
    }
}

/// Reads a value of `version`; an older one is given to `migrate`, with its version and without the prefix.
pub fn migrated<T: DeserializeOwned>(
    version: u16,
    bytes: &[u8],
    migrate: impl FnOnce(u16, &[u8]) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let (found, rest) = split(bytes)?;
    if found < version {
        migrate(found, rest)
    } else {
        decode(version, bytes)
    }
}

/// Reads a record, migrating it when it is older.
pub fn record<R: Record>(bytes: &[u8]) -> Result<R, Fault> {
    migrated(R::VERSION, bytes, R::migrate)
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct PersonV1 {
        name: String,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Person {
        name: String,
        age: Option<u8>,
    }

    impl Record for Person {
        const VERSION: u16 = 2;
        const TREE: Tree = Tree::Runs;

        fn migrate(version: u16, bytes: &[u8]) -> Result<Person, Fault> {
            match version {
                1 => body(bytes).map(v1_to_v2),
                found => Err(Fault::Older { found }),
            }
        }
    }

    fn v1_to_v2(old: PersonV1) -> Person {
        Person {
            name: old.name,
            age: None,
        }
    }

    #[test]
    fn an_older_record_is_migrated() {
        let old = encode(1, &PersonV1 { name: "ada".into() });
        assert_eq!(
            record::<Person>(&old),
            Ok(Person {
                name: "ada".into(),
                age: None
            })
        );
    }

    #[test]
    fn a_record_reads_back() {
        let person = Person {
            name: "ada".into(),
            age: Some(36),
        };
        assert_eq!(record::<Person>(&encode(2, &person)), Ok(person));
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let newer = encode(3, &PersonV1 { name: "ada".into() });
        assert_eq!(
            record::<Person>(&newer),
            Err(Fault::Newer { found: 3, reads: 2 })
        );
        let unknown = encode(0, &PersonV1 { name: "ada".into() });
        assert_eq!(record::<Person>(&unknown), Err(Fault::Older { found: 0 }));
        let mut long = encode(
            2,
            &Person {
                name: "ada".into(),
                age: None,
            },
        );
        long.push(0);
        assert!(matches!(record::<Person>(&long), Err(Fault::Malformed(_))));
        assert!(matches!(
            record::<Person>(&long[..4]),
            Err(Fault::Malformed(_))
        ));
        assert!(matches!(record::<Person>(&[2]), Err(Fault::Malformed(_))));
    }
}

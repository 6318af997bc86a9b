//! Bytes in one piece. serde takes a `Vec<u8>` for a list and goes through it byte by byte, which made the larger part
//! of writing and reading a journal; bincode writes both the same.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::ser::{Serialize, Serializer};

/// Borrowed, to be written.
struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// Owned, as read.
struct Owned(Vec<u8>);

impl<'de> Deserialize<'de> for Owned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OwnedVisitor;
        impl Visitor<'_> for OwnedVisitor {
            type Value = Owned;

            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Owned, E> {
                Ok(Owned(bytes.to_vec()))
            }

            fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Owned, E> {
                Ok(Owned(bytes))
            }
        }
        deserializer.deserialize_byte_buf(OwnedVisitor)
    }
}

/// For `#[serde(with)]` on a `Vec<u8>`.
pub(super) mod whole {
    use super::{Bytes, Deserialize, Deserializer, Owned, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        bytes: &[u8],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        Bytes(bytes).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<u8>, D::Error> {
        Owned::deserialize(deserializer).map(|owned| owned.0)
    }
}

/// For `#[serde(with)]` on an `Option<Vec<u8>>`.
pub(super) mod perhaps {
    use super::{Bytes, Deserialize, Deserializer, Owned, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bytes.as_deref().map(Bytes).serialize(serializer)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let owned = Option::<Owned>::deserialize(deserializer)?;
        Ok(owned.map(|owned| owned.0))
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Listed(Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Raw(
        #[serde(with = "super::whole")] Vec<u8>,
        #[serde(with = "super::perhaps")] Option<Vec<u8>>,
        #[serde(with = "super::perhaps")] Option<Vec<u8>>,
    );

    #[test]
    fn bytes_in_one_piece_are_the_bytes_of_a_list() {
        for length in [0, 1, 250, 251, 70_000] {
            let bytes: Vec<u8> = (0..length).map(|n: u32| (n % 256) as u8).collect();
            let raw = Raw(bytes.clone(), Some(bytes.clone()), None);
            let encoded = super::super::wire::encode(1, &raw);
            let listed = Listed(bytes.clone(), Some(bytes), None);
            assert_eq!(encoded, super::super::wire::encode(1, &listed));
            assert_eq!(super::super::wire::decode::<Raw>(1, &encoded), Ok(raw));
        }
    }
}

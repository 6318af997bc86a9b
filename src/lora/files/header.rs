//! The header of a safetensors file: eight bytes of length, then JSON that says of each tensor its type, its shape and where its
//! bytes lie behind the header.
//!
//! Nothing in it is believed before it is checked: lengths against the file's, offsets against each other, sizes against type and
//! shape. What passes can be read without another look, and no number in it can make anybody allocate more than the file has.

use serde::{Deserialize, Deserializer, de};
use std::{
    collections::BTreeMap,
    fmt,
    fs::File,
    io::{self, Read},
    ops::Range,
};

/// Bytes of a header at most: what the format's own library allows.
const MOST_BYTES: u64 = 100_000_000;
/// Where the format keeps what is no tensor.
const METADATA: &str = "__metadata__";
/// Headers are filled up with blanks, so that the numbers behind them are aligned.
const ALIGNMENT: usize = 8;

/// One tensor of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// How its numbers are stored, as the file says: `F32`, `BF16`, `I64`, ...
    pub dtype: String,
    /// Its shape.
    pub shape: Vec<usize>,
    /// Its bytes, counted from the file's beginning.
    pub bytes: Range<u64>,
}

/// What a header says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// Tensors in the order of their bytes.
    pub entries: Vec<Entry>,
    /// What else somebody wrote down.
    pub metadata: BTreeMap<String, String>,
    /// Where the first tensor's bytes begin.
    pub data: u64,
}

/// A tensor as JSON has it.
#[derive(Deserialize)]
struct Stated {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (u64, u64),
}

/// All of them, in the order of the text; a map would hide a name that is there twice.
struct Everything {
    tensors: Vec<(String, Stated)>,
    metadata: BTreeMap<String, String>,
}

impl<'de> Deserialize<'de> for Everything {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Everything;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of tensors")
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Everything, A::Error> {
                let (mut tensors, mut metadata) = (Vec::new(), None);
                while let Some(name) = map.next_key::<String>()? {
                    if name != METADATA {
                        tensors.push((name, map.next_value()?));
                    } else if metadata.replace(map.next_value()?).is_some() {
                        return Err(de::Error::duplicate_field(METADATA));
                    }
                }
                let metadata = metadata.unwrap_or_default();
                Ok(Everything { tensors, metadata })
            }
        }
        from.deserialize_map(Visitor)
    }
}

/// Reads and checks the header of an open file.
///
/// # Errors
/// What the system says; `InvalidData` with a sentence for a file that is damaged or none of this format.
pub fn read(file: &mut File) -> io::Result<Header> {
    let length = file.metadata()?.len();
    let mut prefix = [0; 8];
    if length < 8 {
        return Err(bad(format!(
            "it has {length} bytes, too few for a safetensors header"
        )));
    }
    file.read_exact(&mut prefix)?;
    let header = u64::from_le_bytes(prefix);
    if header > MOST_BYTES || header > length - 8 {
        return Err(bad(format!(
            "its header should have {header} bytes, the whole file has {length}: it is truncated or no safetensors file"
        )));
    }
    let mut text = vec![0; header as usize];
    file.read_exact(&mut text)?;
    parse(&text, length).map_err(bad)
}

/// Checks a header's text against the length of its file.
///
/// # Errors
/// A sentence that names the tensor.
pub fn parse(text: &[u8], length: u64) -> Result<Header, String> {
    let data = 8 + text.len() as u64;
    let broken = |error| format!("its header is no safetensors header: {error}");
    let Everything { tensors, metadata } = serde_json::from_slice(text).map_err(broken)?;
    let mut entries = Vec::with_capacity(tensors.len());
    for (name, stated) in tensors {
        entries.push(entry(name, stated, data)?);
    }
    entries.sort_by_key(|entry| (entry.bytes.start, entry.bytes.end));
    let mut end = data;
    for entry in &entries {
        let (name, start) = (&entry.name, entry.bytes.start);
        if start != end {
            let how = if start < end {
                "overlap with those of another"
            } else {
                "leave a gap before them"
            };
            return Err(format!("the bytes of {name} {how}"));
        }
        end = entry.bytes.end;
    }
    if end != length {
        let why = if end > length {
            "it is truncated"
        } else {
            "something follows them"
        };
        return Err(format!(
            "its tensors end at byte {end}, the file has {length}: {why}"
        ));
    }
    let mut names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("{} is there twice", twice[0]));
    }
    Ok(Header {
        entries,
        metadata,
        data,
    })
}

fn entry(name: String, stated: Stated, data: u64) -> Result<Entry, String> {
    let Stated {
        dtype,
        shape,
        data_offsets: (start, end),
    } = stated;
    let Some(bits) = bits(&dtype) else {
        return Err(format!("{name} has the unknown type {dtype:?}"));
    };
    let size = shape
        .iter()
        .try_fold(bits, |size, &n| size.checked_mul(n as u64));
    let size = size.filter(|bits| bits % 8 == 0).map(|bits| bits / 8);
    let found = end.checked_sub(start);
    if size.is_none() || size != found {
        let found = found.map_or("none".into(), |bytes| bytes.to_string());
        return Err(format!(
            "{name} has {found} bytes, which is not what {dtype} {shape:?} takes"
        ));
    }
    let (Some(start), Some(end)) = (start.checked_add(data), end.checked_add(data)) else {
        return Err(format!("{name} lies at {start}, beyond every file"));
    };
    Ok(Entry {
        name,
        dtype,
        shape,
        bytes: start..end,
    })
}

/// Bits of one number of each type of the format.
fn bits(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "F4" => 4,
        "F6_E2M3" | "F6_E3M2" => 6,
        "BOOL" | "U8" | "I8" | "F8_E4M3" | "F8_E5M2" | "F8_E8M0" | "F8_E4M3FNUZ"
        | "F8_E5M2FNUZ" => 8,
        "U16" | "I16" | "F16" | "BF16" => 16,
        "U32" | "I32" | "F32" => 32,
        "U64" | "I64" | "F64" | "C64" => 64,
        _ => return None,
    })
}

/// The header of f32 tensors that follow in the order given, its eight bytes of length in front: the bytes that the format's own
/// library writes for them.
pub fn written<'a>(
    tensors: impl Iterator<Item = (&'a str, &'a [usize])>,
    metadata: &BTreeMap<String, String>,
) -> Vec<u8> {
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let mut parts = Vec::new();
    if !metadata.is_empty() {
        let pairs = metadata
            .iter()
            .map(|(key, value)| format!("{}:{}", quoted(key), quoted(value)));
        let pairs: Vec<String> = pairs.collect();
        parts.push(format!("\"{METADATA}\":{{{}}}", pairs.join(",")));
    }
    let mut start = 0;
    for (name, shape) in tensors {
        let end = start + 4 * shape.iter().product::<usize>();
        let shape: Vec<String> = shape.iter().map(usize::to_string).collect();
        parts.push(format!(
            "{}:{{\"dtype\":\"F32\",\"shape\":[{}],\"data_offsets\":[{start},{end}]}}",
            quoted(name),
            shape.join(",")
        ));
        start = end;
    }
    let mut text = format!("{{{}}}", parts.join(","));
    text.extend(std::iter::repeat_n(
        ' ',
        text.len().next_multiple_of(ALIGNMENT) - text.len(),
    ));
    let mut bytes = (text.len() as u64).to_le_bytes().to_vec();
    bytes.extend(text.into_bytes());
    bytes
}

/// What is in a file is not what it should be.
pub fn bad(sentence: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, sentence)
}

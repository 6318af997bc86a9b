//! Logs of inspect-ai, of its releases since there are `.eval` files.
//!
//! Members are stored, deflated, or compressed with Zstandard (method 93, perhaps in several frames one after the other).
//! The first releases kept `start.json`, `results.json` and `summary.json` where later ones have `header.json` and
//! `summaries.json`; a log without any end is one of a run in progress, or of one that crashed.

use super::log::{Header, Reduction, Summary};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::io::{self, Cursor, Read, Seek};
use zip::{CompressionMethod, ZipArchive};

/// The most that a member may come to: whole samples with all their events stay below it by far.
const MOST_BYTES: u64 = 1 << 30;

/// A log.
#[derive(Debug)]
pub struct Log<R> {
    /// What it says of the whole.
    pub header: Header,
    /// A row for every sample and epoch, in the order in which they were finished.
    pub summaries: Vec<Summary>,
    zip: ZipArchive<R>,
}

/// Reads a log's header and summaries.
///
/// # Errors
/// A sentence that names the member: no zip, no log, a member that is torn or no JSON.
pub fn read<R: Read + Seek>(source: R) -> Result<Log<R>, String> {
    let mut zip = ZipArchive::new(source).map_err(|error| format!("it is no zip: {error}"))?;
    let mut header = header(&mut zip)?;
    if header.reductions.is_none() && has(&zip, "reductions.json") {
        header.reductions = json::<Vec<Reduction>, R>(&mut zip, "reductions.json")?.into();
    }
    let summaries = summaries(&mut zip)?;
    Ok(Log {
        header,
        summaries,
        zip,
    })
}

impl<R: Read + Seek> Log<R> {
    /// The samples' members, in the order of the zip.
    pub fn samples(&self) -> Vec<String> {
        let found = names(&self.zip);
        let sample = |name: &String| name.starts_with("samples/") && name.ends_with(".json");
        found.filter(sample).collect()
    }

    /// A whole sample, of one of [`samples`](Self::samples).
    ///
    /// # Errors
    /// A sentence that names the member.
    pub fn sample(&mut self, member: &str) -> Result<Value, String> {
        json(&mut self.zip, member)
    }
}

fn has<R: Read + Seek>(zip: &ZipArchive<R>, member: &str) -> bool {
    zip.index_for_name(member).is_some()
}

/// Every member with a name that can be read, in the order of the zip.
fn names<R: Read + Seek>(zip: &ZipArchive<R>) -> impl Iterator<Item = String> {
    zip.file_names()
        .filter_map(|name| Some(name.ok()?.into_owned()))
}

fn header<R: Read + Seek>(zip: &mut ZipArchive<R>) -> Result<Header, String> {
    if has(zip, "header.json") {
        let all: Map<String, Value> = json(zip, "header.json")?;
        return told("header.json", all);
    }
    let starts = ["_journal/start.json", "start.json"];
    let start = starts.into_iter().find(|name| has(zip, name));
    let start = start.ok_or("it has neither header.json nor start.json: it is no inspect log")?;
    let mut all: Map<String, Value> = json(zip, start)?;
    let mut status = Value::from("started");
    if has(zip, "results.json") {
        all.extend(json::<Map<String, Value>, R>(zip, "results.json")?);
        status = all.get("status").cloned().unwrap_or(status);
    }
    all.insert("status".into(), status);
    told(start, all)
}

fn told(member: &str, all: Map<String, Value>) -> Result<Header, String> {
    serde_json::from_value(Value::Object(all)).map_err(|error| format!("{member}: {error}"))
}

/// Of the whole, or of its parts in the order of their numbers.
fn summaries<R: Read + Seek>(zip: &mut ZipArchive<R>) -> Result<Vec<Summary>, String> {
    for whole in ["summaries.json", "summary.json"] {
        if has(zip, whole) {
            return json(zip, whole);
        }
    }
    let number = |name: &str| {
        let stem = ["_journal/summaries/", "summaries/"]
            .iter()
            .find_map(|dir| name.strip_prefix(dir))?;
        stem.strip_suffix(".json")?.parse::<u64>().ok()
    };
    let mut parts: Vec<(u64, String)> = names(zip)
        .filter_map(|name| Some((number(&name)?, name)))
        .collect();
    parts.sort_unstable();
    let mut all = Vec::new();
    for (_, part) in parts {
        all.extend(json::<Vec<Summary>, R>(zip, &part)?);
    }
    Ok(all)
}

fn json<T: DeserializeOwned, R: Read + Seek>(
    zip: &mut ZipArchive<R>,
    member: &str,
) -> Result<T, String> {
    let text = bytes(zip, member).map_err(|error| format!("{member}: {error}"))?;
    serde_json::from_slice(&text).map_err(|error| format!("{member}: {error}"))
}

fn bytes<R: Read + Seek>(zip: &mut ZipArchive<R>, member: &str) -> io::Result<Vec<u8>> {
    let at = zip.index_for_name(member).ok_or(io::ErrorKind::NotFound)?;
    let mut raw = zip.by_index_raw(at)?;
    let (size, crc) = (raw.size(), raw.crc32());
    let too_large = || io::Error::new(io::ErrorKind::InvalidData, "it is too large");
    if size > MOST_BYTES || raw.compressed_size() > MOST_BYTES {
        return Err(too_large());
    }
    if raw.compression() != CompressionMethod::ZSTD {
        drop(raw);
        let mut text = Vec::new();
        // The size is what the zip says; one that says less than there is goes no further.
        zip.by_index(at)?.take(MOST_BYTES).read_to_end(&mut text)?;
        return Ok(text);
    }
    let mut packed = Vec::new();
    (&mut raw).take(MOST_BYTES).read_to_end(&mut packed)?;
    let text = frames(&packed, size)?;
    if crc32fast::hash(&text) != crc {
        let torn = "its checksum is another";
        return Err(io::Error::new(io::ErrorKind::InvalidData, torn));
    }
    Ok(text)
}

/// Every frame of a Zstandard stream, one after the other; `size` is what they come to.
fn frames(packed: &[u8], size: u64) -> io::Result<Vec<u8>> {
    let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let (mut rest, mut text) = (Cursor::new(packed), Vec::new());
    while (rest.position() as usize) < packed.len() {
        let frame = ruzstd::decoding::StreamingDecoder::new(&mut rest);
        let mut frame = frame.map_err(|error| wrong(error.to_string()))?;
        // One byte more than there may be tells a frame that is too long.
        let room = size + 1 - text.len() as u64;
        (&mut frame).take(room).read_to_end(&mut text)?;
        if text.len() as u64 > size {
            return Err(wrong("it is larger than the zip says".into()));
        }
    }
    Ok(text)
}

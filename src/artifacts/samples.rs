//! The samples of a campaign as they lie on disk: all shard files of both phases, one line a sample, read piece by piece.
//! Nothing here knows what a sample holds beside its id, so that foreign generators' rows are served as well.

mod head;
#[cfg(test)]
mod tests;

use super::{named, rows::RowReader};
use crate::manifest::CampaignManifest;
use head::Head;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, HashSet},
    fs, io,
    path::PathBuf,
};

/// The phases that make samples, in the order in which they are read; repairs are what execution makes of failures.
pub const PHASES: [&str; 3] = ["pilot", "generate", "repair"];
/// Bytes that are read at a time.
pub const PIECE: u64 = 256 << 10;

/// A shard file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shard {
    /// `pilot`, `generate` or `repair`.
    pub phase: &'static str,
    /// Its number in the phase.
    pub number: u32,
    /// Where it is.
    pub path: PathBuf,
}

/// The shard files that are there, the pilot's first.
///
/// # Errors
/// A directory that cannot be listed; one that is not there has none.
pub fn shards(campaign: &CampaignManifest) -> io::Result<Vec<Shard>> {
    shards_of(campaign, &PHASES)
}

/// The files of other phases that have one for each shard.
///
/// # Errors
/// Those of [`shards`].
pub(super) fn shards_of(
    campaign: &CampaignManifest,
    phases: &[&'static str],
) -> io::Result<Vec<Shard>> {
    let mut found = Vec::new();
    for phase in phases.iter().copied() {
        let dir = campaign.data(phase);
        let listed = match fs::read_dir(&dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            listed => listed.map_err(|error| named(error, "list", &dir))?,
        };
        let first = found.len();
        for entry in listed {
            let name = entry.map_err(|error| named(error, "list", &dir))?;
            let name = name.file_name();
            let number = name.to_str().and_then(|name| {
                let number = name.strip_prefix("shard-")?.strip_suffix(".jsonl")?;
                number.parse().ok()
            });
            found.extend(number.map(|number| Shard {
                phase,
                number,
                path: campaign.shard(phase, number),
            }));
        }
        found[first..].sort();
    }
    Ok(found)
}

/// The id of a line, where that is a sample: an object with an id, in JSON that every reader takes.
pub fn id(line: &[u8]) -> Option<String> {
    match serde_json::from_slice(line).ok()? {
        Head(Some(Value::String(id))) => Some(id).filter(|id| !id.is_empty()),
        Head(Some(Value::Number(id))) => Some(id.to_string()),
        Head(_) => None,
    }
}

/// Whether a line can be the one of an id: false is certain, and found without reading the line as JSON.
fn may_have(line: &[u8], id: &str) -> bool {
    let plain = id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.:".contains(&byte));
    let text = std::str::from_utf8(line).unwrap_or("");
    !plain || text.contains(id) || text.contains("\\u00")
}

/// Reads lines of shards one after the other, a piece at a time.
#[derive(Debug)]
pub struct Samples {
    shards: std::vec::IntoIter<Shard>,
    open: Option<(Shard, RowReader)>,
    /// Lines too long to be read.
    pub too_long: u64,
}

impl Samples {
    /// All samples of a campaign.
    ///
    /// # Errors
    /// Those of [`shards`].
    pub fn of(campaign: &CampaignManifest) -> io::Result<Self> {
        Ok(Self::in_shards(shards(campaign)?))
    }

    /// All samples of some shards.
    pub fn in_shards(shards: Vec<Shard>) -> Self {
        Self {
            shards: shards.into_iter(),
            open: None,
            too_long: 0,
        }
    }

    /// Hands at most `most` bytes of whole lines, and at least one line, to `on_line`, each with its shard and number; a
    /// torn last line is left out. Whether there may be more.
    ///
    /// # Errors
    /// Those of reading, and a file that is replaced meanwhile.
    pub fn read(
        &mut self,
        most: u64,
        mut on_line: impl FnMut(&Shard, u64, &[u8]),
    ) -> io::Result<bool> {
        if self.open.is_none() {
            let next = self.shards.next();
            self.open = next.map(|shard| {
                let reader = RowReader::new(&shard.path);
                (shard, reader)
            });
        }
        let Some((shard, reader)) = &mut self.open else {
            return Ok(false);
        };
        let found = reader.read_new(most, |number, line| {
            if !line.trim_ascii().is_empty() {
                on_line(shard, number, line.trim_ascii());
            }
        })?;
        // Half of one file and half of another are no samples of either.
        if found.restarted || (!found.more && !shard.path.exists()) {
            let path = shard.path.display();
            let message = format!("{path} was replaced or removed while it was read");
            return Err(io::Error::other(message));
        }
        self.too_long += found.too_long;
        if !found.more {
            self.open = None;
        }
        Ok(true)
    }
}

/// The first sample with an id: its phase and line.
///
/// # Errors
/// Those of [`Samples::read`].
pub fn find(campaign: &CampaignManifest, wanted: &str) -> io::Result<Option<(Shard, Vec<u8>)>> {
    find_in(Samples::of(campaign)?, wanted)
}

/// The first line with an id.
pub(super) fn find_in(mut samples: Samples, wanted: &str) -> io::Result<Option<(Shard, Vec<u8>)>> {
    let mut found = None;
    while found.is_none()
        && samples.read(PIECE, |shard, _, line| {
            let fits =
                || may_have(line, wanted) && id(line).is_some_and(|id| id.as_str() == wanted);
            if found.is_none() && fits() {
                found = Some((shard.clone(), line.to_vec()));
            }
        })?
    {}
    Ok(found)
}

/// Where a sample stands in the order of a seed: the first eight bytes of SHA-256 over `SEED:ID`, big-endian. The first N of
/// that order are a uniform sample, whatever the order of the files; a larger sample begins with the smaller one.
pub fn rank(seed: u64, id: &str) -> u64 {
    let digest = Sha256::digest(format!("{seed}:{id}"));
    digest
        .iter()
        .take(8)
        .fold(0, |rank, byte| rank << 8 | u64::from(*byte))
}

/// A uniform sample.
#[derive(Debug, Default)]
pub struct Sampled {
    /// How many samples it was drawn from, each id counted once.
    pub population: u64,
    /// Phase, id and line of each, in the order of their ranks.
    pub rows: Vec<(&'static str, String, Vec<u8>)>,
}

/// Draws `count` samples whose ids are `wanted`. Each id counts once; its first line is taken.
///
/// # Errors
/// Those of [`Samples::read`]; lines that together are longer than `most_bytes`.
pub fn sample(
    campaign: &CampaignManifest,
    count: usize,
    seed: u64,
    most_bytes: usize,
    wanted: impl Fn(&str) -> bool,
) -> io::Result<Sampled> {
    let shards = shards(campaign)?;
    let mut first: BTreeMap<(u64, String), (Shard, u64)> = BTreeMap::new();
    // Eight bytes an id: ranks of different ids are the same once in thousands of millions.
    let mut seen = HashSet::new();
    let mut samples = Samples::in_shards(shards.clone());
    while samples.read(PIECE, |shard, number, line| {
        let Some(id) = id(line).filter(|id| wanted(id)) else {
            return;
        };
        let rank = rank(seed, &id);
        if !seen.insert(rank) {
            return;
        }
        first.insert((rank, id), (shard.clone(), number));
        if first.len() > count {
            first.pop_last();
        }
    })? {}
    Ok(Sampled {
        population: seen.len() as u64,
        rows: lines_of(shards, first, most_bytes)?,
    })
}

/// The lines of the samples that were drawn, read a second time: no more than them is ever in memory.
fn lines_of(
    shards: Vec<Shard>,
    drawn: BTreeMap<(u64, String), (Shard, u64)>,
    most_bytes: usize,
) -> io::Result<Vec<(&'static str, String, Vec<u8>)>> {
    let places: BTreeMap<_, _> = drawn.into_iter().map(|(key, at)| (at, key)).collect();
    let mut found = BTreeMap::new();
    let mut bytes = 0;
    let needed = shards
        .into_iter()
        .filter(|shard| places.keys().any(|(place, _)| place == shard));
    let mut samples = Samples::in_shards(needed.collect());
    while found.len() < places.len()
        && samples.read(PIECE, |shard, number, line| {
            if let Some((rank, id)) = places.get(&(shard.clone(), number)) {
                bytes += line.len();
                if bytes <= most_bytes {
                    let row = (shard.phase, id.clone(), line.to_vec());
                    found.insert((*rank, id.clone()), row);
                }
            }
        })?
    {}
    if bytes > most_bytes {
        let message = format!("the sample is longer than {most_bytes} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, message));
    }
    Ok(found.into_values().collect())
}

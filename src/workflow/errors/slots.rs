//! The slots of messages and resolutions, and how a template is filled.
//!
//! `{word}` is a slot when the word is known; every other brace is text, because configuration is full of braces.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::catalogue::{Growth, catalogue};
use super::diagnosis::Diagnosis;
use super::text::between;

/// What is known about the process that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Situation {
    /// Process, such as `STAR_ALIGN`.
    pub process: String,
    /// Tool it runs, such as `STAR`.
    pub tool: String,
    /// Sample of the task.
    pub sample: String,
    /// CPUs requested.
    pub cpus: u32,
    /// Memory requested, GB.
    pub memory_gb: u32,
    /// Most memory a process may request, GB.
    pub memory_limit_gb: u32,
    /// Time requested, hours.
    pub time_h: u32,
    /// Most time a process may request, hours.
    pub time_limit_h: u32,
    /// Size of the task's input, GB, where it is known.
    pub input_size_gb: Option<u32>,
    /// Container image the process names.
    pub container: String,
    /// The pinned image that the catalogue of tools has for it; empty for the same.
    pub known_container: String,
    /// Container runtime.
    pub runtime: String,
    /// Sample sheet.
    pub input: String,
    /// Reference sequence.
    pub reference: String,
    /// Gene annotation.
    pub annotation: String,
    /// Classification or annotation database.
    pub database: String,
    /// Where results go.
    pub outdir: String,
    /// Directory with room for work files.
    pub scratch: String,
    /// Queue of the batch system.
    pub partition: String,
}

impl Default for Situation {
    fn default() -> Situation {
        Situation {
            process: "ALIGN".into(),
            tool: "bwa".into(),
            sample: "sample1".into(),
            cpus: 8,
            memory_gb: 16,
            memory_limit_gb: 256,
            time_h: 4,
            time_limit_h: 72,
            input_size_gb: None,
            container: "quay.io/biocontainers/bwa:0.7.18--he4a0461_1".into(),
            known_container: String::new(),
            runtime: "singularity".into(),
            input: "samplesheet.csv".into(),
            reference: "reference/genome.fa".into(),
            annotation: "reference/genes.gtf".into(),
            database: "databases/current".into(),
            outdir: "results".into(),
            scratch: "/scratch".into(),
            partition: "standard".into(),
        }
    }
}

impl Situation {
    /// A log alone: what it does not tell is unknown, and a remedy that needs it stays unsaid. Changes go to every process.
    pub fn unknown() -> Situation {
        let mut situation = Situation {
            process: ".*".into(),
            ..Situation::default()
        };
        let Situation {
            tool,
            sample,
            container,
            runtime,
            input,
            reference,
            annotation,
            database,
            outdir,
            scratch,
            partition,
            ..
        } = &mut situation;
        for unknown in [
            tool, sample, container, runtime, input, reference, annotation, database, outdir,
            scratch, partition,
        ] {
            unknown.clear();
        }
        situation
    }

    /// What the process asks for next after running out of memory, GB: never less than it has, never beyond the limit
    /// unless it has more already.
    pub fn more_memory_gb(&self) -> u32 {
        let input = self.input_size_gb.unwrap_or(0);
        let grown = grown(catalogue().growth.memory, self.memory_gb, input);
        grown.min(self.memory_limit_gb).max(self.memory_gb)
    }

    /// What the process asks for next after running out of time, hours; bounded as memory is.
    pub fn more_time_h(&self) -> u32 {
        let grown = grown(catalogue().growth.time, self.time_h, 0);
        grown.min(self.time_limit_h).max(self.time_h)
    }
}

fn named(sample: &str, ending: &str) -> String {
    match sample {
        "" => String::new(),
        sample => format!("{sample}{ending}"),
    }
}

fn grown(growth: Growth, now: u32, input: u32) -> u32 {
    let wanted = (f64::from(now) * growth.factor).max(f64::from(input) * growth.per_input_gb);
    let steps = (wanted / f64::from(growth.step.max(1))).ceil();
    // A float beyond the range saturates.
    (steps as u32).saturating_mul(growth.step.max(1))
}

/// The values of the slots.
#[derive(Debug, Default)]
pub(super) struct Slots(BTreeMap<&'static str, String>);

impl Slots {
    /// What the situation says.
    pub fn of(situation: &Situation) -> Slots {
        let s = situation;
        let known = match s.known_container.as_str() {
            "" => s.container.as_str(),
            known => known,
        };
        let stem = s.reference.trim_end_matches(".gz");
        let stem = stem.trim_end_matches(".fa").trim_end_matches(".fasta");
        let mut slots = Slots::default();
        for (name, value) in [
            ("process", s.process.clone()),
            ("task", format!("{} ({})", s.process, s.sample)),
            ("tool", s.tool.clone()),
            ("sample", s.sample.clone()),
            ("reads", named(&s.sample, "_R1.fastq.gz")),
            ("bam", named(&s.sample, ".bam")),
            ("cpus", s.cpus.to_string()),
            ("memory", format!("{} GB", s.memory_gb)),
            ("memory_bytes", (u64::from(s.memory_gb) << 30).to_string()),
            ("more_memory", format!("{} GB", s.more_memory_gb())),
            ("available", format!("{} GB", s.memory_limit_gb)),
            ("time", format!("{} h", s.time_h)),
            ("more_time", format!("{} h", s.more_time_h())),
            ("container", s.container.clone()),
            ("known_container", known.to_owned()),
            ("image_file", s.container.replace(['/', ':'], "-") + ".img"),
            ("runtime", s.runtime.clone()),
            ("input", s.input.clone()),
            ("reference", s.reference.clone()),
            ("index", stem.to_owned()),
            ("annotation", s.annotation.clone()),
            ("database", s.database.clone()),
            ("outdir", s.outdir.clone()),
            ("scratch", s.scratch.clone()),
            ("partition", s.partition.clone()),
        ] {
            slots.0.insert(name, value);
        }
        slots
    }

    /// What only the message says: the resources offered, the name it complains about, the output it waited for.
    pub fn and_diagnosis(mut self, diagnosis: &Diagnosis) -> Slots {
        let message = diagnosis.message.as_str();
        if let Some(process) = &diagnosis.process {
            self.0.insert("process", process.clone());
        }
        let offered = message.split_once("avail: ").map(|(_, rest)| rest.trim());
        let offered = offered.map_or_else(|| self.0["available"].clone(), str::to_owned);
        self.0.insert("offered", offered);
        let property = || between(message, "No such property: ", " ");
        let name = between(message, "variable '", "'").or_else(property);
        self.0.insert("name", name.unwrap_or("name").to_owned());
        let expected = between(message, "file(s) `", "`").unwrap_or("*");
        self.0.insert("expected", expected.to_owned());
        let failed = || message.split_once("Node failure on ").map(|(_, node)| node);
        let node = between(message, " ON ", " CANCELLED").or_else(failed);
        self.0.insert("node", node.unwrap_or("").trim().to_owned());
        self
    }

    /// What a run makes up as it goes: job numbers, nodes, dates, directories; all of it from `chance`.
    pub fn and_chance(mut self, chance: u64) -> Slots {
        let draw = |stream: u64, most: u64| mix(chance ^ mix(stream)) % most;
        let hash = format!("{:08x}", draw(1, 1 << 32));
        let (short, rest) = hash.split_at(2);
        let work = format!("/scratch/work/{short}/{rest}{:024x}", mix(chance));
        let day = format!("2025-{:02}-{:02}", 1 + draw(2, 12), 1 + draw(3, 28));
        let hour = format!("{:02}:{:02}:{:02}", draw(4, 24), draw(5, 60), draw(6, 60));
        for (name, value) in [
            ("job", (1_000_000 + draw(7, 9_000_000)).to_string()),
            ("node", format!("node{:03}", 1 + draw(8, 128))),
            ("date", format!("{day}T{hour}")),
            ("pid", (2_000 + draw(9, 4_000_000)).to_string()),
            ("few", (2 + draw(10, 7)).to_string()),
            ("many", (100 + draw(11, 99_900)).to_string()),
            ("workdir", work),
            ("hash_short", format!("{short}/{rest}")),
            ("hash", hash.clone()),
        ] {
            self.0.insert(name, value);
        }
        self
    }

    /// Sets one slot.
    pub fn set(&mut self, name: &'static str, value: String) {
        self.0.insert(name, value);
    }

    /// The template with its slots filled; `None` for an empty one and for one that needs what is not known.
    pub fn fill_known(&self, template: &str) -> Option<String> {
        let known = |(at, _)| {
            let value = slot(&template[at + 1..]).and_then(|name| self.0.get(name));
            value.is_none_or(|value: &String| !value.is_empty())
        };
        let all = !template.is_empty() && template.match_indices('{').all(known);
        all.then(|| self.fill(template))
    }

    /// The template with its slots filled.
    pub fn fill(&self, template: &str) -> String {
        let mut out = String::with_capacity(template.len() + 32);
        let mut rest = template;
        while let Some(at) = rest.find('{') {
            out.push_str(&rest[..at]);
            let inside = &rest[at + 1..];
            match slot(inside).and_then(|name| self.0.get(name).map(|value| (name, value))) {
                Some((name, value)) => {
                    out.push_str(value);
                    rest = &inside[name.len() + 1..];
                }
                None => {
                    out.push('{');
                    rest = inside;
                }
            }
        }
        out.push_str(rest);
        out
    }
}

/// The word of lower-case letters up to a closing brace.
pub(super) fn slot(inside: &str) -> Option<&str> {
    let (name, _) = inside.split_once('}')?;
    let word = |c: char| c.is_ascii_lowercase() || c == '_';
    (!name.is_empty() && name.chars().all(word)).then_some(name)
}

/// One number of a well-mixed sequence: the finaliser of SplitMix64.
pub(super) fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

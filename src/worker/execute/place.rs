//! The directory of one run: the workflow's files, its sample sheet and parameters, and what the command's words stand for.

use super::{Job, listing::text, repair::Sample};
use crate::{
    artifacts::{create_dir_private, named, write_atomic},
    machines::spec::TestDatasetSpec,
    workflow::{plan::Plan, writer},
};
use serde_json::{Map, Value, json};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What an earlier attempt left is removed but for these: with `-resume` Nextflow goes on from them.
const KEPT: [&str; 2] = ["work", ".nextflow"];

/// A run's directory.
#[derive(Debug)]
pub(super) struct Place {
    pub dir: PathBuf,
    /// What stands for each placeholder.
    pub values: Vec<(&'static str, String)>,
    /// The command with its words filled in.
    pub command: Vec<String>,
}

impl Place {
    /// Makes the directory of a sample's run, with everything that is there before the command starts.
    ///
    /// # Errors
    /// With the path.
    pub fn prepare(job: &Job, sample: &Sample, set: Option<&TestDatasetSpec>) -> io::Result<Self> {
        let dir = job.executions.join(&sample.id);
        create_dir_private(&dir)?;
        clear(&dir)?;
        let row = &sample.row;
        for (key, name) in [
            ("generated_code", "main.nf"),
            ("config_code", "nextflow.config"),
            ("readme", "README.md"),
        ] {
            if let Some(content) = text(row, key) {
                write_atomic(&dir.join(name), content.as_bytes())?;
            }
        }
        let plan = plan(row);
        let sheet = sheet(plan.as_ref(), set.map_or(&[][..], |set| &set.fastq_paths));
        write_atomic(&dir.join("samplesheet.csv"), sheet.as_bytes())?;
        let params = params(&dir, plan.as_ref(), set);
        write_atomic(&dir.join("params.json"), params.to_string().as_bytes())?;
        let values = values(job, &dir, set);
        let mut command: Vec<String> = (job.settings.command.iter())
            .map(|word| crate::worker::exec::fill(word, &values))
            .collect();
        // A program beside the campaign file is meant, not one beside the workflow.
        if let Some(program) = command.first_mut().filter(|program| program.contains('/')) {
            *program = job.directory.join(&*program).to_string_lossy().into_owned();
        }
        Ok(Self {
            dir,
            values,
            command,
        })
    }

    pub fn stdout(&self) -> PathBuf {
        self.dir.join("stdout.log")
    }

    pub fn stderr(&self) -> PathBuf {
        self.dir.join("stderr.log")
    }

    /// Where results go.
    pub fn results(&self) -> PathBuf {
        self.dir.join("results")
    }
}

/// The plan of a sample, where it has one.
pub(super) fn plan(row: &Map<String, Value>) -> Option<Plan> {
    serde_json::from_str(text(row, "plan_json")?).ok()
}

/// Empties a directory: logs and a trace of an earlier attempt are no evidence of this one.
fn clear(dir: &Path) -> io::Result<()> {
    let listed = fs::read_dir(dir).map_err(|error| named(error, "list", dir))?;
    for entry in listed {
        let entry = entry.map_err(|error| named(error, "list", dir))?;
        let name = entry.file_name();
        if KEPT.iter().any(|kept| name == *kept) {
            continue;
        }
        let path = entry.path();
        // A link is removed, never what it leads to.
        let removed = match entry.file_type() {
            Ok(kind) if kind.is_dir() => fs::remove_dir_all(&path),
            _ => fs::remove_file(&path),
        };
        removed.map_err(|error| named(error, "remove", &path))?;
    }
    Ok(())
}

fn values(job: &Job, dir: &Path, set: Option<&TestDatasetSpec>) -> Vec<(&'static str, String)> {
    let inside = |name: &str| dir.join(name).to_string_lossy().into_owned();
    let shown = |path: &Path| path.to_string_lossy().into_owned();
    let work = match (&job.work_base, dir.file_name()) {
        (Some(base), Some(name)) => shown(&base.join(name)),
        _ => inside("work"),
    };
    let of = |value: fn(&TestDatasetSpec) -> String| set.map(value).unwrap_or_default();
    vec![
        ("workflow", inside("main.nf")),
        ("directory", shown(dir)),
        ("work", work),
        ("reads", of(|set| set.fastq_paths.join(","))),
        ("input", inside("samplesheet.csv")),
        ("reference", of(|set| set.reference_path.clone())),
        ("params", inside("params.json")),
        ("outdir", inside("results")),
        ("dataset", of(|set| set.name.clone())),
        ("campaign", shown(&job.directory)),
    ]
}

/// One sample of a test data set: its name and its one or two files.
#[derive(Debug, PartialEq, Eq)]
struct Reads<'a> {
    sample: String,
    files: (&'a str, Option<&'a str>),
}

/// The ways in which the two files of a pair are told apart.
const MATES: [(&str, &str); 4] = [
    ("_R1", "_R2"),
    ("_1.", "_2."),
    (".R1", ".R2"),
    (".1.", ".2."),
];

fn stem(path: &str) -> &str {
    let name = path.rsplit('/').next().unwrap_or(path);
    let end = [".fastq", ".fq", ".bam", ".pod5"];
    let cut = end.iter().filter_map(|ending| name.find(ending)).min();
    &name[..cut.unwrap_or(name.len())]
}

/// Files to samples: the second of a pair is the one named as the first but for its mark.
fn paired(files: &[String]) -> Vec<Reads<'_>> {
    let mut left: Vec<&str> = files.iter().map(String::as_str).collect();
    let mut all = Vec::new();
    while !left.is_empty() {
        let first = left.remove(0);
        let (dir, name) = first.rsplit_once('/').unwrap_or(("", first));
        let mate = MATES.iter().find_map(|(one, two)| {
            let at = name.rfind(one)?;
            let other = format!("{}{two}{}", &name[..at], &name[at + one.len()..]);
            let other = if dir.is_empty() && !first.starts_with('/') {
                other
            } else {
                format!("{dir}/{other}")
            };
            let place = left.iter().position(|path| *path == other)?;
            Some((name[..at].to_owned(), left.remove(place)))
        });
        all.push(match mate {
            Some((sample, second)) => Reads {
                sample,
                files: (first, Some(second)),
            },
            None => Reads {
                sample: stem(first).to_owned(),
                files: (first, None),
            },
        });
    }
    all
}

/// The sample sheet: the plan's columns, with the data set's samples and files; what else a column holds is the catalogue's
/// example.
fn sheet(plan: Option<&Plan>, files: &[String]) -> String {
    let columns = match plan.map(|plan| &plan.columns) {
        Some(columns) if !columns.is_empty() => columns.clone(),
        _ => ["sample", "fastq_1", "fastq_2"].map(String::from).to_vec(),
    };
    let examples = plan.map(writer::rows).unwrap_or_default();
    let mut text = columns.join(",") + "\n";
    for (at, reads) in paired(files).iter().enumerate() {
        let example = (!examples.is_empty()).then(|| &examples[at % examples.len()]);
        let cell = |(place, column): (usize, &String)| {
            let (first, second) = reads.files;
            quoted(match column.as_str() {
                "sample" => &reads.sample,
                "fastq_1" | "fastq" | "pod5" => first,
                "fastq_2" => second.unwrap_or(""),
                _ => example
                    .and_then(|row| row.get(place))
                    .map_or("", String::as_str),
            })
        };
        let cells: Vec<String> = columns.iter().enumerate().map(cell).collect();
        text += &(cells.join(",") + "\n");
    }
    text
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.into()
    }
}

/// The parameters file: input, outdir, and of what the plan asks for the files that the reference has.
fn params(dir: &Path, plan: Option<&Plan>, set: Option<&TestDatasetSpec>) -> Value {
    let mut params = json!({
        "input": dir.join("samplesheet.csv"),
        "outdir": dir.join("results"),
    });
    let reference = set.map_or("", |set| &set.reference_path);
    if reference.is_empty() {
        return params;
    }
    let files = files_of(Path::new(reference));
    let asked = plan.into_iter().flat_map(|plan| &plan.params);
    for (name, _) in asked.filter(|(_, value)| *value == "null") {
        if let Some(file) = file_for(name, &files).filter(|_| name != "input") {
            params[name] = file.to_string_lossy().into();
        }
    }
    params
}

/// A reference that is a file is the only one; a directory's are those in it, by name.
fn files_of(reference: &Path) -> Vec<PathBuf> {
    let Ok(listed) = fs::read_dir(reference) else {
        return vec![reference.into()];
    };
    let mut files: Vec<PathBuf> = listed.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
}

/// The file that a parameter means: the one that bears its name, else the first of its kind.
fn file_for<'a>(param: &str, files: &'a [PathBuf]) -> Option<&'a Path> {
    let name = |file: &Path| {
        file.file_name()
            .map(|name| name.to_string_lossy().to_lowercase())
    };
    let called = |file: &&PathBuf| {
        name(file).is_some_and(|name| {
            let rest = name.strip_prefix(param);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    };
    let kind = |file: &&PathBuf| {
        let Some(name) = name(file) else { return false };
        let plain = name.strip_suffix(".gz").unwrap_or(&name);
        let ends = |endings: &[&str]| endings.iter().any(|ending| plain.ends_with(ending));
        let sequence = ends(&[".fa", ".fasta", ".fna"]);
        match param {
            "fasta" => sequence && !plain.contains("transcript"),
            "transcripts" => sequence && plain.contains("transcript"),
            "gtf" => ends(&[".gtf"]),
            _ => false,
        }
    };
    let found = files.iter().find(called);
    found
        .or_else(|| files.iter().find(kind))
        .map(PathBuf::as_path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).into()).collect()
    }

    #[test]
    fn pairs_are_found_in_any_order_and_singles_stay_single() {
        let given = files(&[
            "/d/a_R1_001.fastq.gz",
            "/d/b.fq.gz",
            "/d/a_R2_001.fastq.gz",
            "/d/c_1.fq",
            "/d/c_2.fq",
            "/e/d_R1.fastq.gz",
        ]);
        let shown: Vec<String> = (paired(&given).iter())
            .map(|reads| {
                format!(
                    "{} {} {}",
                    reads.sample,
                    reads.files.0,
                    reads.files.1.unwrap_or("-")
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "a /d/a_R1_001.fastq.gz /d/a_R2_001.fastq.gz",
                "b /d/b.fq.gz -",
                "c /d/c_1.fq /d/c_2.fq",
                "d_R1 /e/d_R1.fastq.gz -"
            ]
        );
    }

    #[test]
    fn a_sheet_has_the_columns_that_the_workflow_reads() {
        let given = files(&["/d/a, b_R1.fastq.gz", "/d/a, b_R2.fastq.gz"]);
        assert_eq!(
            sheet(None, &given),
            "sample,fastq_1,fastq_2\n\"a, b\",\"/d/a, b_R1.fastq.gz\",\"/d/a, b_R2.fastq.gz\"\n"
        );
    }

    #[test]
    fn a_parameter_gets_the_file_that_bears_its_name_or_is_of_its_kind() {
        let all: Vec<PathBuf> = [
            "/r/GRCh38.fa.gz",
            "/r/GRCh38.gtf",
            "/r/GRCh38.transcripts.fa",
            "/r/kraken2_db",
        ]
        .map(PathBuf::from)
        .into();
        let found = |param: &str| file_for(param, &all).map(|path| path.display().to_string());
        assert_eq!(found("fasta").as_deref(), Some("/r/GRCh38.fa.gz"));
        assert_eq!(found("gtf").as_deref(), Some("/r/GRCh38.gtf"));
        assert_eq!(
            found("transcripts").as_deref(),
            Some("/r/GRCh38.transcripts.fa")
        );
        assert_eq!(found("kraken2_db").as_deref(), Some("/r/kraken2_db"));
        assert_eq!(found("vep_cache"), None);
    }

    #[test]
    fn what_an_earlier_attempt_left_is_no_evidence() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("t-1-1");
        let outside = root.path().join("outside");
        fs::create_dir_all(dir.join("work/ab")).unwrap();
        fs::create_dir_all(dir.join("results")).unwrap();
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("kept"), "x").unwrap();
        fs::write(dir.join("trace.txt"), "old").unwrap();
        std::os::unix::fs::symlink(&outside, dir.join("link")).unwrap();
        clear(&dir).unwrap();
        let left: Vec<String> = (fs::read_dir(&dir).unwrap())
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(left, ["work"]);
        assert!(outside.join("kept").exists());
    }
}

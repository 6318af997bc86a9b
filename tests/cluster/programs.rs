//! The programs: their arguments as SLURM's own take them, and what they print.
//!
//! An argument that is not known here ends them, so that nobody believes it was heard.

use crate::{
    cluster::lists::Account,
    site::{Site, clock, ensure_controller},
};
use campaignd::{
    executor::slurm::calls::{Indices, Inquiry, QueueRow, Unanswered},
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    fs::OpenOptions,
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    thread::sleep,
    time::Duration,
};

/// Options: long name, short name, whether a value follows.
type Known = [(&'static str, &'static str, bool)];

const SBATCH: &Known = &[
    ("parsable", "", false),
    ("job-name", "J", true),
    ("clusters", "M", true),
];
const SQUEUE: &Known = &[
    ("noheader", "h", false),
    ("all", "a", false),
    ("me", "", false),
    ("states", "t", true),
    ("user", "u", true),
    ("format", "o", true),
    ("name", "n", true),
    ("clusters", "M", true),
];
const SACCT: &Known = &[
    ("noheader", "n", false),
    ("parsable2", "P", false),
    ("allocations", "X", false),
    ("delimiter", "", true),
    ("format", "o", true),
    ("jobs", "j", true),
    ("user", "u", true),
    ("name", "", true),
    ("starttime", "S", true),
    ("endtime", "E", true),
    ("state", "s", true),
    ("clusters", "M", true),
];
const SCANCEL: &Known = &[
    ("user", "u", true),
    ("name", "n", true),
    ("clusters", "M", true),
];
const SCONTROL: &Known = &[("clusters", "M", true)];

/// Arguments as they were understood.
#[derive(Default)]
struct Arguments {
    options: BTreeMap<&'static str, String>,
    rest: Vec<String>,
}

impl Arguments {
    fn read(known: &Known, words: &[String]) -> Result<Self, String> {
        let mut all = Self::default();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (name, value) = match (word.strip_prefix("--"), word.strip_prefix('-')) {
                (Some(long), _) => match long.split_once('=') {
                    Some((name, value)) => (name, Some(value.to_owned())),
                    None => (long, None),
                },
                (None, Some(short)) if !short.is_empty() => (short, None),
                _ => {
                    all.rest.push(word.clone());
                    continue;
                }
            };
            let found = known
                .iter()
                .find(|(long, short, _)| name == *long || (!short.is_empty() && name == *short));
            let (long, _, valued) = found.ok_or_else(|| format!("unrecognized option '{word}'"))?;
            let value = match valued {
                true => value.or_else(|| words.next().cloned()),
                false => Some(String::new()),
            };
            let value = value.ok_or_else(|| format!("option '{word}' requires an argument"))?;
            all.options.insert(long, value);
        }
        Ok(all)
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    fn list(&self, name: &str) -> Vec<&str> {
        let text = self.get(name).unwrap_or_default();
        text.split(',').filter(|part| !part.is_empty()).collect()
    }
}

/// What a program printed, or why it failed.
type Said = Result<String, Unanswered>;

/// Runs one of the programs.
pub fn run(dir: &Path, program: &str, words: &[String]) -> ExitCode {
    note(dir, program, words);
    let known = match program {
        "sbatch" => SBATCH,
        "squeue" => SQUEUE,
        "sacct" => SACCT,
        "scancel" => SCANCEL,
        _ => SCONTROL,
    };
    let arguments = match Arguments::read(known, words) {
        Ok(arguments) => arguments,
        Err(text) => {
            eprintln!("{program}: {text}");
            return ExitCode::FAILURE;
        }
    };
    let Some(mut site) = Site::open(dir) else {
        eprintln!("{program}: error: there is no cluster in {}", dir.display());
        return ExitCode::FAILURE;
    };
    let said = match program {
        "sbatch" => sbatch(&mut site, &arguments),
        "squeue" => squeue(&mut site, &arguments),
        "sacct" => sacct(&mut site, &arguments),
        "scancel" => scancel(&mut site, &arguments),
        _ => ping(&mut site),
    };
    let (banners, hang) = (
        site.cluster.faults.banners,
        site.cluster.faults.hang_seconds,
    );
    site.close();
    ensure_controller();
    tell(program, said, banners, hang)
}

/// A line for each run: the program and its arguments.
fn note(dir: &Path, program: &str, words: &[String]) {
    let line = format!("{program} {}\n", words.join(" ").replace('\n', " "));
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join("calls"));
    // A test that looks for it will miss it.
    let _ = file.and_then(|mut file| file.write_all(line.as_bytes()));
}

fn tell(program: &str, said: Said, banners: bool, hang: u64) -> ExitCode {
    if banners {
        eprintln!("*** Welcome. 3 nodes are down for maintenance. ***");
    }
    match said {
        Ok(text) if banners && program == "sbatch" => {
            print!(
                "--------\nYou have used 80 % of\n1000 hours\n--------\n{text}Have a nice day\n"
            );
            ExitCode::SUCCESS
        }
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(no) => {
            if no.text().contains("timed out") {
                sleep(Duration::from_secs(hang));
            }
            eprintln!("{}", no.text());
            ExitCode::FAILURE
        }
    }
}

fn ping(site: &mut Site) -> Said {
    let up = site.cluster.ping(clock()).is_ok();
    // As scontrol does, it says so on stdout either way.
    println!(
        "Slurmctld(primary) at faulty is {}",
        if up { "UP" } else { "DOWN" }
    );
    match up {
        true => Ok(String::new()),
        false => Err(Unanswered::Unsure(String::new())),
    }
}

fn sbatch(site: &mut Site, arguments: &Arguments) -> Said {
    let script = arguments
        .rest
        .first()
        .map(PathBuf::from)
        .unwrap_or_default();
    let id = site
        .cluster
        .sbatch(arguments.get("job-name"), &script, clock())?;
    Ok(
        match (arguments.get("parsable"), arguments.get("clusters")) {
            (Some(_), Some(cluster)) => format!("{id};{cluster}\n"),
            (Some(_), None) => format!("{id}\n"),
            (None, _) => format!("Submitted batch job {id}\n"),
        },
    )
}

fn squeue(site: &mut Site, arguments: &Arguments) -> Said {
    let rows = site.cluster.squeue(clock())?;
    let all = arguments.get("states") == Some("all");
    let names = arguments.list("name");
    let format = arguments.get("format").unwrap_or("%i %P %j %T %r %N");
    let mut text = String::new();
    if arguments.get("noheader").is_none() {
        text.push_str("JOBID ...\n");
    }
    for row in &rows {
        let over = matches!(
            row.state.meaning(),
            campaignd::executor::slurm::words::Meaning::Over(_)
        );
        if (all || !over) && (names.is_empty() || names.contains(&row.name.as_str())) {
            text.push_str(&queue_line(format, row));
            text.push('\n');
        }
    }
    Ok(text)
}

fn queue_line(format: &str, row: &QueueRow) -> String {
    let (mut line, mut symbols) = (String::new(), format.chars());
    let or_none = |text: &str| if text.is_empty() { "None" } else { text }.to_owned();
    while let Some(c) = symbols.next() {
        if c != '%' {
            line.push(c);
            continue;
        }
        line.push_str(&match symbols.next() {
            Some('F' | 'A') => row.id.to_string(),
            Some('K') => match &row.indices {
                Indices::Whole => "N/A".into(),
                indices => cut(&list(indices)),
            },
            Some('i') => job_id(row.id, &row.indices),
            Some('j') => row.name.clone(),
            Some('T') => row.state.to_string(),
            Some('r') => or_none(&row.reason),
            Some('N') => row.nodes.clone(),
            Some('P') => row.partition.clone(),
            other => panic!("squeue: the symbol {other:?} is not known here"),
        });
    }
    line
}

fn list(indices: &Indices) -> String {
    let Indices::Some(ranges) = indices else {
        return String::new();
    };
    let one = |(first, last): &(u32, u32)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    ranges.iter().map(one).collect::<Vec<_>>().join(",")
}

/// As SLURM cuts lists of indices, unless it is told not to.
fn cut(list: &str) -> String {
    let most = env::var("SLURM_BITSTR_LEN")
        .ok()
        .and_then(|text| text.parse().ok());
    match most.unwrap_or(64) {
        0 => list.into(),
        most if list.len() <= most => list.into(),
        most => format!("{}...", &list[..most]),
    }
}

fn job_id(id: u64, indices: &Indices) -> String {
    match indices {
        Indices::Whole => id.to_string(),
        Indices::Some(ranges) if matches!(ranges[..], [(first, last)] if first == last) => {
            format!("{id}_{}", ranges[0].0)
        }
        indices => format!("{id}_[{}]", cut(&list(indices))),
    }
}

fn sacct(site: &mut Site, arguments: &Arguments) -> Said {
    let ids: BTreeSet<u64> = arguments
        .list("jobs")
        .iter()
        .filter_map(|id| id.parse().ok())
        .collect();
    let names: BTreeSet<String> = arguments
        .list("name")
        .iter()
        .map(|name| (*name).into())
        .collect();
    let since = arguments.get("starttime").map(|text| {
        let at = humantime::parse_rfc3339_weak(text);
        at.map(Timestamp::from)
            .unwrap_or_else(|_| panic!("sacct: {text} is no time"))
    });
    let both = !ids.is_empty() && !names.is_empty();
    let inquiry = Inquiry {
        ids: ids.clone(),
        names: names.clone(),
        since: since.unwrap_or_default(),
    };
    let mut accounts = site.cluster.sacct(&inquiry, clock())?;
    if arguments.get("state").is_some() && arguments.get("endtime").is_none() {
        // Then the end is the start, and nothing of this site was in any state at that instant.
        accounts.clear();
    }
    // Two questions at once are one about jobs that fit both.
    accounts.retain(|account| {
        !both || (ids.contains(&account.row.id) && names.contains(&account.row.name))
    });
    let delimiter = arguments.get("delimiter").unwrap_or("|");
    let columns = arguments.list("format");
    let lines = accounts.iter().map(|account| {
        let fields = columns.iter().map(|column| field(column, account));
        fields.collect::<Vec<_>>().join(delimiter) + "\n"
    });
    Ok(lines.collect())
}

fn field(column: &str, account: &Account) -> String {
    let row = &account.row;
    match column {
        "JobID" => job_id(row.id, &row.indices),
        "JobName" => row.name.clone(),
        "State" => row.state.to_string(),
        "ExitCode" => row.exit.clone(),
        "ElapsedRaw" => row.elapsed_seconds.unwrap_or(0).to_string(),
        "Start" => account.began.map_or("Unknown".into(), time),
        "NodeList" if row.nodes.is_empty() => "None assigned".into(),
        "NodeList" => row.nodes.clone(),
        "Submit" => time(account.submitted),
        other => panic!("sacct: the column {other} is not known here"),
    }
}

fn time(at: Timestamp) -> String {
    match env::var("SLURM_TIME_FORMAT").as_deref() {
        Ok("%s") => (at.0 / 1000).to_string(),
        _ => at.to_string().trim_end_matches('Z').into(),
    }
}

fn scancel(site: &mut Site, arguments: &Arguments) -> Said {
    let ids = arguments
        .rest
        .iter()
        .filter_map(|id| id.parse().ok())
        .collect();
    let names = arguments
        .get("name")
        .map(str::to_owned)
        .into_iter()
        .collect();
    site.cluster.scancel(&ids, &names, clock())?;
    Ok(String::new())
}

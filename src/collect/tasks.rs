//! Task directories: `work/8d/61af4f.../` with the script, the output and the exit status of one attempt.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::files::{Room, name, written};

/// Most task directories that are looked into.
const MOST: usize = 100_000;
/// Most files of one task that are counted.
const FILES: usize = 10_000;

/// A task directory.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TaskDir {
    /// Where it is.
    pub path: PathBuf,
    /// As a trace writes it: `8d/61af4f`.
    pub hash: String,
}

/// Files given and made.
#[derive(Debug, Default)]
pub struct Counted {
    /// Targets of the links to files from outside the work directory, each once.
    pub inputs: BTreeSet<PathBuf>,
    /// Their sizes, bytes.
    pub input_bytes: u64,
    /// Regular files that tasks made.
    pub outputs: u64,
    /// Their sizes, bytes.
    pub output_bytes: u64,
}

/// The task directories below `work`, in the order of their names.
pub fn find(room: &mut Room<'_>, work: &Path) -> Vec<TaskDir> {
    let mut found = Vec::new();
    let hexadecimal = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit());
    for short in room.list(work) {
        let first = name(&short);
        if first.len() != 2 || !hexadecimal(&first) {
            continue;
        }
        for path in room.list(&short) {
            let rest = name(&path);
            if rest.len() < 6 || !hexadecimal(&rest) || !path.is_dir() {
                continue;
            }
            if found.len() == MOST {
                room.note(format!("only the first {MOST} task directories were read"));
                return found;
            }
            let hash = format!("{first}/{}", &rest[..6]);
            found.push(TaskDir { path, hash });
        }
    }
    found
}

/// Counts what the tasks were given and what they made. A link that stays in the work directory is another task's output;
/// one that leaves it is an input, whose size is asked for and whose content is never read. Nextflow's own files
/// (`.command.*`, `.exitcode`) are neither.
pub fn count(room: &mut Room<'_>, work: &Path, tasks: &[TaskDir]) -> Counted {
    let mut counted = Counted::default();
    let work = fs::canonicalize(work).unwrap_or_else(|_| work.to_owned());
    for task in tasks {
        let mut open = room.list(&task.path);
        let mut seen = 0;
        while let Some(path) = open.pop() {
            seen += 1;
            if seen > FILES {
                let note = format!("only {FILES} files of {} were counted", task.path.display());
                room.note(note);
                break;
            }
            if name(&path).starts_with('.') {
                continue;
            }
            let Ok(data) = fs::symlink_metadata(&path) else {
                continue;
            };
            if data.is_symlink() {
                counted.take_link(&path, &work);
            } else if data.is_dir() {
                open.extend(room.list(&path));
            } else if data.is_file() {
                counted.outputs += 1;
                counted.output_bytes = counted.output_bytes.saturating_add(data.len());
            }
        }
    }
    counted
}

impl Counted {
    fn take_link(&mut self, link: &Path, work: &Path) {
        let Ok(target) = fs::canonicalize(link) else {
            return;
        };
        let size =
            fs::metadata(&target).map_or(0, |data| if data.is_file() { data.len() } else { 0 });
        if !target.starts_with(work) && self.inputs.insert(target) {
            self.input_bytes = self.input_bytes.saturating_add(size);
        }
    }
}

/// The task directories as the text of a raw trace: for a run that wrote none. The name is what `.command.run` says, times
/// are those at which Nextflow's own files were written, and a task without `.exitcode` has no status.
pub fn as_trace(room: &mut Room<'_>, tasks: &[TaskDir]) -> String {
    let mut text = "hash\tworkdir\tname\tstatus\texit\tsubmit\tcomplete\trealtime\t%cpu\tpeak_rss\trchar\twchar\tread_bytes\twrite_bytes\n".to_owned();
    for task in tasks {
        let own = |file: &str| task.path.join(file);
        let read = |room: &mut Room<'_>, file: &str| {
            let path = own(file);
            path.exists().then(|| room.tail(&path)).flatten()
        };
        let script = read(room, ".command.run").unwrap_or_default();
        let named = script
            .lines()
            .find_map(|line| line.strip_prefix("# NEXTFLOW TASK: "));
        let exit = read(room, ".exitcode").map(|exit| exit.trim().to_owned());
        let exit = exit.filter(|exit| exit.parse::<i32>().is_ok());
        let status = match exit.as_deref() {
            Some("0") => "COMPLETED",
            Some(_) => "FAILED",
            None => "-",
        };
        let at = |file: &str| {
            let since = written(&own(file)).duration_since(UNIX_EPOCH).ok();
            let since = since.filter(|since| !since.is_zero());
            since.map_or("-".into(), |since| since.as_millis().to_string())
        };
        let trace = read(room, ".command.trace").unwrap_or_default();
        let value = |key: &str| -> Option<u64> {
            let found = |line: &str| {
                line.strip_prefix(key)?
                    .strip_prefix('=')?
                    .trim()
                    .parse()
                    .ok()
            };
            trace.lines().find_map(found)
        };
        let number = |value: Option<u64>| value.map_or("-".into(), |value| value.to_string());
        // Tenths of a percent, and KiB.
        let percent = value("%cpu").map_or("-".into(), |tenths| {
            format!("{}.{}", tenths / 10, tenths % 10)
        });
        let peak = value("peak_rss").and_then(|kib| kib.checked_mul(1_024));
        let plain = |text: &str| text.replace(['\t', '\n', '\r', '\0'], " ");
        let cells = [
            task.hash.clone(),
            plain(&task.path.to_string_lossy()),
            plain(named.unwrap_or(&task.hash)),
            status.to_owned(),
            exit.clone().unwrap_or_else(|| "-".into()),
            at(".command.begin"),
            at(".exitcode"),
            number(value("realtime")),
            percent,
            number(peak),
            number(value("rchar")),
            number(value("wchar")),
            number(value("read_bytes")),
            number(value("write_bytes")),
        ];
        text += &cells.join("\t");
        text.push('\n');
    }
    text
}

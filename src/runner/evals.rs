//! Whether a log of inspect-ai tells that an evaluation measured something.

use crate::report::inspect;
use serde_json::Value;
use std::{
    fs::{self, File},
    io::BufReader,
    path::Path,
    time::UNIX_EPOCH,
};

/// Clocks of a file system and of this machine may differ by so much, in milliseconds.
const CLOCKS: i64 = 60_000;

/// Whether there is a log of this task after this epoch that ended with success and was written since then (ms since 1970).
/// What a log does not say of task or epoch speaks against neither.
pub fn succeeded(logs: &Path, (task, epoch): (&str, u32), since: Option<i64>) -> bool {
    let entries = fs::read_dir(logs).into_iter().flatten().flatten();
    let mut paths = entries.map(|entry| entry.path());
    paths.any(|path| {
        let eval = path.extension().is_some_and(|end| end == "eval");
        eval && since.is_none_or(|since| written(&path) >= since.saturating_sub(CLOCKS))
            && tells(&path, task, epoch)
    })
}

fn written(path: &Path) -> i64 {
    let changed = fs::metadata(path).and_then(|facts| facts.modified()).ok();
    let since = changed.and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}

fn tells(path: &Path, task: &str, epoch: u32) -> bool {
    let Ok(log) = File::open(path)
        .map_err(|error| error.to_string())
        .and_then(|file| inspect::read(BufReader::new(file)))
    else {
        return false;
    };
    let said = |key: &str| match log.header.eval.metadata.get(key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    log.header.status == "success"
        && said("task_name").is_none_or(|said| said == task)
        && said("epoch").is_none_or(|said| said == epoch.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::inspect::{
        log::{Header, Spec, VERSION},
        write,
    };
    use serde_json::{Map, json};

    #[test]
    fn only_a_log_of_success_of_this_task_and_epoch_tells() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, status: &str, metadata: Map<String, Value>| {
            let header = Header {
                version: VERSION,
                status: status.into(),
                eval: Spec {
                    metadata,
                    ..Spec::default()
                },
                ..Header::default()
            };
            write(File::create(dir.path().join(name)).unwrap(), &header, &[]).unwrap();
        };
        let of = |task: &str, epoch: &str| {
            Map::from_iter([
                ("task_name".to_string(), json!(task)),
                ("epoch".into(), json!(epoch)),
            ])
        };
        let told = |since| succeeded(dir.path(), ("adding", 1), since);
        assert!(!told(None), "there is nothing");
        fs::write(dir.path().join("torn.eval"), "PK").unwrap();
        put("a.eval", "error", of("adding", "1"));
        put("b.eval", "success", of("adding", "0"));
        put("c.eval", "success", of("other", "1"));
        assert!(!told(None));
        put("d.eval", "success", of("adding", "1"));
        assert!(told(None) && told(Some(0)));
        assert!(!told(Some(i64::MAX)), "an earlier attempt wrote it");
    }
}

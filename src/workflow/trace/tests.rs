//! The parser against itself, against real traces, and against noise.

use std::fs;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// The real traces, or nothing, said by name.
fn samples(test: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/fixtures/nextflow/traces");
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped {test}: no {}", folder.display());
    None
}

fn sums(sums: &Sums, account: &Account) -> Value {
    let mut said = Map::new();
    let mut say = |name: &str, (value, rows): (f64, u64), column: &str| {
        let there = account.columns.contains(column);
        let rows_of = name
            .replace("time_hours", "time")
            .replace("duration_hours", "duration");
        said.insert(name.into(), if there { json!(value) } else { Value::Null });
        said.insert(format!("{rows_of}_rows"), json!(rows));
    };
    say("cpu_hours_pct", sums.cpu_hours(), "%cpu");
    say("cpu_hours_cpus", sums.cpu_hours_requested(), "cpus");
    say("realtime_hours", sums.realtime_hours(), "realtime");
    say("duration_hours", sums.duration_hours(), "duration");
    let peak = account.peak_column.unwrap_or("peak_rss");
    say("mem_gib_hours_peak", sums.memory_gib_hours(), peak);
    let memory = sums.memory_gib_hours_requested();
    say("mem_gib_hours_requested", memory, "memory");
    Value::Object(said)
}

fn wall(wall: Option<Wall>) -> Value {
    wall.map_or(Value::Null, |wall| {
        json!({
            "first_submit": shown(wall.first),
            "last_end": shown(wall.last),
            "wall_minutes": wall.minutes(),
        })
    })
}

/// What an account says, in the words of the sidecars.
fn told(account: &Account, trace: &Trace<'_>) -> Map<String, Value> {
    let failed: Vec<Value> = (account.failures.iter())
        .map(|one| {
            json!({ "task_id": one.task_id, "name": one.name, "exit": one.exit.as_deref().unwrap_or("-"), "native_id": one.native_id })
        })
        .collect();
    let names: std::collections::BTreeSet<_> = account.failures.iter().map(|f| &f.name).collect();
    let processes: Map<String, Value> = (account.processes.iter())
        .map(|(name, one)| {
            let own = json!({ "rows": one.rows, "by_status": one.by_status, "realtime_hours": one.realtime_hours, "max_peak_bytes": one.max_peak_bytes });
            (name.clone(), own)
        })
        .collect();
    let mut said = json!({
        "delimiter": if trace.delimiter == Delimiter::Tab { "tab" } else { "comma" },
        "header": trace.columns(),
        "rows": account.rows,
        "by_status": account.by_status,
        "by_status_exit": account.by_status_exit,
        "failed": failed,
        "failed_distinct_names": names.len(),
        "failed_or_aborted_names_never_successful": account.lost(),
        "failed_or_aborted_rows_recovered": account.recovered(),
        "name_is_unique_among_successes": account.unique_names,
        "max_attempt": account.most_attempts,
        "all_rows": sums(&account.all, account),
        "without_cached": sums(&account.fresh, account),
        "peak_memory_column": account.peak_column,
        "peak_memory_max_bytes": account.peak.map(Milli::as_f64),
        "peak_memory_max_names": account.peak_names,
        "peak_memory_sum_bytes": account.peaks.value(),
        "peak_memory_rows": account.peaks.rows,
        "wall_all_rows": wall(account.wall),
        "wall_without_cached": wall(account.wall_fresh),
        "processes": processes,
    });
    for name in MOVED {
        let sum = account.moved.get(name);
        let total = sum.map(|sum| sum.value().unwrap_or(0.0));
        said[format!("{name}_sum_bytes")] = json!(total);
        said[format!("{name}_rows")] = json!(sum.map_or(0, |sum| sum.rows));
    }
    let Value::Object(said) = said else {
        unreachable!("it was made as an object")
    };
    said
}

/// Whether two values are the same, where 1 and 1.0 are.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let within = |(key, a): (&String, &Value)| b.get(key).is_some_and(|b| same(a, b));
            a.len() == b.len() && a.iter().all(within)
        }
        _ => one == other,
    }
}

#[test]
fn real_traces_come_to_what_was_computed_apart() {
    let Some(folder) = samples("real_traces_come_to_what_was_computed_apart") else {
        return;
    };
    // What is about the file, not about what it says.
    let about = ["file", "sha256", "bytes", "row_widths"];
    let (mut traces, mut values) = (0, 0);
    for file in fs::read_dir(&folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with(".expected.json") {
            continue;
        }
        let sidecar = folder.join(format!("{name}.expected.json"));
        let expected: Map<String, Value> =
            serde_json::from_slice(&fs::read(sidecar).unwrap()).unwrap();
        let text = fs::read_to_string(&path).unwrap();
        let trace = parse(&text).unwrap();
        assert_eq!(trace.defects, Defects::default(), "{name}");
        let account = Account::of(std::slice::from_ref(&trace));
        assert!(account.unread.is_empty(), "{name}: {:?}", account.unread);
        let said = told(&account, &trace);
        for (key, value) in expected
            .iter()
            .filter(|(key, _)| !about.contains(&key.as_str()))
        {
            assert!(
                same(&said[key], value),
                "{name}: {key}: {}",
                difference(&said[key], value)
            );
            values += 1;
        }
        traces += 1;
    }
    println!("{values} values of {traces} traces");
    assert!(traces >= 13 && values >= 13 * 29, "{traces} {values}");
}

/// Both, without what they share.
fn difference(said: &Value, expected: &Value) -> String {
    let (Some(a), Some(b)) = (said.as_object(), expected.as_object()) else {
        return format!("{said} and should be {expected}");
    };
    let differs = |key: &&String| !same(a.get(*key).unwrap_or(&Value::Null), &b[*key]);
    let keys: Vec<&String> = b.keys().filter(differs).collect();
    format!("{keys:?} differ")
}

fn account(text: &str) -> Account {
    Account::of(&[parse(text).unwrap()])
}

#[test]
fn columns_come_in_any_order_and_a_dash_is_no_zero() {
    let text = "status,peak_rss,name,realtime,%cpu\nCOMPLETED,0,A (1),1h,50%\nCOMPLETED,-,A (2),1h,-\nCOMPLETED,1 GB,A (3),30m,200%\n";
    let account = account(text);
    assert_eq!(account.fresh.cpu_hours(), (1.5, 2));
    assert_eq!(account.fresh.memory_gib_hours(), (0.5, 2));
    assert_eq!(account.fresh.realtime_hours(), (2.5, 3));
    assert_eq!(account.processes["A"].rows, 3);
}

#[test]
fn cached_rows_are_another_runs_and_recovered_failures_are_none() {
    let text = "name\tstatus\texit\trealtime\t%cpu\tsubmit\tduration\n\
        A (1)\tCACHED\t0\t5h\t100%\t2020-01-01 00:00:00.000\t5h\n\
        B (1)\tFAILED\t137\t1h\t100%\t2021-01-01 00:00:00.000\t1h\n\
        B (1)\tCOMPLETED\t0\t2h\t100%\t2021-01-01 01:00:00.000\t2h\n\
        C (1)\tABORTED\t-\t-\t-\t2021-01-01 01:00:00.000\t-\n\
        D (1)\tLATER_WORD\t-\t-\t-\t-\t-\n";
    let account = account(text);
    let metrics = ExecutionMetrics::from(&account);
    assert_eq!(metrics.total_cpu_hours, 3.0);
    assert_eq!(account.all.cpu_hours(), (8.0, 3));
    assert_eq!(metrics.wall_time_minutes, 180.0);
    assert_eq!(
        (metrics.completed_processes, metrics.failed_processes),
        (2, 2)
    );
    assert_eq!(metrics.error_processes, ["C (1)"]);
    assert_eq!(metrics.by_status["LATER_WORD"], 1);
    assert_eq!(metrics.total_processes, 5);
    assert_eq!(
        (metrics.observations.cpu, metrics.observations.wall),
        (2, 2)
    );
}

#[test]
fn what_is_odd_is_counted_and_the_rest_is_read() {
    let text = "\u{feff}task_id\tname\tstatus\tname\r\n\
        1\tA\tCOMPLETED\tA\r\n\
        2\tA \"x\ty\" z\tFAILED\tA\r\n\
        3\tB\r\n\
        task_id\tname\tstatus\tname\r\n\
        \0\0\0\r\n\
        4\tC\0\tCOMPLETED\tC\r\n\
        5\tD\tx\ty\tz\tw\r\n\
        \r\n\
        6\tE";
    let trace = parse(text).unwrap();
    let expected = Defects {
        torn: true,
        short: 1,
        mended: 1,
        long: 1,
        nul: 2,
        headers: 1,
        duplicates: vec!["name".into()],
    };
    assert_eq!(trace.defects, expected);
    let names: Vec<_> = trace.rows().map(|row| row.get(Some(1))).collect();
    assert_eq!(
        names,
        [Some("A"), Some("A \"x\ty\" z"), Some("B"), Some("C")]
    );
    let account = Account::of(&[trace]);
    assert_eq!(account.by_status["-"], 1);
}

#[test]
fn values_that_cannot_be_read_are_counted_and_never_zero() {
    let account = account(
        "name,status,realtime,%cpu,peak_rss\nA,COMPLETED,soon,NaN,-5\nA,COMPLETED,1h,100,1\n",
    );
    assert_eq!(account.fresh.cpu_hours(), (1.0, 1));
    let unread: Vec<_> = account.unread.into_iter().collect();
    assert_eq!(unread, [("%cpu", 1), ("peak_rss", 1), ("realtime", 1)]);
}

#[test]
fn no_number_overflows() {
    let most = format!("{}", u64::MAX);
    let row = format!("A,COMPLETED,{most},{most},{most},{most},9223372036854775807\n");
    let text = format!(
        "name,status,realtime,%cpu,peak_rss,duration,submit\n{}",
        row.repeat(3)
    );
    let account = account(&text);
    assert!(account.unread.values().sum::<u64>() > 0);
    let large = format!("{}", u64::MAX / 1000);
    let row = format!("A,COMPLETED,{large},{large},{large},{large},9223372036854775807\n");
    let text = format!(
        "name,status,realtime,%cpu,peak_rss,duration,submit\n{}",
        row.repeat(3)
    );
    let account = self::account(&text);
    assert!(account.fresh.memory_gib_hours().0.is_finite());
}

#[test]
fn what_is_no_trace_is_refused() {
    for text in [
        "",
        "\n\n",
        "N E X T F L O W  ~  version 23.04.1\n",
        "a,b,c\n1,2,3\n",
        "sample,status,fastq_1,fastq_2\n",
        "{\"name\": 1}",
        "\0\0\0",
    ] {
        assert!(parse(text).is_err(), "{text}");
    }
    let said = parse("Sample\tfastqc\n").unwrap_err().to_string();
    assert!(
        said.contains("Sample") && said.contains("task_id"),
        "{said}"
    );
    assert!(parse("name\n").unwrap().is_empty());
}

/// A table as its format has it.
fn render(columns: &[String], rows: &[Vec<String>], delimiter: Delimiter, end: &str) -> String {
    let quoted = |cell: &String| match delimiter {
        Delimiter::Tab => cell.clone(),
        Delimiter::Comma if cell.contains(['"', ',', '\n', '\r']) => {
            format!("\"{}\"", cell.replace('"', "\"\""))
        }
        Delimiter::Comma => cell.clone(),
    };
    let sign = if delimiter == Delimiter::Tab {
        "\t"
    } else {
        ","
    };
    let line = |cells: &Vec<String>| {
        let cells: Vec<String> = cells.iter().map(quoted).collect();
        cells.join(sign) + end
    };
    line(&columns.to_vec()) + &rows.iter().map(line).collect::<String>()
}

fn table() -> impl Strategy<Value = (Vec<String>, Vec<Vec<String>>, Delimiter, &'static str)> {
    let all = [
        "name", "status", "exit", "realtime", "%cpu", "peak_rss", "submit",
    ];
    let columns = Just(all.map(str::to_owned).to_vec()).prop_shuffle();
    let delimiter = prop_oneof![Just(Delimiter::Tab), Just(Delimiter::Comma)];
    let end = prop_oneof![Just("\n"), Just("\r\n")];
    (columns, delimiter, end).prop_flat_map(|(columns, delimiter, end)| {
        let cell = match delimiter {
            Delimiter::Tab => "[^\\t\\n\\r\\x00]{1,12}",
            Delimiter::Comma => "[^\\x00]{1,12}",
        };
        let row = proptest::collection::vec(cell, columns.len());
        let rows = proptest::collection::vec(row, 0..12);
        (Just(columns), rows, Just(delimiter), Just(end))
    })
}

proptest! {
    #[test]
    fn what_was_rendered_is_read_back((columns, rows, delimiter, end) in table()) {
        let text = render(&columns, &rows, delimiter, end);
        let trace = parse(&text).unwrap();
        prop_assert_eq!(trace.columns(), columns.as_slice());
        let read: Vec<Vec<String>> = trace
            .rows()
            .map(|row| row.cells().iter().map(|cell| cell.to_string()).collect())
            .collect();
        prop_assert_eq!(read, rows);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600), header in any::<bool>()) {
        let text = String::from_utf8_lossy(&bytes);
        let text = if header { format!("name,status,exit,realtime,submit,%cpu\n{text}") } else { text.into_owned() };
        if let Ok(trace) = parse(&text) {
            let rows = trace.rows().count() as u64;
            let account = Account::of(&[trace]);
            prop_assert_eq!(account.rows, rows);
            prop_assert_eq!(account.by_status.values().sum::<u64>(), rows);
        }
    }

    #[test]
    fn values_are_read_or_not(text in "[0-9.,:% TZdhmsKMGB-]{0,14}") {
        let _ = (duration(&text), size(&text), percent(&text), instant(&text).map(shown));
    }
}

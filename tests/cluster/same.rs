//! What the faulty cluster without faults and a real SLURM have in common: the same calls, the same answers.

use crate::bench::{Bench, all};
use campaignd::executor::slurm::{
    calls::{AccountRow, Answer, Call, Indices, QueueRow},
    words::Meaning,
};

/// Everything in turn, over programs on a `PATH`.
pub fn behaves_like_slurm(path: &std::ffi::OsStr) {
    let exits = Bench::new(path.into(), "exit $SLURM_ARRAY_TASK_ID");
    assert_eq!(exits.ask(&Call::Ping), Ok(Answer::Pong));
    an_array_runs_and_is_accounted_for(&exits);
    let waits = "trap 'echo told; exit 5' TERM; echo ready; while true; do sleep 0.05; done";
    let waits = Bench::new(path.into(), waits);
    a_singleton_waits_and_what_waits_is_cancelled(&waits);
    what_runs_is_told(&waits);
    the_list_of_an_array_comes_whole(&waits);
}

fn an_array_runs_and_is_accounted_for(bench: &Bench) {
    let id = bench.queued("same-exits", 3);
    let over = |rows: &[QueueRow]| {
        let over = rows
            .iter()
            .filter(|row| matches!(row.state.meaning(), Meaning::Over(_)));
        over.count() == 3
    };
    let mut rows = bench.until("all are over", "same-exits", over);
    rows.sort_by_key(|row| match &row.indices {
        Indices::Some(ranges) => ranges[0].0,
        other => panic!("{other:?}"),
    });
    for (index, row) in (0_u32..).zip(&rows) {
        assert_eq!(
            (row.id, &row.indices),
            (id, &Indices::Some(vec![(index, index)]))
        );
        let state = if index == 0 { "COMPLETED" } else { "FAILED" };
        assert_eq!(row.state.to_string(), state);
        let reason = if index == 0 { "" } else { "NonZeroExitCode" };
        assert_eq!(row.reason, reason);
        assert!(
            !row.nodes.is_empty() && !row.partition.is_empty(),
            "{row:?}"
        );
        let given = format!(
            "worker exec {} --position {} {id} {index}\n",
            bench.jobs.path().display(),
            5 + index
        );
        assert_eq!(bench.output(&format!("same-exits-{id}_{index}.out")), given);
    }
    // Both questions, and both answers.
    let known = |rows: &[AccountRow]| {
        rows.len() == 6
            && rows
                .iter()
                .all(|row| row.state.meaning() == Meaning::Over(None))
    };
    let rows = bench.accounts(&[id], &["same-exits"], known);
    let mut exits: Vec<&str> = rows.iter().map(|row| row.exit.as_str()).collect();
    exits.sort_unstable();
    assert_eq!(exits, ["0:0", "0:0", "1:0", "1:0", "2:0", "2:0"]);
    assert!(
        rows.iter()
            .all(|row| row.elapsed_seconds.is_some() && !row.nodes.is_empty())
    );
}

fn a_singleton_waits_and_what_waits_is_cancelled(bench: &Bench) {
    let first = bench.queued("same-name", 1);
    bench.until("it runs", "same-name", |rows| all(rows, "RUNNING"));
    let second = bench.queued("same-name", 1);
    let reason = |rows: &[QueueRow]| {
        rows.iter()
            .any(|row| row.id == second && row.reason == "Dependency")
    };
    let rows = bench.until("the second waits", "same-name", reason);
    let waiting = rows.iter().find(|row| row.id == second).unwrap();
    assert_eq!(
        (waiting.indices.clone(), waiting.nodes.as_str()),
        (Indices::Whole, "")
    );
    bench.cancel(&[second, 999_999], &["nobody"]);
    bench.until("it is cancelled", "same-name", |rows| {
        rows.iter()
            .any(|row| row.id == second && row.state.to_string() == "CANCELLED")
    });
    let rows = bench.accounts(
        &[second],
        &[],
        |rows| matches!(rows, [row] if row.state.to_string().starts_with("CANCELLED by ")),
    );
    assert_eq!(
        (rows[0].elapsed_seconds, rows[0].nodes.as_str()),
        (None, "")
    );
    bench.cancel(&[first], &[]);
    bench.until("both are over", "same-name", |rows| all(rows, "CANCELLED"));
}

fn what_runs_is_told(bench: &Bench) {
    let id = bench.queued("same-told", 1);
    let output = format!("same-told-{id}.out");
    bench.until("it is ready", "same-told", |_| {
        bench.output(&output).contains("ready")
    });
    bench.cancel(&[], &["same-told"]);
    bench.until("it is cancelled", "same-told", |rows| {
        all(rows, "CANCELLED")
    });
    assert!(
        bench.output(&output).contains("told"),
        "{}",
        bench.output(&output)
    );
}

fn the_list_of_an_array_comes_whole(bench: &Bench) {
    let script = bench.jobs.path().join("list.sh");
    let indices: Vec<String> = (0..100).map(|index| (index * 3).to_string()).collect();
    // All of it waits.
    let text = format!(
        "#!/bin/bash\n#SBATCH --array={}\n#SBATCH --begin=now+1hour\ntrue\n",
        indices.join(",")
    );
    std::fs::write(&script, text).unwrap();
    let call = Call::Submit {
        name: "same-list".into(),
        script,
    };
    assert!(matches!(bench.ask(&call), Ok(Answer::Submitted { .. })));
    let rows = bench.rows("same-list");
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert!(
        rows[0].indices.has(297) && !rows[0].indices.has(296),
        "{rows:?}"
    );
    bench.cancel(&[], &["same-list"]);
    bench.until("all is cancelled", "same-list", |rows| {
        all(rows, "CANCELLED")
    });
}

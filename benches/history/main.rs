//! How fast the history is asked: a filter and a sort over many runs, alone and with 32 readers at once on one history.
//!
//! `cargo bench --bench history` prints a line for each; `-- --quick` takes fewer rounds. The runs are made here: 10,000
//! with 50 metrics and 20 parameters each, one in twenty failed, some metrics missing.
#![allow(clippy::print_stdout, reason = "a measurement prints what it measured")]
#![allow(
    clippy::unwrap_used,
    reason = "a measurement ends where its assumption does"
)]

mod socket;

use campaignd::{
    history::{
        Experiment, Failure, FailureCause, History, Status,
        constraints::{Rules, learn},
        query::{Asked, Query, answer, find},
    },
    parameters::{Assignment, Value},
    time::Timestamp,
};
use std::{
    hint::black_box,
    sync::{Arc, Barrier},
    thread,
    time::Instant,
};

const RUNS: u64 = 10_000;
const METRICS: u64 = 50;
const PARAMETERS: u64 = 20;
const READERS: usize = 32;
const HOUR: i64 = 3_600_000;

/// A number that looks random, from 0 to 1 (splitmix64).
fn noise(run: u64, what: u64) -> f64 {
    let mut z = (run * 1_000 + what).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as f64 / u64::MAX as f64
}

fn run(n: u64) -> Experiment {
    let mut config: Assignment = (0..PARAMETERS - 4)
        .map(|p| (format!("p{p}"), Value::Number(noise(n, 100 + p))))
        .collect();
    let r = 1 << (1 + (noise(n, 200) * 7.0) as i64);
    let batch = 1 << (noise(n, 201) * 6.0) as i64;
    config.insert("r".into(), Value::Whole(r));
    config.insert("batch_size".into(), Value::Whole(batch));
    config.insert("model".into(), Value::Text(format!("model-{}", n % 7)));
    config.insert(
        "learning_rate".into(),
        Value::Number(10f64.powf(-5.0 + 3.0 * noise(n, 202))),
    );
    let metrics = (0..METRICS)
        .filter(|m| noise(n, 300 + m) > 0.02)
        .map(|m| match m {
            0 => ("eval_loss".into(), 2.0 * noise(n, 400)),
            _ => (format!("metric_{m}"), noise(n, 400 + m)),
        });
    let failed = r * batch >= 2_048;
    Experiment {
        experiment_id: format!("campaign-{}-run-{n}", n % 40),
        campaign: format!("campaign-{}", n % 40),
        cycle_id: (n / 400 + 1) as u32,
        status: if failed {
            Status::Failed
        } else {
            Status::Completed
        },
        config,
        metrics: metrics.collect(),
        duration_seconds: 3_600.0 * noise(n, 500),
        gpu_hours: noise(n, 501),
        proposal_type: "exploit".into(),
        risk_level: "low".into(),
        proposal: None,
        adapter: None,
        verdict: None,
        failure: failed.then(|| Failure {
            cause: FailureCause::Memory,
            text: "CUDA out of memory".into(),
        }),
        ended_at: Timestamp(n as i64 * HOUR / 10),
    }
}

fn question(limit: &str) -> Query {
    let asked = Asked::of([
        (
            "where",
            "r >= 16 and (eval_loss < 1 or metric_7 >= 0.9) and not status = cancelled and model ~ model-",
        ),
        ("sort", "-metric_3,eval_loss"),
        ("limit", limit),
    ]);
    asked.read(Timestamp(RUNS as i64 * HOUR)).unwrap()
}

fn ms(began: Instant) -> f64 {
    began.elapsed().as_secs_f64() * 1e3
}

/// Median and greatest, in milliseconds.
fn tell(what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: median {:.3} ms, 99 % {:.3} ms, worst {:.3} ms ({})",
        at(0.5),
        at(0.99),
        at(1.0),
        times.len()
    );
}

fn alone(what: &str, rounds: usize, mut once: impl FnMut()) {
    let times = (0..rounds).map(|_| {
        let began = Instant::now();
        once();
        ms(began)
    });
    tell(what, times.collect());
}

/// Bursts: all readers ask at the same instant, and each waits for its answer.
fn readers(history: &Arc<History>, rounds: usize) {
    let start = Arc::new(Barrier::new(READERS));
    let threads: Vec<_> = (0..READERS)
        .map(|_| {
            let (history, start) = (Arc::clone(history), Arc::clone(&start));
            thread::spawn(move || {
                let query = question("20");
                let once = || {
                    start.wait();
                    let began = Instant::now();
                    assert!(
                        !black_box(find(&history, &query).unwrap())
                            .experiments
                            .is_empty()
                    );
                    ms(began)
                };
                (0..rounds).map(|_| once()).collect::<Vec<f64>>()
            })
        })
        .collect();
    let times: Vec<f64> = threads
        .into_iter()
        .flat_map(|thread| thread.join().unwrap())
        .collect();
    tell("  a query, 32 readers at the same instant", times);
}

fn main() {
    let rounds = if std::env::args().any(|arg| arg == "--quick") {
        20
    } else {
        200
    };
    let all: Vec<Experiment> = (0..RUNS).map(run).collect();
    let began = Instant::now();
    let history = Arc::new(History::new(all.clone()));
    println!(
        "{RUNS} runs x {METRICS} metrics; sorted and made whole in {:.1} ms",
        ms(began)
    );
    let began = Instant::now();
    let found = find(&history, &question("")).unwrap().matched;
    println!(
        "  the first query, which makes the columns: {:.1} ms; {found} runs fit",
        ms(began)
    );
    alone("  a query, filtered, sorted, 20 shown", rounds, || {
        black_box(find(&history, &question("20")).unwrap());
    });
    alone("  the same, all that fit", rounds, || {
        black_box(find(&history, &question("")).unwrap());
    });
    alone("  20 of them as JSON", rounds, || {
        black_box(serde_json::to_vec(&answer(&history, &question("20")).unwrap()).unwrap());
    });
    readers(&history, rounds);
    alone("  cycle summaries", rounds.min(20), || {
        black_box(history.cycles());
    });
    alone("  patterns", rounds.min(20), || {
        black_box(history.patterns(Some("eval_loss")));
    });
    let failed: Vec<&Experiment> = history.experiments().iter().collect();
    alone("  constraints learned", rounds.min(5), || {
        let now = Timestamp(RUNS as i64 * HOUR / 10);
        black_box(learn(&failed, now, &Rules::default()));
    });
    alone("  training_history.json", 3, || {
        black_box(history.write());
    });
    socket::measure(&all, rounds);
}

//! How good the proposals are, and how long one takes.
//!
//! `cargo bench --bench planning` prints the regret (how far the best of all trials lies above the least value there is) on
//! five functions over 20 seeds, 10 trials and 5 for each parameter, and the time of one proposal at 500 results of 20
//! parameters. `-- --beside FILE` puts the JSON lines of benches/optuna_baseline.py into the same table; `--json` prints our
//! own lines instead; `--seeds N`, `--trials N`, `--functions a,b`, `--cost`, `--regret`, `--quick`.
#![allow(clippy::print_stdout, reason = "a measurement prints what it measured")]

mod functions;
mod table;

use campaignd::planning::{Acquisition, Ask, Hyper, Mode, Space, Trial, propose};
use functions::{Function, normal, uniform};
use serde_json::{Value, json};
use std::{hint::black_box, time::Instant};

/// What is asked of the command line.
struct Asked {
    seeds: u64,
    trials: Option<usize>,
    functions: Option<String>,
    beside: Option<String>,
    json: bool,
    regret: bool,
    cost: bool,
}

impl Asked {
    fn read() -> Self {
        let all: Vec<String> = std::env::args().collect();
        let flag = |name: &str| all.iter().any(|one| one == name);
        let text = |name: &str| {
            let at = all.iter().position(|one| one == name)?;
            all.get(at + 1).cloned()
        };
        let number = |name: &str| text(name).and_then(|text| text.parse::<usize>().ok());
        let quick = if flag("--quick") { 2 } else { 20 };
        Self {
            seeds: number("--seeds").unwrap_or(quick) as u64,
            trials: number("--trials"),
            functions: text("--functions"),
            beside: text("--beside"),
            json: flag("--json"),
            regret: !flag("--cost"),
            cost: !flag("--regret"),
        }
    }
}

/// One campaign of so many trials, one after the other, as the loop runs it in explore mode.
fn campaign(function: &Function, seed: u64, trials: usize) -> Value {
    let space = Space::new(function.space.clone()).unwrap_or_else(|fault| panic!("{fault:?}"));
    let (mut observed, mut truths): (Vec<Trial>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut warm: Option<Hyper> = None;
    let began = Instant::now();
    for at in 0..trials {
        let ask = Ask {
            space: &space,
            observed: &observed,
            pending: &[],
            count: 1,
            smaller_is_better: true,
            acquisition: Acquisition::ExpectedImprovement,
            mode: Mode::Explore,
            allowed: None,
            seed,
            warm: warm.as_ref(),
        };
        let answer = propose(&ask).unwrap_or_else(|fault| panic!("{fault:?}"));
        let Some(candidate) = answer.candidates.into_iter().next() else {
            break;
        };
        warm = answer.hyper;
        let truth = (function.value)(&candidate.values);
        truths.push(truth);
        observed.push(Trial {
            values: candidate.values,
            value: Some(truth + function.noise * normal(seed, at as u64)),
        });
    }
    let seconds = began.elapsed().as_secs_f64();
    let told = observed
        .iter()
        .map(|trial| trial.value.unwrap_or(f64::INFINITY));
    let chosen = told.zip(&truths).min_by(|a, b| a.0.total_cmp(&b.0));
    json!({
        "bench": "regret",
        "function": function.name,
        "sampler": "campaignd",
        "seed": seed,
        "trials": truths.len(),
        "regret": truths.iter().copied().fold(f64::INFINITY, f64::min) - function.least,
        "chosen": chosen.map_or(f64::INFINITY, |(_, truth)| *truth) - function.least,
        "seconds": seconds,
    })
}

/// Seconds of one proposal after so many results: from nothing, and from the hyperparameters of the one before.
fn cost(results: usize, dims: usize, rounds: usize) -> Value {
    let text = "0..1".parse_domain();
    let space = (0..dims)
        .map(|at| (format!("x{at}"), text.clone()))
        .collect();
    let space = Space::new(space).unwrap_or_else(|fault| panic!("{fault:?}"));
    let mut observed = Vec::new();
    for at in 0..results {
        let point: Vec<f64> = (0..dims).map(|k| uniform((at * dims + k) as u64)).collect();
        let value = point.iter().map(|v| (v - 0.3).powi(2)).sum::<f64>();
        observed.push(Trial {
            values: space.decode(&point),
            value: Some(value + 0.1 * normal(1, at as u64)),
        });
    }
    let mut warm: Option<Hyper> = None;
    let mut round = |count: usize| {
        let ask = Ask {
            space: &space,
            observed: &observed,
            pending: &[],
            count,
            smaller_is_better: true,
            acquisition: Acquisition::ExpectedImprovement,
            mode: Mode::Explore,
            allowed: None,
            seed: 1,
            warm: warm.as_ref(),
        };
        let began = Instant::now();
        let answer = black_box(propose(&ask)).unwrap_or_else(|fault| panic!("{fault:?}"));
        let seconds = began.elapsed().as_secs_f64();
        warm = answer.hyper;
        seconds
    };
    let first = round(1);
    let mut later: Vec<f64> = (0..rounds).map(|_| round(1)).collect();
    later.sort_by(f64::total_cmp);
    let batch = round(8);
    json!({
        "bench": "cost",
        "sampler": "campaignd",
        "results": results,
        "parameters": dims,
        "first": first,
        "least": later[0],
        "median": later[rounds / 2],
        "batch_of_8": batch,
    })
}

/// A domain that is known to be one.
trait ParseDomain {
    fn parse_domain(&self) -> campaignd::parameters::Domain;
}

impl ParseDomain for str {
    fn parse_domain(&self) -> campaignd::parameters::Domain {
        campaignd::parameters::Domain::parse(self).unwrap_or_else(|problem| panic!("{problem}"))
    }
}

fn main() {
    let asked = Asked::read();
    let mut lines = Vec::new();
    let tell = |line: &Value| {
        if asked.json {
            println!("{line}");
        }
    };
    let wanted = |function: &Function| {
        let names = asked.functions.as_deref();
        names.is_none_or(|names| names.split(',').any(|name| name == function.name))
    };
    for function in functions::all().iter().filter(|_| asked.regret) {
        let trials = asked.trials.unwrap_or(10 + 5 * function.space.len());
        for seed in (1..=asked.seeds).filter(|_| wanted(function)) {
            lines.push(campaign(function, seed, trials));
            lines.last().into_iter().for_each(tell);
        }
    }
    if asked.cost {
        for (results, dims) in [(50, 5), (100, 20), (250, 20), (500, 20), (1_000, 20)] {
            lines.push(cost(results, dims, 9));
            lines.last().into_iter().for_each(tell);
        }
    }
    if !asked.json {
        let beside = asked.beside.as_deref().map(std::fs::read_to_string);
        let beside = beside.transpose().unwrap_or_else(|error| panic!("{error}"));
        let read = beside.iter().flat_map(|text| text.lines());
        lines.extend(read.filter_map(|line| serde_json::from_str(line).ok()));
        print!("{}", table::of(&lines));
    }
}

//! What is looked at before anything is launched: that the experiment is scaffolded, and that its files are the plan's.

use crate::{
    cli::{
        experiment::{
            config::refused,
            constraints,
            files::{fail, problem},
            read::Open,
            scaffold,
        },
        fail::Fail,
    },
    control::api::ErrorView,
    experiment::{
        attempts::Course,
        config::{Refusal, generate},
        plan::Run,
        scaffold::{File, Place, inspect, torchtune},
    },
    history::constraints::Constraint,
    ids::EffectId,
    parameters::Assignment,
    runner::{Fault, Followed, Scaffold, Worker},
};
use std::{cell::OnceCell, path::Path};

/// What the plan makes of its runs; the model is looked at when a file is first made of it.
pub fn rendered<'a>(open: &'a Open, place: &'a Place) -> Scaffold<'a> {
    let inputs: OnceCell<Result<Option<torchtune::Inputs>, String>> = OnceCell::new();
    Scaffold {
        fine_tunes: Box::new(move |run: &Run, over: &Assignment| {
            let inputs =
                inputs.get_or_init(|| scaffold::inputs_of(open).map_err(|fail| first(&fail)));
            let inputs = inputs.as_ref().map_err(Clone::clone)?;
            fine_tune(open, place, (run, over), inputs.as_ref())
        }),
        evaluations: Box::new(move |run: &Run| inspect::files(&open.plan, run, place)),
    }
}

fn first(fail: &Fail) -> String {
    fail.0.first().map_or(String::new(), |error| {
        let at = error
            .at
            .as_ref()
            .map_or(String::new(), |at| format!(": {at}"));
        format!("{}{at}", error.message)
    })
}

/// The files of a run's fine-tune with values over those planned: a batch that was halved.
fn fine_tune(
    open: &Open,
    place: &Place,
    (run, over): (&Run, &Assignment),
    inputs: Option<&torchtune::Inputs>,
) -> Result<Vec<File>, String> {
    let (mut run, mut plan) = (run.clone(), open.plan.clone());
    for (name, value) in over {
        let values = match run.varied.contains_key(name) {
            true => &mut run.varied,
            false => &mut plan.controls,
        };
        values.insert(name.clone(), value.clone());
    }
    let changed = Open {
        dir: open.dir.clone(),
        plan,
        words: open.words,
        edited: None,
    };
    // What ran once may be forbidden since: what is launched next is held to that, not what it is compared with.
    let made = scaffold::of_run(&changed, place, &run, (inputs, &[]));
    made.map_err(|errors| first(&Fail(errors)))
}

/// That nothing of another plan runs.
///
/// # Errors
/// All jobs that do.
pub fn strangers(dir: &Path, found: &[EffectId]) -> Result<(), Fail> {
    if found.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = found.iter().map(EffectId::to_string).collect();
    let right = format!(
        "wait for their end, or campaignctl experiment stop {}",
        dir.display()
    );
    Err(fail(
        "jobs of an earlier plan of this experiment have not ended",
        &names.join(", "),
        &right,
    ))
}

/// That everything that may be launched is scaffolded, and by this plan unless it is to be run as it is. Gives what is launched
/// against a constraint then, a sentence each.
///
/// # Errors
/// All that is missing, and all that differs.
pub fn scaffolded(
    open: &Open,
    scaffold: &Scaffold,
    all: &[Followed],
    (workers, as_is): (&[Worker], bool),
) -> Result<Vec<String>, Fail> {
    let (mut wrong, mut against): (Vec<ErrorView>, Vec<String>) = (Vec::new(), Vec::new());
    let known = match constraints::of_experiment(&open.dir, open.words) {
        Err(Fail(errors)) if as_is => {
            against.extend(errors.into_iter().map(|error| error.message));
            Vec::new()
        }
        known => known?,
    };
    for one in all.iter().filter(|one| workers.contains(&one.item.worker)) {
        let next = one.course(open.words, &open.plan);
        let Course::Launch { over, .. } = next else {
            continue;
        };
        if one.item.worker == Worker::Torchtune {
            let broken = forbidden(open, &one.item.run, &over, &known);
            match as_is {
                true => against.extend(broken.iter().map(|one_of| {
                    let (name, says) = (&one.item.name, &one_of.message);
                    format!("{name} is launched as it is, though by its plan {says}")
                })),
                false => wrong.extend(broken),
            }
        }
        let script = open.dir.join(&one.item.run.name).join(&one.item.script);
        if as_is || !script.exists() {
            if !script.exists() {
                wrong.push(unscaffolded(open, &script));
            }
            continue;
        }
        let overs = one.overs(open.words, &open.plan);
        match scaffold.faults(&open.dir, &one.item, &overs) {
            Ok(faults) => wrong.extend(faults.iter().map(|fault| told(open, fault))),
            Err(why) => wrong.push(problem(
                &why,
                &one.item.name,
                "campaignctl experiment design with what is missing, or --as-is",
            )),
        }
    }
    if let Some(first) = wrong.first() {
        // Where nothing is there, one sentence says so.
        let none = wrong.len() > 1 && wrong.iter().all(|error| error.message == first.message);
        if none && first.message == UNSCAFFOLDED {
            wrong.truncate(1);
        }
        return Err(Fail(wrong));
    }
    Ok(against)
}

/// The constraints that values of a run break which is to be launched.
fn forbidden(open: &Open, run: &Run, over: &Assignment, known: &[Constraint]) -> Vec<ErrorView> {
    let mut settings = open.plan.settings(run);
    settings.extend(over.clone());
    let check = constraints::check(known, open.plan.model.as_deref());
    let both = (&Assignment::new(), &settings);
    match generate(open.words, &run.name, both, &check) {
        Err(refusal @ Refusal::Constraints(_)) => refused(refusal).0,
        _ => Vec::new(),
    }
}

const UNSCAFFOLDED: &str = "the experiment is not scaffolded: a file is not there";

fn unscaffolded(open: &Open, path: &Path) -> ErrorView {
    let right = format!("campaignctl experiment scaffold {}", open.dir.display());
    problem(UNSCAFFOLDED, &path.display().to_string(), &right)
}

fn told(open: &Open, fault: &Fault) -> ErrorView {
    match fault {
        Fault::Missing(path) => unscaffolded(open, path),
        Fault::Differs(path, shown) => {
            let lines = shown.lines().map(|line| format!("\n         {line}"));
            let at = format!("{}{}", path.display(), lines.collect::<String>());
            let right = format!(
                "campaignctl experiment scaffold {} --force, or --as-is",
                open.dir.display()
            );
            problem("a file is not what the plan makes", &at, &right)
        }
    }
}

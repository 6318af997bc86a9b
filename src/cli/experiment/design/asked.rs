//! What was typed, as a plan.

use super::{DesignArgs, faults, inputs, unplanned};
use crate::{
    cli::{experiment::baseline, fail::Fail},
    experiment::{
        BackEnd, Vocabulary,
        asked::{Asked, Unplanned},
        config::{Baseline, Refusal, generate},
        estimate::{Basis, Past},
        plan::{Plan, Resources, Run, VERSION, Variable},
    },
    parameters::{Assignment, Domain},
};

/// The plan.
///
/// # Errors
/// All that is wrong.
pub fn plan(args: &DesignArgs, words: &Vocabulary) -> Result<Plan, Fail> {
    if args.back_end == BackEnd::Generic {
        let right = "--back-end builtin | torchtune; campaignctl experiment config makes a config for any program";
        return Err(Fail::usage(
            "there is nothing that scaffolds for programs of others",
            right,
        ));
    }
    let inputs = inputs::look(args)?;
    let history = args.from.as_deref().map(baseline::history).transpose()?;
    let base = base(args, words)?;
    let vary = vary(args, words)?;
    let controls = controls(args, words, &base)?;
    let resources = resources(args);
    let basis = basis(
        args,
        words,
        (&inputs, &controls),
        &resources,
        history.as_deref(),
    );
    let hours = basis.gpu_hours().ok().map(|(hours, _)| hours);
    let asked = Asked {
        vary: vary.clone(),
        runs: args.runs,
        seeds: args.seeds,
        budget: args.budget.map(|time| time.as_secs_f64() / 3600.0),
        hours_of_a_run: hours,
        seed: args.seed,
    };
    let runs = asked.runs(words, &controls).map_err(unplanned)?;
    let estimates = basis.all(runs.len());
    let mut plan = Plan {
        version: VERSION,
        name: args.name.clone(),
        question: question(args, &vary),
        back_end: args.back_end,
        variables: vary
            .into_iter()
            .map(|(name, domain)| Variable { name, domain })
            .collect(),
        baseline: match base.from.as_str() {
            "" => "the back end's defaults".into(),
            from => from.into(),
        },
        model: inputs.model,
        data: inputs.data,
        holdout: inputs.holdout,
        tasks: inputs.tasks,
        eval_epochs: args.eval_epochs.clone(),
        resources: resources.clone(),
        estimates,
        budget_gpu_hours: asked.budget,
        seed: args.seed,
        fine_tuning: Vec::new(),
        evaluation: Vec::new(),
        controls,
        runs,
    };
    plan.controls = varied_out(&plan);
    valid(&plan, words)?;
    plan.reset();
    Ok(plan)
}

/// What the baseline is set to.
fn base(args: &DesignArgs, words: &Vocabulary) -> Result<Baseline, Fail> {
    match &args.baseline {
        Some(run) => {
            let directory = std::path::Path::new(run).is_dir();
            let from = args.from.as_deref().filter(|_| !directory);
            baseline::of(words, run, from)
        }
        None => Ok(baseline::read(&args.dir)?.unwrap_or_default()),
    }
}

/// What is varied, by the parameters' own names.
fn vary(args: &DesignArgs, words: &Vocabulary) -> Result<Vec<(String, Domain)>, Fail> {
    let named = args
        .vary
        .iter()
        .map(|(word, domain)| (words.named(word), domain));
    let (mut all, mut wrong) = (Vec::new(), Vec::new());
    for (name, domain) in named {
        match name {
            Ok(name) => all.push((name.to_string(), domain.clone())),
            Err(fault) => wrong.push(fault),
        }
    }
    match wrong.is_empty() {
        true => Ok(all),
        false => Err(faults(wrong)),
    }
}

/// Every parameter as the baseline run has it.
fn controls(args: &DesignArgs, words: &Vocabulary, base: &Baseline) -> Result<Assignment, Fail> {
    let mut set: Assignment = args.set.iter().cloned().collect();
    if let Some(epochs) = &args.epochs {
        set.insert("epochs".into(), epochs.clone());
    }
    if set.len() < args.set.len() + usize::from(args.epochs.is_some()) {
        return Err(Fail::usage(
            "a parameter is set twice",
            "each once, by --set or --epochs",
        ));
    }
    let (kept, _) = words.recognised(&base.values);
    let config = generate(words, &args.name, (&kept, &set), &|_| Vec::new());
    config
        .map(|config| config.values)
        .map_err(super::super::config::refused)
}

/// What stays the same in all runs.
fn varied_out(plan: &Plan) -> Assignment {
    let varied = |name: &String| plan.runs.iter().any(|run| run.varied.contains_key(name));
    let all = plan.controls.iter().filter(|(name, _)| !varied(name));
    all.map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// That every run is one that the back end takes.
fn valid(plan: &Plan, words: &Vocabulary) -> Result<(), Fail> {
    let check = |run: &Run| {
        let both = (&Assignment::new(), &plan.settings(run));
        generate(words, &run.name, both, &|_| Vec::new()).err()
    };
    let wrong = plan.runs.iter().filter_map(|run| Some((run, check(run)?)));
    let told = wrong.flat_map(|(run, refusal)| {
        let faults = match refusal {
            Refusal::Schema(faults) => faults,
            Refusal::Constraints(_) => Vec::new(),
        };
        faults.into_iter().map(move |fault| -> Unplanned {
            (format!("run {}: {}", run.name, fault.message), fault.right)
        })
    });
    let told: Vec<Unplanned> = told.collect();
    match told.is_empty() {
        true => Ok(()),
        false => Err(unplanned(told)),
    }
}

fn resources(args: &DesignArgs) -> Resources {
    let asks = &args.asks;
    Resources {
        partition: asks.partition.clone(),
        account: asks.account.clone(),
        // torchtune's recipe has no other device.
        gres: asks
            .gres
            .clone()
            .or_else(|| (args.back_end == BackEnd::Torchtune).then(|| "gpu:1".into())),
        mem: asks.mem.clone(),
        time: asks.time.clone(),
        cpus_per_task: asks.cpus_per_task,
    }
}

fn basis<'a>(
    args: &'a DesignArgs,
    words: &'a Vocabulary,
    (inputs, controls): (&'a inputs::Inputs, &Assignment),
    resources: &Resources,
    history: Option<&'a [Past]>,
) -> Basis<'a> {
    let file = args
        .from
        .as_deref()
        .and_then(|file| file.file_name()?.to_str());
    let gpus = resources.gres.as_deref().map_or(0.0, gpus);
    Basis {
        history: history.map(|all| (file.unwrap_or("the history"), all)),
        model: inputs.model.as_deref(),
        settings: controls.clone(),
        epochs: words.named("epochs").unwrap_or("epochs"),
        gpus,
        price: args
            .asks
            .usd_per_gpu_hour
            .filter(|price| *price >= 0.0 && price.is_finite()),
    }
}

/// GPUs of `gpu:2` or `gpu:a100:2`; of `gpu` alone one; of anything else none.
fn gpus(gres: &str) -> f64 {
    let own = gres
        .split(',')
        .filter(|one| one.split(':').next() == Some("gpu"));
    let count = |one: &str| match one.rsplit(':').next().map(str::parse::<u32>) {
        Some(Ok(count)) => f64::from(count),
        _ => 1.0,
    };
    own.map(count).sum()
}

fn question(args: &DesignArgs, vary: &[(String, Domain)]) -> String {
    args.question.clone().unwrap_or_else(|| {
        let names: Vec<&str> = vary.iter().map(|(name, _)| name.as_str()).collect();
        match names.as_slice() {
            [] => "How far do results go apart by chance alone?".into(),
            names => format!("How do results depend on {}?", names.join(" and ")),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_counted_as_slurm_writes_them() {
        for (gres, count) in [
            ("gpu:1", 1.0),
            ("gpu:a100:4", 4.0),
            ("gpu", 1.0),
            ("gpu:a100", 1.0),
            ("shard:3", 0.0),
            ("gpu:2,nvme:1", 2.0),
        ] {
            assert_eq!(gpus(gres), count, "{gres}");
        }
    }
}

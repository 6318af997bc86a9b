//! Scripts of evaluations: `eval/TASK_epochN.slurm`, by inspect-ai or by `campaignd evaluate`.

use super::{
    File, Place,
    builtin::ADAPTER,
    evaluation,
    shell::{Job, command, quote},
    torchtune::OUTPUT,
};
use crate::experiment::{
    plan::{Plan, Run, Task},
    vocabulary::BackEnd,
};

/// The scripts of a run's evaluations.
///
/// # Errors
/// Something that a script cannot carry; an epoch that the built-in trainer keeps nothing of.
pub fn files(plan: &Plan, run: &Run, place: &Place) -> Result<Vec<File>, String> {
    let each = plan.evaluations(run).into_iter();
    each.map(|(task, epoch)| {
        Ok(File {
            path: format!("{}/eval/{}.slurm", run.name, evaluation(&task.name, epoch)),
            text: script(plan, run, place, (task, epoch))?,
        })
    })
    .collect()
}

fn script(
    plan: &Plan,
    run: &Run,
    place: &Place,
    (task, epoch): (&Task, u32),
) -> Result<String, String> {
    let directory = place.of(&run.name, "eval");
    let name = evaluation(&task.name, epoch);
    Job {
        name: &format!("{}-{}-{name}", plan.name, run.name),
        directory: &directory,
        resources: &plan.resources,
        lines: match plan.back_end {
            BackEnd::Torchtune => inspect(run, task, epoch),
            BackEnd::Builtin | BackEnd::Generic => vec![builtin(plan, place, task, &name)?],
        },
    }
    .script()
}

fn inspect(run: &Run, task: &Task, epoch: u32) -> Vec<String> {
    let checkpoint = format!("../{OUTPUT}/epoch_{epoch}");
    let script = match &task.task {
        Some(name) => format!("{}@{name}", task.script),
        None => task.script.clone(),
    };
    let (epoch, model) = (format!("epoch={epoch}"), format!("model_path={checkpoint}"));
    let (run, name) = (
        format!("run={}", run.name),
        format!("task_name={}", task.name),
    );
    let words = [
        "inspect",
        "eval",
        &script,
        "--model",
        "hf/local",
        "-M",
        &model,
        "--log-dir",
        "logs",
        "--log-format",
        "eval",
        "--display",
        "plain",
        "--metadata",
        &run,
        "--metadata",
        &name,
        "--metadata",
        &epoch,
    ];
    vec![
        format!(
            "if [ ! -d {0} ]; then echo \"there is no checkpoint\" {0} >&2; exit 1; fi",
            quote(&checkpoint)
        ),
        format!("exec {}", command(&words)),
    ]
}

fn builtin(plan: &Plan, place: &Place, task: &Task, name: &str) -> Result<String, String> {
    let model = plan
        .model
        .as_deref()
        .ok_or("no model is named: --model DIR")?;
    let adapter = format!("../{ADAPTER}");
    let mut line = vec![
        place.campaignd.as_str(),
        "evaluate",
        "--model",
        model,
        "--adapter",
        &adapter,
        "--data",
        &task.script,
    ];
    if !plan.data.is_empty() {
        line.push("--training");
        line.extend(plan.data.iter().map(String::as_str));
    }
    line.extend(["--output", name]);
    Ok(format!("exec {}", command(&line)))
}

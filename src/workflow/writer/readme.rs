//! `README.md`: what a workflow does, what it needs, how to run it, what comes out, and the software behind it.

use crate::workflow::catalogue::catalogue;
use crate::workflow::plan::Plan;

/// The text of `README.md`.
pub fn readme(plan: &Plan) -> String {
    let mut text = String::with_capacity(6 * 1024);
    introduction(&mut text, plan);
    inputs(&mut text, plan);
    running(&mut text, plan);
    outputs(&mut text, plan);
    software(&mut text, plan);
    if !plan.unmet.is_empty() {
        push(&mut text, &["\n## Not as asked\n\n"]);
        for note in &plan.unmet {
            push(&mut text, &["- ", note, "\n"]);
        }
    }
    text
}

fn push(text: &mut String, pieces: &[&str]) {
    for piece in pieces {
        text.push_str(piece);
    }
}

fn introduction(text: &mut String, plan: &Plan) {
    let about = catalogue()
        .analysis(&plan.analysis_type)
        .map_or("", |analysis| &analysis.about);
    let reference = catalogue().reference(&plan.organism);
    push(
        text,
        &[
            "# ",
            super::title(plan),
            ": ",
            &plan.variant,
            "\n\n",
            about,
            " For ",
            &reference.species,
        ],
    );
    push(
        text,
        &[
            " (",
            &reference.genome,
            ", annotation: ",
            &reference.annotation,
            ").\n",
        ],
    );
    let numbers = [
        ("samples", &plan.samples),
        ("conditions", &plan.conditions),
        ("replicates", &plan.replicates),
    ];
    let mut comma = "\nPlanned for ";
    for (name, number) in numbers {
        if let Some(number) = number {
            push(text, &[comma, number, " ", name]);
            comma = ", ";
        }
    }
    if comma == ", " {
        text.push_str(".\n");
    }
    push(text, &["\n## Steps\n\n"]);
    for (at, step) in plan.steps.iter().enumerate() {
        push(
            text,
            &[
                &(at + 1).to_string(),
                ". `",
                &step.process,
                "` (",
                &step.tool,
                "): ",
                &step.purpose,
                "\n",
            ],
        );
    }
}

fn inputs(text: &mut String, plan: &Plan) {
    push(
        text,
        &[
            "\n## Inputs\n\nA sample sheet, `samplesheet.csv`:\n\n```csv\n",
            &plan.columns.join(","),
            "\n",
        ],
    );
    for row in rows(plan) {
        push(text, &[&row.join(","), "\n"]);
    }
    push(
        text,
        &["```\n\n| parameter | what it is | value |\n|---|---|---|\n"],
    );
    for (name, value) in &plan.params {
        let help = catalogue().params.get(name).map_or("", |param| &param.help);
        let value = if value == "null" { "required" } else { value };
        push(text, &["| `--", name, "` | ", help, " | ", value, " |\n"]);
    }
    let files = &catalogue().reference(&plan.organism).files;
    let wanted = files
        .iter()
        .filter(|(name, _)| plan.params.contains_key(*name));
    let lines: Vec<_> = wanted.collect();
    if !lines.is_empty() {
        push(
            text,
            &["\nReference files:\n\n```bash\nmkdir -p reference\n"],
        );
        for (name, address) in lines {
            push(
                text,
                &["curl -L ", address, " | gunzip > ", &path(plan, name), "\n"],
            );
        }
        push(text, &["```\n"]);
    }
}

/// Example rows of the sample sheet, cell by cell.
pub fn rows(plan: &Plan) -> Vec<Vec<String>> {
    let value = |name: &str, default: &str| {
        plan.params.get(name).map_or(default.to_owned(), |literal| {
            literal.trim_matches('\'').to_owned()
        })
    };
    let (treatment, control) = (value("treatment", "treated"), value("control", "control"));
    let samples = &catalogue().columns["sample"].rows;
    let cell = |column: &String, at: usize| {
        let rows = &catalogue().columns[column].rows;
        rows[at % rows.len()]
            .replace("{sample}", &samples[at])
            .replace("{treatment}", &treatment)
            .replace("{control}", &control)
    };
    (0..samples.len())
        .map(|at| plan.columns.iter().map(|column| cell(column, at)).collect())
        .collect()
}

/// Where the README puts the file of a parameter.
fn path(plan: &Plan, name: &str) -> String {
    let ending = match name {
        "fasta" => "fa",
        "transcripts" => "transcripts.fa",
        other => other,
    };
    format!("reference/{}.{ending}", plan.reference)
}

fn running(text: &mut String, plan: &Plan) {
    push(text, &["\n## How to run\n\n```bash\nnextflow run main.nf"]);
    for name in super::required(plan) {
        let file = match name {
            "input" => "samplesheet.csv".to_owned(),
            "fasta" | "gtf" | "transcripts" => path(plan, name),
            other => format!("reference/{other}"),
        };
        push(text, &[" \\\n    --", name, " ", &file]);
    }
    push(
        text,
        &[
            " \\\n    --outdir results -resume\n```\n\nThis runs on the `",
            plan.executor.as_deref().unwrap_or("local"),
        ],
    );
    push(
        text,
        &[
            "` executor with ",
            plan.container_runtime.as_deref().unwrap_or("docker"),
            "; another platform is chosen by",
        ],
    );
    push(
        text,
        &[
            " `-profile`, such as `-profile slurm,apptainer`. `-profile stub -stub-run` tries the wiring without software or data.\n",
        ],
    );
}

fn outputs(text: &mut String, plan: &Plan) {
    push(
        text,
        &["\n## Outputs\n\n| directory of `results/` | files |\n|---|---|\n"],
    );
    for step in &plan.steps {
        let Some(process) = catalogue().processes.get(&step.process) else {
            continue;
        };
        if process.is_shared(&catalogue().kinds) {
            continue;
        }
        push(text, &["| `", &process.id, "/` | "]);
        for (at, file) in process
            .makes
            .iter()
            .flat_map(|make| &make.files)
            .enumerate()
        {
            let comma = if at == 0 { "`" } else { ", `" };
            push(text, &[comma, &file.replace("${meta.id}", "SAMPLE"), "`"]);
        }
        push(text, &[" |\n"]);
    }
    push(
        text,
        &["| `pipeline_info/` | `report.html`, `timeline.html`, `trace.txt` |\n"],
    );
}

fn software(text: &mut String, plan: &Plan) {
    push(
        text,
        &["\n## Software\n\n| tool | version | described at |\n|---|---|---|\n"],
    );
    for name in plan.tools() {
        if let Some(tool) = catalogue().tools.get(name) {
            push(
                text,
                &["| ", name, " | ", &tool.version, " | ", &tool.url, " |\n"],
            );
        }
    }
}

//! `nextflow.config`: manifest, parameters, resources by label, profiles, reports.

use crate::workflow::catalogue::catalogue;
use crate::workflow::plan::Plan;

/// CPUs, memory in GB and time in hours of a label, at medium complexity.
const LABELS: [(&str, u32, u32, u32); 5] = [
    ("process_low", 2, 8, 4),
    ("process_medium", 6, 24, 8),
    ("process_high", 12, 64, 16),
    ("process_high_memory", 16, 160, 24),
    ("process_gpu", 8, 48, 12),
];

const FIXED: &str = "
    // Killed, out of memory, preempted: tried again with more. Everything else lets running tasks finish and stops.
    errorStrategy = { task.exitStatus in ((130..145) + 104 + 175) ? 'retry' : 'finish' }
    maxRetries = 2
    maxErrors = '-1'
";

const PROFILES: &str = "
    docker {
        docker.enabled = true
        docker.runOptions = '-u $(id -u):$(id -g)'
    }
    singularity {
        singularity.enabled = true
        singularity.autoMounts = true
    }
    apptainer {
        apptainer.enabled = true
        apptainer.autoMounts = true
    }
    slurm {
        process.executor = 'slurm'
        executor.queueSize = 100
    }
    local {
        process.executor = 'local'
    }
    awsbatch {
        process.executor = 'awsbatch'
        docker.enabled = true
    }
    googlebatch {
        process.executor = 'google-batch'
        docker.enabled = true
    }
    stub {
        process {
            withName: '.*' {
                cpus = 1
                memory = 1.GB
                time = 1.h
            }
        }
    }
}

";

const REPORTS: &str = "timeline {
    enabled = true
    overwrite = true
    file = \"${params.outdir}/pipeline_info/timeline.html\"
}
report {
    enabled = true
    overwrite = true
    file = \"${params.outdir}/pipeline_info/report.html\"
}
trace {
    enabled = true
    overwrite = true
    file = \"${params.outdir}/pipeline_info/trace.txt\"
}
";

/// The text of `nextflow.config`.
pub fn config(plan: &Plan) -> String {
    let mut text = String::with_capacity(5 * 1024);
    let mut push = |pieces: &[&str]| pieces.iter().for_each(|piece| text.push_str(piece));
    push(&[
        "manifest {\n    name = '",
        &plan.analysis_type,
        "'\n    description = '",
        super::title(plan),
        ": ",
        &plan.variant,
        "'\n",
    ]);
    push(&[
        "    mainScript = 'main.nf'\n    nextflowVersion = '!>=23.10.0'\n    version = '1.0.0'\n}\n\nparams {\n",
    ]);
    for (name, value) in &plan.params {
        push(&["    ", name, " = ", value, "\n"]);
    }
    push(&["}\n\nprocess {", FIXED]);
    for (label, cpus, memory, hours) in LABELS {
        if plan.steps.iter().any(|step| step.label == label) {
            let (cpus, memory, hours) = scaled(&plan.complexity, cpus, memory, hours);
            push(&[
                "\n    withLabel: '",
                label,
                "' {\n        cpus = ",
                &cpus.to_string(),
            ]);
            push(&[
                "\n        memory = { ",
                &memory.to_string(),
                ".GB * task.attempt }\n        time = { ",
            ]);
            push(&[&hours.to_string(), ".h * task.attempt }\n"]);
            if label == "process_gpu" {
                push(&[
                    "        accelerator = 1\n        containerOptions = { workflow.containerEngine == 'docker' ? '--gpus all' : '--nv' }\n",
                ]);
            }
            push(&["    }"]);
        }
    }
    push(&["\n"]);
    for step in &plan.steps {
        let args = catalogue()
            .processes
            .get(&step.process)
            .map_or("", |process| &process.args);
        if !args.is_empty() {
            let quote = if args.contains('\'') { "\"" } else { "'" };
            push(&[
                "    withName: '",
                &step.process,
                "' {\n        ext.args = ",
                quote,
                args,
                quote,
                "\n    }\n",
            ]);
        }
    }
    push(&[
        "}\n\nprofiles {\n    // What runs without -profile: the platform that was asked for.\n    standard {\n",
    ]);
    push(&[
        "        process.executor = '",
        plan.executor.as_deref().unwrap_or("local"),
        "'\n",
    ]);
    let runtime = plan.container_runtime.as_deref().unwrap_or("docker");
    push(&["        ", runtime, ".enabled = true\n    }"]);
    push(&[PROFILES, REPORTS]);
    text
}

/// Resources at a complexity: simple ones need less memory and time, complex ones more.
fn scaled(complexity: &str, cpus: u32, memory: u32, hours: u32) -> (u32, u32, u32) {
    match complexity {
        "simple" => (cpus.div_ceil(2), memory * 3 / 4, hours.div_ceil(2)),
        "complex" => (cpus, memory * 3 / 2, hours * 2),
        _ => (cpus, memory, hours),
    }
}

//! The Nextflow text of one process: directives, typed inputs and outputs, script and stub.

use std::collections::HashMap;

use super::parse::Draft;
use super::{How, Kind, Make, Process};

/// The whole block of a process, with a final newline.
pub fn render(process: &Process, draft: &Draft, kinds: &HashMap<String, Kind>) -> String {
    let shared = process.is_shared(kinds);
    let mut text = format!("process {} {{\n", process.name);
    directives(&mut text, process, shared, kinds);
    inputs(&mut text, process, shared, kinds);
    outputs(&mut text, process, shared);
    script(&mut text, draft);
    text.push_str("\n    stub:\n    \"\"\"\n");
    match &draft.stub {
        Some(stub) => indent(&mut text, stub),
        None => indent(&mut text, &touch(&process.makes)),
    }
    text.push_str("    \"\"\"\n}\n");
    text
}

fn directives(text: &mut String, process: &Process, shared: bool, kinds: &HashMap<String, Kind>) {
    let tag = match process.takes.first() {
        Some(take) if shared => format!("${{{}}}", kinds[&take.kind].names(&take.kind)[0]),
        _ => "${meta.id}".into(),
    };
    text.push_str(&format!(
        "    tag \"{tag}\"\n    label '{}'\n    container '{}'\n",
        process.label, process.image
    ));
    if shared {
        text.push_str("    publishDir \"${params.outdir}/reference\", mode: params.publish_dir_mode, enabled: params.save_reference\n");
    } else {
        text.push_str(&format!(
            "    publishDir \"${{params.outdir}}/{}\", mode: params.publish_dir_mode\n",
            process.id
        ));
    }
}

fn inputs(text: &mut String, process: &Process, shared: bool, kinds: &HashMap<String, Kind>) {
    text.push_str("\n    input:\n");
    if !shared {
        text.push_str("    tuple val(meta)");
    }
    for take in &process.takes {
        let kind = &kinds[&take.kind];
        match take.how {
            How::All => text.push_str(&format!(", path({})", kind.plural(&take.kind))),
            How::Each if !kind.shared => {
                for name in kind.names(&take.kind) {
                    text.push_str(&format!(", path({name})"));
                }
            }
            _ => {}
        }
    }
    if !shared {
        text.push('\n');
    }
    for take in &process.takes {
        let kind = &kinds[&take.kind];
        if take.how == How::Whole || (take.how == How::Each && kind.shared) {
            let names = kind.names(&take.kind);
            if names.len() == 1 {
                text.push_str(&format!("    path {}\n", names[0]));
            } else {
                let paths: Vec<String> = names.iter().map(|name| format!("path({name})")).collect();
                text.push_str(&format!("    tuple {}\n", paths.join(", ")));
            }
        }
    }
}

fn outputs(text: &mut String, process: &Process, shared: bool) {
    text.push_str("\n    output:\n");
    for make in &process.makes {
        let paths: Vec<String> = make
            .files
            .iter()
            .map(|file| format!("path({})", quoted(file.trim_end_matches('/'))))
            .collect();
        let optional = if make.optional {
            ", optional: true"
        } else {
            ""
        };
        if shared {
            let path = quoted(make.files[0].trim_end_matches('/'));
            text.push_str(&format!("    path {path}, emit: {}{optional}\n", make.emit));
        } else {
            text.push_str(&format!(
                "    tuple val(meta), {}, emit: {}{optional}\n",
                paths.join(", "),
                make.emit
            ));
        }
    }
}

/// A string literal: double quotes where something is to be filled in.
fn quoted(text: &str) -> String {
    if text.contains("${") {
        format!("\"{text}\"")
    } else {
        format!("'{text}'")
    }
}

fn script(text: &mut String, draft: &Draft) {
    text.push_str("\n    script:\n");
    let uses_args =
        draft.script.contains("${args}") || draft.def.iter().any(|line| line.contains("args"));
    if uses_args {
        text.push_str("    def args = task.ext.args ?: ''\n");
    }
    for line in &draft.def {
        text.push_str(&format!("    {line}\n"));
    }
    text.push_str("    \"\"\"\n");
    indent(text, &draft.script);
    text.push_str("    \"\"\"\n");
}

fn indent(text: &mut String, lines: &str) {
    for line in lines.trim_matches('\n').lines() {
        if !line.is_empty() {
            text.push_str("    ");
        }
        text.push_str(line);
        text.push('\n');
    }
}

/// Shell commands that make every output, empty.
fn touch(makes: &[Make]) -> String {
    let (mut files, mut dirs) = (String::new(), String::new());
    for file in makes.iter().flat_map(|make| &make.files) {
        let name = file.replace('*', "stub");
        match name.strip_suffix('/') {
            Some(dir) => dirs.push_str(&format!(" {dir}")),
            None => {
                let dir = name.rsplit_once('/').map_or("", |(dir, _)| dir);
                if !dir.is_empty() && !dirs.split(' ').any(|known| known == dir) {
                    dirs.push_str(&format!(" {dir}"));
                }
                files.push_str(&format!(" {name}"));
            }
        }
    }
    let mut lines = String::new();
    if !dirs.is_empty() {
        lines.push_str(&format!("mkdir -p{dirs}\n"));
    }
    if !files.is_empty() {
        lines.push_str(&format!("touch{files}\n"));
    }
    lines
}

//! Each rule on what it is about, and on what looks like it.

use super::{super::dsl::LOOKS, RULES, Rule, Severity, lint};

/// A sound process with some of its lines replaced.
fn process(old: &str, new: &str) -> String {
    let text = "process P {\n    tag \"$key\"\n    label 'process_low'\n    container 'quay.io/a/b:1.0'\n    publishDir params.out\n\n    input:\n    tuple val(key), path(reads)\n    path genome\n\n    output:\n    path 'x.txt', emit: text\n\n    script:\n    \"\"\"\n    tool $reads > x.txt\n    \"\"\"\n}\n";
    assert!(text.contains(old), "{old}");
    text.replacen(old, new, 1)
}

fn found(text: &str) -> Vec<(u32, Rule)> {
    lint(text)
        .iter()
        .map(|issue| (issue.line, issue.rule))
        .collect()
}

#[test]
fn containers_need_a_version() {
    let image = |image: &str| found(&process("'quay.io/a/b:1.0'", image));
    for bad in [
        "'ubuntu'",
        "'ubuntu:latest'",
        "\"quay.io/a/b\"",
        "'host:5000/a/b'",
        "\"${params.registry}/b:latest\"",
        "workflow.containerEngine == 'docker' ? 'a/b' : 'a/b:1'",
    ] {
        assert_eq!(image(bad), [(4, Rule::LatestTag)], "{bad}");
    }
    for good in [
        "'ubuntu:22.04'",
        "'a/b@sha256:0123'",
        "'/images/b.sif'",
        "params.image",
        "\"${params.image}\"",
        "\"${params.registry ?: 'quay.io'}/b:1.0\"",
        "'oras://a/b:2'",
        "{ task.ext.image ?: 'a/b:1' }",
        "'https://a.org/blobs/sha256/01/data'",
        "\"${ workflow.containerEngine == 'singularity' ? 'https://a/b:1' : 'a/b:1' }\"",
    ] {
        assert_eq!(image(good), [], "{good}");
    }
    assert_eq!(
        found(&process("    container 'quay.io/a/b:1.0'\n", "")),
        [(1, Rule::MissingContainer)]
    );
}

#[test]
fn resources_exist_and_are_possible() {
    let asked = |directive: &str| found(&process("label 'process_low'", directive));
    for bad in [
        "memory '0 GB'",
        "memory 0.GB",
        "memory '8 Gigs'",
        "memory '9000 GB'",
        "memory '8'",
        "cpus 0",
        "cpus 'many'",
        "cpus -1",
        "time '0h'",
        "time '2 fortnights'",
        "memory { 0.GB * task.attempt }",
        "cpus 4000",
    ] {
        assert_eq!(asked(bad), [(3, Rule::InvalidResources)], "{bad}");
    }
    for good in [
        "memory '8 GB'",
        "memory 8.GB",
        "memory { 8.GB * task.attempt }",
        "memory params.memory",
        "cpus 4",
        "cpus { 2 * task.attempt }",
        "time '1d 2h'",
        "time 2.h",
        "memory \"${params.gb} GB\"",
        "memory { check_max(6.GB * task.attempt, 'memory') }",
        "memory { task.attempt > 1 ? 16.GB : 8.GB }",
        "time { 4.h * task.attempt }",
    ] {
        assert_eq!(asked(good), [], "{good}");
    }
    assert_eq!(asked(""), [(1, Rule::MissingResources)]);
}

#[test]
fn dollars_reach_the_shell_only_with_a_backslash() {
    let script = |line: &str| found(&process("tool $reads > x.txt", line));
    for bad in [
        "echo $HOME",
        "echo ${HOME}",
        "echo $(ls)",
        "awk '{print $1}'",
        "echo ${x:-y}",
        "echo ${x%.bam}",
        "echo $?",
        "sed 's/a$//'",
    ] {
        assert_eq!(script(bad), [(16, Rule::ShellVariableEscape)], "{bad}");
    }
    for good in [
        "echo \\$HOME",
        "echo \\${HOME} \\$(ls)",
        "echo $key $reads ${genome.name} ${reads.join(' ')}",
        "echo ${task.cpus} $task.ext.args",
        "echo ${params.x} ${projectDir} ${workflow.runName}",
        "echo ${-1} ${[1, 2].max()} ${Math.max(1, 2)} ${new Date()}",
    ] {
        assert_eq!(script(good), [], "{good}");
    }
    let single = process("\"\"\"\n    tool", "'''\n    tool $x $(y)").replace("\"\"\"", "'''");
    assert_eq!(found(&single), []);
    let misspelt = lint(&process("$reads", "$raeds"));
    assert!(!misspelt[0].auto_fixable && misspelt[0].message.contains("did you mean $reads?"));
}

#[test]
fn the_first_language_is_recognised() {
    let input = |new: &str| found(&process("tuple val(key), path(reads)", new));
    for bad in [
        "set val(key), file(reads)",
        "tuple val(key), file(reads)",
        "tuple val(key), path(reads) from pairs",
        "set key, file(reads) from pairs",
        "val key from 1, 2",
        "file reads",
    ] {
        let of_rule = input(bad)
            .into_iter()
            .filter(|(_, rule)| *rule == Rule::Dsl1Syntax);
        assert_eq!(
            of_rule.collect::<Vec<_>>(),
            [(8, Rule::Dsl1Syntax)],
            "{bad}"
        );
    }
    assert_eq!(
        input("tuple val(key), path(reads)\n    val from\n    path into"),
        []
    );
    assert_eq!(
        found(&process("emit: text", "emit: text into texts"))[0].1,
        Rule::Dsl1Syntax
    );
    assert_eq!(found("x = Channel.create()\n"), [(1, Rule::Dsl1Syntax)]);
    assert_eq!(
        found("Channel.of(1).into { a; b }\n"),
        [(1, Rule::Dsl1Syntax)]
    );
    assert_eq!(found("nextflow.enable.dsl = 1\n"), [(1, Rule::Dsl1Syntax)]);
    assert_eq!(found("nextflow.enable.dsl = 2\n"), []);
}

#[test]
fn names_of_workflows_are_defined_and_bound() {
    let flow = |body: &str| {
        let tail = format!(
            "workflow {{\nreads = Channel.fromPath(params.x)\ngenome = file(params.g)\n{body}\n}}\n"
        );
        let text = process("", "") + &tail;
        let first = text.lines().count() as u32 - tail.lines().count() as u32 + 3;
        let issues = lint(&text)
            .into_iter()
            .map(|issue| (issue.line - first, issue.rule));
        issues.collect::<Vec<_>>()
    };
    assert_eq!(flow("P(reads, genome)"), []);
    assert_eq!(flow("P(raeds, genome)"), [(1, Rule::UndeclaredChannel)]);
    assert_eq!(
        flow("P(reads, genome)\nP.out.txet.view()"),
        [(2, Rule::UnknownOutput)]
    );
    assert_eq!(
        flow("P(reads, genome)\nP.out.text.view()\nQQQQQ(reads)"),
        [(3, Rule::UndefinedProcess)]
    );
    assert_eq!(
        flow("PP(reads, genome)\nP.out.text.view()"),
        [(1, Rule::UndefinedProcess)]
    );
    assert_eq!(
        flow("P(reads, genome)\nreads | view | unheardOf"),
        [(2, Rule::UndefinedProcess)]
    );
    assert_eq!(
        flow("P(reads, genome)\nraeds | view"),
        [(2, Rule::UndeclaredChannel)]
    );
    assert_eq!(
        flow("P(reads, genome)\nx = reads.map { a, b -> [a, unknown(b), other] }\nx.view()"),
        []
    );
    assert_eq!(
        flow("P.out.text.view()\nreads.map { P }")[0].1,
        Rule::UndeclaredChannel
    );
}

#[test]
fn unused_and_unpublished_processes_are_found_in_pipelines_only() {
    let bare = process("    publishDir params.out\n", "");
    assert_eq!(found(&bare), []);
    let call = "workflow { P(Channel.of(1), 2) }\n";
    assert_eq!(
        found(&format!("{bare}{call}")),
        [(1, Rule::MissingPublishDir)]
    );
    assert_eq!(
        found(&format!(
            "{bare}workflow {{ P(Channel.of(1), 2).view() }}\n"
        )),
        []
    );
    assert_eq!(
        found(&format!(
            "{bare}workflow {{ main: P(Channel.of(1), 2)\n publish: x = 1 }}\n"
        )),
        []
    );
    assert_eq!(
        found(&format!("{bare}workflow {{ }}\n")),
        [(1, Rule::UnusedProcess)]
    );
    let twice = format!("{bare}{bare}");
    assert_eq!(found(&twice), [(18, Rule::DuplicateProcess)]);
}

#[test]
fn parameters_are_declared_where_a_pipeline_declares_its_own() {
    assert_eq!(
        found("params.x = 1\nworkflow { log.info \"$params.y ${params.x}\" }\n"),
        [(2, Rule::ParamsUndeclared)]
    );
    assert_eq!(
        found("params { x = 1 }\nworkflow { Channel.of(params.z).view() }\n"),
        [(2, Rule::ParamsUndeclared)]
    );
    assert_eq!(found("workflow { Channel.of(params.z).view() }\n"), []);
    assert_eq!(
        found("params.x = attribute('x')\nworkflow { Channel.of(params.z).view() }\n")[..],
        []
    );
}

#[test]
fn paths_of_machines_are_found_in_code_too() {
    assert_eq!(
        found("params.x = '/refs/hg38.fa'\n"),
        [(1, Rule::HardcodedPath)]
    );
    assert_eq!(
        found("params.x = \"/home/${user}\"\n"),
        [(1, Rule::HardcodedPath)]
    );
    assert_eq!(
        found("ch = Channel.fromPath('/refs/*.fa')\n"),
        [(1, Rule::HardcodedPath)]
    );
    assert_eq!(
        found("params.x = 'https://data/home/x'\nlog.info 'see /home/x'\ny = ~/home/ \n"),
        []
    );
    assert_eq!(
        found(&process("tool $reads", "tool /scratch/x/y")),
        [(16, Rule::HardcodedPath)]
    );
    assert_eq!(
        found(&process(
            "tool $reads",
            "/opt/tool/bin/x 2> /dev/null # /home/x"
        )),
        []
    );
}

#[test]
fn places_are_in_characters_and_in_order() {
    let issues = lint("params.über = 'ß'; params.b = '/home/x/y'\nnextflow.enable.dsl = 1\n");
    assert_eq!((issues[0].line, issues[0].column), (1, 32));
    assert_eq!((issues[1].line, issues[1].column), (2, 23));
    assert_eq!(issues[0].severity, Severity::Error);
    let value = serde_json::to_value(&issues[0]).unwrap();
    assert_eq!(value["type"], "hardcoded_path");
    assert_eq!(value["severity"], "error");
}

#[test]
fn every_rule_says_what_it_means() {
    for facts in RULES {
        assert!(facts.meaning.len() > 30, "{}", facts.name);
        assert!(!facts.meaning.ends_with('.'), "{}", facts.name);
    }
}

/// Looks at tokens that linting takes.
fn work(text: &str) -> u64 {
    LOOKS.set(0);
    lint(text);
    LOOKS.get()
}

#[test]
fn the_work_grows_as_the_text_does() {
    let sound = process("", "");
    let pieces = [
        "{",
        "(",
        "}",
        ")",
        "\"${",
        "\"\"\"${x ",
        "'''",
        "\"",
        "/",
        "/\\",
        "$/",
        "/*",
        "${x:-",
        "process ",
        "process A {\n",
        "process\n",
        "workflow\n",
        "workflow {",
        "params.x = ",
        "params.x.",
        "def (",
        "def x ",
        "include {",
        ".set {",
        "set { x ",
        "if (",
        "x | ",
        "a, b -> ",
        "process A { input: ",
        "x = y\n",
        "FOO(a)\n",
        "workflow { FOO.out.x\n",
        "unknown ",
        "# /home/x ",
        "container 'a'\n",
        "})",
        "{(",
        &sound,
        "process A { \"\"\"$a\"\"\" }\n",
        "workflow { aBcD(x",
        "process A {\n''\n(",
        "\n\"\"\"\nprocess ",
    ];
    for piece in pieces {
        let times = |bytes: usize| work(&piece.repeat(bytes / piece.len()));
        let (small, large) = (times(8_000), times(64_000));
        println!("{piece:?}: {small} -> {large}");
        assert!(small > 0, "{piece:?}: nothing is counted");
        // Bounded looks ahead weigh more in a small text; a square would take 64 times the work.
        assert!(
            large <= 9 * small + 1_000,
            "{piece:?}: {small} looks, then {large}"
        );
        assert!(
            large <= 64 * 64_000,
            "{piece:?}: {large} looks at {} bytes",
            64_000
        );
    }
}

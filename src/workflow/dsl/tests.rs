//! Strings, blocks and names as the lexer and the parser see them.

use super::{
    lex, parse,
    token::{Kind, Quote},
    tree::Purpose,
};

fn kinds(text: &str) -> Vec<(Kind, &str)> {
    let lexed = lex(text);
    (0..lexed.tokens.len())
        .map(|at| (lexed.tokens[at].kind, lexed.of(at)))
        .collect()
}

#[test]
fn strings_of_every_kind_are_one_token() {
    use Quote::{Double, Single, Slashy, TripleDouble, TripleSingle};
    let cases = [
        (r"'a \' b'", Single),
        (r#""a \" \$b""#, Double),
        ("'''a 'b'\n c'''", TripleSingle),
        ("\"\"\"a \"b\"\n \\$c\"\"\"", TripleDouble),
        (r"/a\/b [']/", Slashy),
        ("$/a /b/ 'c'/$", Slashy),
        ("'$a ${b}'", Single),
    ];
    for (text, quote) in cases {
        let code = format!("x = {text}");
        assert_eq!(kinds(&code)[2..], [(Kind::Text(quote), text)], "{text}");
    }
}

#[test]
fn interpolations_hold_code_with_braces_and_strings_again() {
    let text = r#""${a.collect { "${it}}" }['}']} $b.c.1 z""#;
    let lexed = lex(text);
    assert_eq!(lexed.unclosed, []);
    assert_eq!(lexed.tokens[0].kind, Kind::Quoted(Quote::Double));
    assert_eq!(lexed.tokens[0].mate as usize, lexed.tokens.len() - 1);
    assert!(kinds(text).contains(&(Kind::Name, "$b.c")));
    assert!(kinds(text).contains(&(Kind::Text(Quote::Single), "'}'")));
}

#[test]
fn what_only_a_shell_reads_is_told_apart() {
    let text =
        "\"\"\"$(ls) $1 ${x:-y} ${#x} ${x##*/} ${x//a/b} ${x[@]} ${x ?: 1} ${x[0]} \\$y $z\"\"\"";
    let shell: Vec<&str> = kinds(text)
        .into_iter()
        .filter(|(kind, _)| *kind == Kind::Shell)
        .map(|(_, text)| text)
        .collect();
    let expected = [
        "$",
        "$",
        "${x:-y}",
        "${#x}",
        "${x##*/}",
        "${x//a/b}",
        "${x[@]}",
    ];
    assert_eq!(shell, expected);
}

#[test]
fn a_slash_divides_after_a_value_and_begins_a_string_elsewhere() {
    assert!(
        !kinds("a = b / c / d")
            .iter()
            .any(|(kind, _)| matches!(kind, Kind::Text(_)))
    );
    assert!(kinds("a ==~ /b c/").contains(&(Kind::Text(Quote::Slashy), "/b c/")));
    assert!(kinds("x(~/b/)").contains(&(Kind::Text(Quote::Slashy), "/b/")));
}

#[test]
fn comments_are_no_tokens_and_strings_hide_them() {
    let text = "#!/usr/bin/env nextflow '\na // b {\n/* c ( */ 'http://d' /* \" */";
    assert_eq!(
        kinds(text),
        [(Kind::Word, "a"), (Kind::Text(Quote::Single), "'http://d'")]
    );
}

#[test]
fn one_unclosed_block_is_one_finding_and_the_rest_is_read() {
    let cases = [
        (
            "process A {\n if (x) {\n }\nprocess B { }\nworkflow { A() }",
            10,
        ),
        (
            "process A {\n \"\"\"\n echo\n}\nprocess B { }\nworkflow { A() }",
            13,
        ),
        (
            "process A { x = 'abc\n }\nprocess B { }\nworkflow { A() }",
            16,
        ),
        ("process A { \"${x }\nprocess B { }\nworkflow { A() }", 12),
        ("process A { f(1 }\nprocess B { }\nworkflow { A() }", 13),
        ("process A { }\nprocess B { }\nworkflow { A(", 37),
    ];
    for (text, at) in cases {
        let tree = parse(text);
        let places: Vec<u32> = tree.lexed.unclosed.iter().map(|found| found.at).collect();
        assert_eq!(places, [at], "{text}");
        assert_eq!(tree.processes.len(), 2, "{text}");
        assert_eq!(tree.workflows.len(), 1, "{text}");
    }
}

#[test]
fn a_process_is_read_part_by_part() {
    let text = include_str!("../../../tests/data/nextflow/subworkflows.nf");
    let tree = parse(text);
    let included: Vec<&str> = tree.included.iter().map(|name| name.text).collect();
    let expected = [
        "FASTQC",
        "FASTQC_TRIMMED",
        "MULTIQC",
        "checkSamples",
        "paramsSummary",
    ];
    assert_eq!(included, expected);
    let process = &tree.processes[0];
    assert_eq!(process.name.text, "SUBSAMPLE");
    assert_eq!(process.emits, ["reads", "kept"]);
    assert_eq!((process.inputs.len(), process.outputs.len()), (2, 2));
    let directives: Vec<&str> = process.directives.iter().map(|d| d.head.text).collect();
    assert_eq!(directives, ["tag", "label", "container", "container"]);
    for name in ["meta", "reads", "fraction", "seed"] {
        assert!(process.names.contains(&name), "{name}");
    }
    assert_eq!(tree.functions[0].text, "helpMessage");
}

#[test]
fn a_workflow_binds_and_uses_names() {
    let tree = parse(
        "workflow W {\n take: a\n main:\n b = P(a)\n a | map { it } | Q | set { c }\n def d = Q.out.x\n emit:\n e = c\n}",
    );
    let workflow = &tree.workflows[0];
    assert_eq!(
        (&*workflow.takes, &*workflow.emits),
        (&["a"][..], &["e"][..])
    );
    for name in ["a", "b", "c", "d"] {
        assert!(workflow.flow.bound.contains(&name), "{name}");
    }
    let purposes = |name: &str| {
        let uses = workflow
            .flow
            .uses
            .iter()
            .filter(|found| found.name.text == name);
        uses.map(|found| found.purpose).collect::<Vec<_>>()
    };
    assert_eq!(purposes("P"), [Purpose::Call]);
    assert!(
        matches!(*purposes("Q"), [Purpose::Piped, Purpose::Output(Some(name))] if name.text == "x")
    );
    assert_eq!(purposes("c"), [Purpose::Value]);
}

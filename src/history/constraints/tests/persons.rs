//! What persons write and rule, and what contradicts it.

use super::*;

#[test]
fn persons_write_constraints_in_words() {
    for (text, canonical, breaks, keeps) in [
        (
            "learning_rate <= 0.01",
            "learning_rate <= 0.01",
            "learning_rate=0.02",
            "learning_rate=0.01",
        ),
        (
            "lr >= 1e-5 and lr<=1e-2",
            "lr >= 1e-5 and lr <= 0.01",
            "lr=0.1",
            "lr=1e-3",
        ),
        (
            "not (r >= 64 and b >= 8)",
            "b < 8 or r < 64",
            "r=64 b=8",
            "r=64 b=7",
        ),
        (
            "config.opt not in (lion, 'a b')",
            "opt not in (lion, 'a b')",
            "opt=lion",
            "opt=adam",
        ),
        ("opt in (adam, 8)", "opt in (adam, 8)", "opt=9", "opt=8"),
        ("opt = adam", "opt = adam", "opt=sgd", "opt=adam"),
        ("bf16 != false", "bf16 != false", "bf16=false", "bf16=true"),
        ("r != 3 and r < 9", "r < 9 and r != 3", "r=3", "r=4"),
    ] {
        let found = parse(text, ANY, NOW).unwrap();
        assert_eq!(found.text(), canonical);
        assert_eq!(parse(canonical, ANY, NOW).unwrap(), found);
        assert!(found.broken_in(&set(breaks)), "{text}");
        assert!(!found.broken_in(&set(keeps)), "{text}");
    }
    for (text, word) in [
        ("r <", "a value is missing"),
        ("r <= 1 and b <= 2", "two constraints"),
        ("r < 1 or r > 5", "both sides of or"),
        ("r > 5 and r < 1", "allows nothing"),
        ("r > 5 and r <= 7", "allowed itself"),
        ("r > 5 and r > 7", "given already"),
        ("opt ~ adam", "bounds a number or names values"),
        ("r is missing", "bounds a number or names values"),
        ("r <= high", "an end is a number"),
        ("(r < 1 or b < 2) and c < 3", "bounds with or between"),
    ] {
        let said = parse(text, ANY, NOW).unwrap_err();
        assert!(
            said.message.contains(word) && said.column.is_some(),
            "{text}: {said}"
        );
    }
}

#[test]
fn contradictory_constraints_are_named() {
    let of = |texts: &[&str], domain: &str| {
        let all: Vec<Constraint> = texts
            .iter()
            .map(|text| match text.split_once(" for ") {
                Some((text, model)) => parse(text, model, NOW).unwrap(),
                None => parse(text, ANY, NOW).unwrap(),
            })
            .collect();
        let parameters = Domain::parse(domain).map(|domain| Parameter {
            name: "p".into(),
            domain,
            about: String::new(),
        });
        let schema = Schema {
            parameters: parameters.into_iter().collect(),
            sums: Vec::new(),
        };
        let found = contradictions(&all, &schema);
        let numbers = |id: &String| {
            all.iter()
                .position(|one| one.id == *id)
                .unwrap()
                .to_string()
        };
        found
            .iter()
            .map(|one| one.constraints.iter().map(numbers).collect::<String>())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(of(&["p <= 0.01", "q > 1", "p >= 0.1"], ""), "02");
    assert_eq!(of(&["p <= 0.01", "p >= 0.01"], ""), "");
    assert_eq!(of(&["p < 1", "p > 1"], ""), "01");
    assert_eq!(of(&["p <= 1 for a", "p >= 2 for b"], ""), "");
    assert_eq!(of(&["p <= 1 for a", "p >= 2"], ""), "01");
    assert_eq!(of(&["p <= 1", "p >= 2"], "0..9"), "01");
    assert_eq!(of(&["p < 0.5"], "1..9"), "0");
    assert_eq!(of(&["p > 3 and p < 4"], "1..9:int"), "0");
    assert_eq!(of(&["p > 3 and p < 5", "p != 4"], "1..9:int"), "01");
    assert_eq!(of(&["p > 3 and p < 5", "p != 4"], "1..9"), "");
    assert_eq!(of(&["p != a", "p != b", "p != c"], "a,b,c"), "012");
    assert_eq!(of(&["p != a", "p != b"], "a,b,c"), "");
    assert_eq!(of(&["p in (a, b)", "p != a", "p = c"], ""), "02");
    assert_eq!(of(&["p != a", "p != b"], ""), "");
    assert_eq!(
        of(&["p < 1 or q < 1", "p > 2"], ""),
        "",
        "there is a way out"
    );
    let both = contradictions(
        &[
            parse("p <= 1", ANY, NOW).unwrap(),
            parse("p >= 2", ANY, NOW).unwrap(),
        ],
        &Schema::default(),
    );
    let ids = &both[0].constraints;
    assert_eq!(
        both[0].text,
        format!(
            "p <= 1 ({}) and p >= 2 ({}) leave p no value",
            ids[0], ids[1]
        )
    );
}

#[test]
fn persons_rule() {
    let all = runs(Memory, &["r=8", "!r=64", "!r=32"]);
    let found = learned(&all, &Rules::default());
    let schema = Schema::default();
    let act = |act: Act, shown: &[Constraint]| rule(&act, NOW, shown, &schema);
    let id = found[0].id.clone();
    let pin = act(Act::Pin { id: id[..6].into() }, &found).unwrap();
    let kept = apply(Vec::new(), std::slice::from_ref(&pin));
    assert!(
        kept[0].pinned && kept[0].expires_at.is_none(),
        "kept although nothing teaches it any more"
    );
    assert_eq!(apply(found.clone(), std::slice::from_ref(&pin)).len(), 1);
    let delete = act(Act::Delete { id: id.clone() }, &found).unwrap();
    assert_eq!(apply(found.clone(), std::slice::from_ref(&delete)), []);
    let mut more = all.clone();
    more.push(ran("e8", "r=32", Some(Memory)));
    assert_eq!(
        apply(
            learned(&more, &Rules::default()),
            std::slice::from_ref(&delete)
        ),
        []
    );
    more.push(ran("e9", "r=40", Some(Memory)));
    assert_eq!(
        apply(
            learned(&more, &Rules::default()),
            std::slice::from_ref(&delete)
        )
        .len(),
        1,
        "two new failures teach it anew"
    );
    let add = |text: &str| Act::Add {
        text: text.into(),
        model: None,
        strength: Strength::Hard,
    };
    let added = act(add("learning_rate <= 0.01"), &found).unwrap();
    let rulings = [pin, delete, added];
    let once = apply(found.clone(), &rulings);
    assert_eq!(once.len(), 1);
    assert_eq!(
        (once[0].origin, once[0].text()),
        (Origin::Person, "learning_rate <= 0.01".into())
    );
    assert_eq!(apply(once.clone(), &rulings), once);
    let gone = act(
        Act::Delete {
            id: once[0].id.clone(),
        },
        &once,
    )
    .unwrap();
    assert_eq!(apply(once, &[gone]), []);
    for (wrong, word) in [
        (add("r >= 32"), "leave r no value"),
        (add("r >"), "a value is missing"),
        (Act::Pin { id: "c-zz".into() }, "there is no constraint"),
        (Act::Delete { id: "c-".into() }, "there is no constraint"),
    ] {
        let said = act(wrong, &found).unwrap_err();
        assert!(said.message.contains(word), "{said}");
        assert!(!said.right.is_empty());
    }
}

#[test]
fn what_persons_wrote_is_weighed() {
    let mut mine = vec![parse("r <= 16", ANY, NOW).unwrap()];
    let all = runs(Memory, &["r=32", "!r=64", "!r=32", "!r=8"]);
    weigh(&mut mine, &all.iter().collect::<Vec<_>>());
    assert_eq!((mine[0].evidence.len(), mine[0].counter_evidence), (2, 1));
    assert!((mine[0].confidence - lower_bound(2, 1)).abs() < 1e-12);
    // What it refused itself never ran, and a node that was lost says nothing of settings.
    let mut more = all.clone();
    more.extend(runs(FailureCause::Refused, &["!r=48"]));
    more.extend(runs(Node, &["!r=48"]));
    let before = mine.clone();
    weigh(&mut mine, &more.iter().collect::<Vec<_>>());
    assert_eq!(mine, before);
}

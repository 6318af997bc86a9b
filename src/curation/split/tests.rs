//! What a split promises: nothing that knows of each other is parted, nothing tested on is ever trained on, and the order
//! of the rows means nothing.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

use super::*;
use proptest::prelude::*;
use std::collections::HashMap;

fn row(id: u128) -> Member {
    Member {
        id,
        structure: None,
        text: None,
        source: None,
        template: None,
        kind: None,
        stratum: 0,
        frozen: None,
    }
}

/// A row of a template; the structure is its own.
fn form(id: u128, kind: u32, template: u32) -> Member {
    Member {
        structure: Some(1 << 90 | id),
        template: Some(template),
        kind: Some(kind),
        stratum: kind.into(),
        ..row(id)
    }
}

/// An id as hashes are: large and in no order.
fn hashed(n: u64) -> u128 {
    u128::from(draw(99, n.into())) << 64 | u128::from(draw(98, n.into()))
}

fn settings(shares: [f64; 3]) -> Settings {
    Settings {
        shares,
        ..Settings::default()
    }
}

fn rows_in(placed: &Placed, split: Split) -> usize {
    placed.split.iter().filter(|of| **of == split).count()
}

fn by_id(members: &[Member], placed: &Placed) -> BTreeMap<u128, Split> {
    let ids = members.iter().map(|member| member.id);
    ids.zip(placed.split.iter().copied()).collect()
}

fn tested(split: Split) -> bool {
    [Split::Test, Split::TestUnseenTemplate].contains(&split)
}

/// Structure, text, source, template, kind and stratum.
type Keys = (
    Option<u128>,
    Option<u128>,
    Option<u128>,
    u32,
    Option<u32>,
    u64,
);

/// Rows with few different keys, so that they meet.
fn some_rows() -> impl Strategy<Value = Vec<Member>> {
    let key = |most: u128| prop::option::weighted(0.4, 0..most);
    let one = (
        key(60),
        key(60),
        key(60),
        0..20_u32,
        prop::option::of(0..3_u32),
        0..5_u64,
    );
    prop::collection::vec(one, 1..90).prop_map(|rows| {
        let make =
            |(n, (structure, text, source, template, kind, stratum)): (usize, Keys)| Member {
                structure: structure.map(|key| 1000 + key),
                text: text.map(|key| 2000 + key),
                source: source.map(|key| hashed(key as u64)),
                template: structure.and(Some(template)),
                kind,
                stratum,
                ..row(hashed(n as u64))
            };
        rows.into_iter().enumerate().map(make).collect()
    })
}

fn some_ties() -> impl Strategy<Value = Vec<(u32, u32)>> {
    prop::collection::vec((0..90_u32, 0..90_u32), 0..10)
}

fn valid(ties: &[(u32, u32)], rows: usize) -> Vec<(u32, u32)> {
    let inside = |(a, b): &&(u32, u32)| (*a.max(b) as usize) < rows;
    ties.iter().filter(inside).copied().collect()
}

/// No two rows that know of each other are in different splits or components.
fn together(members: &[Member], ties: &[(u32, u32)], placed: &Placed) {
    let mut seen: HashMap<(&str, u128), usize> = HashMap::new();
    let mut one = |key: (&'static str, u128), row: usize| {
        let first = *seen.entry(key).or_insert(row);
        assert_eq!(placed.split[first], placed.split[row], "{key:?}");
        if key.0 != "component" {
            assert_eq!(placed.component[first], placed.component[row], "{key:?}");
        }
    };
    for (at, member) in members.iter().enumerate() {
        one(("component", placed.component[at].into()), at);
        one(("source", member.id), at);
        member
            .source
            .into_iter()
            .for_each(|key| one(("source", key), at));
        member
            .structure
            .into_iter()
            .for_each(|key| one(("structure", key), at));
        let text = member.text.filter(|_| member.structure.is_none());
        text.into_iter().for_each(|key| one(("text", key), at));
    }
    for (a, b) in ties {
        let (a, b) = (*a as usize, *b as usize);
        if members[a].structure.is_none() && members[b].structure.is_none() {
            assert_eq!(placed.component[a], placed.component[b]);
        }
    }
}

proptest! {
    #[test]
    fn what_belongs_together_is_together(members in some_rows(), ties in some_ties(), seed in 0..5_u64) {
        let ties = valid(&ties, members.len());
        let placed = place(&members, &ties, &Settings { seed, ..Settings::default() });
        together(&members, &ties, &placed);
        let rows: u32 = placed.summary.splits.values().map(|size| size.rows).sum();
        prop_assert_eq!(rows as usize, members.len());
        let components: u32 = placed.summary.splits.values().map(|size| size.components).sum();
        prop_assert_eq!(components - 1, *placed.component.iter().max().unwrap());
        let kept: Vec<u32> = placed.summary.kept_out.iter().map(|kept| kept.template).collect();
        for (member, split) in members.iter().zip(&placed.split) {
            if member.template.is_some_and(|template| kept.contains(&template)) {
                prop_assert_eq!(*split, Split::TestUnseenTemplate);
            }
        }
    }

    #[test]
    fn the_order_of_rows_means_nothing(members in some_rows(), ties in some_ties(), turn in 0..90_usize) {
        let ties = valid(&ties, members.len());
        let placed = place(&members, &ties, &Settings::default());
        let count = members.len();
        let to = |at: usize| count - 1 - (at + turn) % count;
        let mut moved = members.clone();
        (0..count).for_each(|at| moved[to(at)] = members[at].clone());
        let moved_ties: Vec<_> = ties.iter().rev().map(|(a, b)| (to(*b as usize) as u32, to(*a as usize) as u32)).collect();
        let again = place(&moved, &moved_ties, &Settings::default());
        prop_assert_eq!(by_id(&members, &placed), by_id(&moved, &again));
        prop_assert_eq!(&placed.summary, &again.summary);
        for at in 0..count {
            prop_assert_eq!(placed.component[at], again.component[to(at)]);
        }
    }

    #[test]
    fn a_later_cycle_never_trains_on_what_was_tested_on(members in some_rows(), split in 1..90_usize, seed in 0..5_u64, ties in some_ties()) {
        let (old, new) = members.split_at(split.min(members.len()));
        let first = place(old, &[], &Settings::default());
        let manifest = Manifest::new(old, &first, &Settings::default(), None);
        let text = serde_json::to_string(&manifest).unwrap();
        let frozen = serde_json::from_str::<Manifest>(&text).unwrap().frozen().unwrap();
        prop_assert_eq!(frozen.keys.keys().copied().collect::<Vec<_>>(), frozen_keys(old, &first));

        let mut all = members.clone();
        thaw(&mut all, &frozen);
        let later = Settings { seed, keep_out: frozen.keep_out.clone(), ..Settings::default() };
        let ties = valid(&ties, all.len());
        let second = place(&all, &ties, &later);
        together(&all, &ties, &second);
        for (at, split) in first.split.iter().enumerate() {
            prop_assert!(!tested(*split) || tested(second.split[at]), "row {} left {}", at, split);
        }
        for (member, split) in all.iter().zip(&second.split) {
            prop_assert!(member.frozen.is_none() || tested(*split));
        }

        // Where the rows of before are not among those of a later cycle, their keys still hold what is tied to them.
        let before: BTreeSet<u128> = old.iter().zip(&first.split).filter(|(_, split)| tested(**split))
            .flat_map(|(member, _)| [member.structure, member.text.filter(|_| member.structure.is_none()), member.source, Some(member.id)])
            .flatten().collect();
        // What the rows of a third cycle lack is not forgotten, and keys alone hold a row.
        let mut new = new.to_vec();
        thaw(&mut new, &frozen);
        let placed = place(&new, &[], &later);
        for (member, split) in new.iter().zip(&placed.split) {
            let text = member.text.filter(|_| member.structure.is_none());
            let known = [member.structure, text, member.source, Some(member.id)].into_iter().flatten().any(|key| before.contains(&key));
            prop_assert!(!known || tested(*split));
        }
        let manifest = Manifest::new(&new, &placed, &later, Some(&manifest));
        let kept = manifest.frozen().unwrap().keys;
        for (key, split) in &frozen.keys {
            prop_assert!(kept.contains_key(key), "{} of {}", key, split);
        }
    }

    #[test]
    fn shares_hold_within_a_component(sizes in prop::collection::vec(1..9_u64, 150..250), strata in 1..7_u64) {
        let mut members = Vec::new();
        for (n, size) in sizes.iter().enumerate() {
            for _ in 0..*size {
                let id = hashed(members.len() as u64);
                members.push(Member { source: Some(n as u128), stratum: n as u64 % strata, ..row(id) });
            }
        }
        let shares = [0.7, 0.2, 0.1];
        let placed = place(&members, &[], &settings(shares));
        for (split, share) in [Split::Train, Split::Validation, Split::Test].into_iter().zip(shares) {
            let (is, due) = (rows_in(&placed, split) as f64, share * members.len() as f64);
            prop_assert!((is - due).abs() <= 8.0, "{} rows and {} due in {}", is, due, split);
        }
    }
}

#[test]
fn every_stratum_has_its_share() {
    let rows = |n: u64| Member {
        stratum: draw(5, (n % 40).into()),
        ..row(hashed(n))
    };
    let members: Vec<Member> = (0..2000).map(rows).collect();
    let splits = [Split::Train, Split::Validation, Split::Test];
    for shares in [
        [0.8, 0.1, 0.1],
        [0.34, 0.33, 0.33],
        [0.96, 0.02, 0.02],
        [0.1, 0.6, 0.3],
    ] {
        let placed = place(&members, &[], &settings(shares));
        let mut strata: BTreeMap<u64, [u32; 3]> = BTreeMap::new();
        for (member, split) in members.iter().zip(&placed.split) {
            let at = splits.iter().position(|of| of == split).unwrap();
            strata.entry(member.stratum).or_default()[at] += 1;
        }
        for s in 0..3 {
            let off = (rows_in(&placed, splits[s]) as f64 - shares[s] * 2000.0).abs();
            assert!(off <= 0.75, "{off} rows off in {} of {shares:?}", splits[s]);
            for (stratum, counts) in &strata {
                let off = (f64::from(counts[s]) - shares[s] * 50.0).abs();
                assert!(off <= 1.5, "{off} rows off in {stratum} of {shares:?}");
            }
        }
    }
    let placed = |seed| {
        place(
            &members,
            &[],
            &Settings {
                seed,
                ..Settings::default()
            },
        )
        .split
    };
    assert_ne!(placed(1), placed(2), "the seed decides");
}

#[test]
fn few_components_fill_train_then_test_then_validation() {
    use Split::{Test, Train, Validation};
    for shares in [
        [0.8, 0.1, 0.1],
        [0.1, 0.1, 0.8],
        [1.0, 1.0, 1.0],
        [0.01, 0.98, 0.01],
    ] {
        let splits = |rows: u64| {
            let members: Vec<Member> = (0..rows).map(|n| row(hashed(n))).collect();
            place(&members, &[], &settings(shares))
                .summary
                .splits
                .into_keys()
                .collect::<Vec<_>>()
        };
        assert_eq!(splits(0), []);
        assert_eq!(splits(1), [Train], "{shares:?}");
        assert_eq!(splits(2), [Train, Test], "{shares:?}");
        assert_eq!(splits(3), [Train, Validation, Test], "{shares:?}");
        assert_eq!(splits(9), [Train, Validation, Test], "{shares:?}");
    }
    let members: Vec<Member> = (0..40).map(|n| row(hashed(n))).collect();
    let placed = place(&members, &[], &settings([0.9, 0.0, 0.1]));
    assert_eq!(
        (rows_in(&placed, Validation), rows_in(&placed, Test)),
        (0, 4)
    );
    for nonsense in [[0.0; 3], [f64::NAN; 3], [-1.0, 0.0, f64::INFINITY]] {
        assert_eq!(
            rows_in(&place(&members, &[], &settings(nonsense)), Train),
            40
        );
    }
}

#[test]
fn a_giant_is_trained_on_whole_and_the_others_make_up_for_it() {
    let mut members: Vec<Member> = (0..1000)
        .map(|n| Member {
            stratum: n % 4,
            ..row(hashed(n))
        })
        .collect();
    members[..500]
        .iter_mut()
        .for_each(|member| member.source = Some(7));
    let placed = place(&members, &[], &Settings::default());
    assert!(
        placed.split[..500]
            .iter()
            .all(|split| *split == Split::Train)
    );
    assert_eq!(placed.summary.largest, 500);
    assert_eq!(
        placed.summary.giants,
        Size {
            components: 1,
            rows: 500
        }
    );
    assert_eq!(
        (
            rows_in(&placed, Split::Validation),
            rows_in(&placed, Split::Test)
        ),
        (100, 100)
    );
    for stratum in 0..4 {
        let of = |split| {
            (500..1000)
                .filter(|at| *at as u64 % 4 == stratum && placed.split[*at] == split)
                .count()
        };
        assert!((24..=26).contains(&of(Split::Test)), "stratum {stratum}");
    }
    // All in one: nothing is left to test on.
    members
        .iter_mut()
        .for_each(|member| member.source = Some(7));
    assert_eq!(
        rows_in(&place(&members, &[], &Settings::default()), Split::Train),
        1000
    );
}

#[test]
fn generated_rows_are_not_tied_by_text_and_each_rule_says_what_it_tied() {
    let mut members: Vec<Member> = (0..9).map(|n| row(hashed(n))).collect();
    members[0].structure = Some(1);
    members[1].structure = Some(1);
    members[2].structure = Some(2);
    members[0..5]
        .iter_mut()
        .for_each(|member| member.text = Some(3));
    members[5].source = Some(members[4].id);
    let placed = place(
        &members,
        &[(5, 6), (3, 6), (0, 7), (8, 8)],
        &Settings::default(),
    );
    let Ties {
        structure,
        text,
        source,
        near,
        passed_over,
    } = placed.summary.ties;
    assert_eq!(
        (structure, text, source, near, passed_over),
        (1, 1, 1, 1, 1)
    );
    let c = &placed.component;
    assert!(c[0] == c[1] && c[1] != c[2] && c[2] != c[3]);
    assert!(c[3..7].iter().all(|of| *of == c[3]) && c[7] != c[0]);
    assert_eq!(placed.summary.largest, 4);
}

/// 100 rows of each of `templates` templates of a kind.
fn forms(kind: u32, templates: u32) -> Vec<Member> {
    let rows = (0..templates * 100).map(|n| {
        form(
            hashed(u64::from(kind * 10_000 + n)),
            kind,
            kind * 100 + n % templates,
        )
    });
    rows.collect()
}

#[test]
fn one_template_of_four_is_kept_out_and_none_of_three() {
    let members = [forms(1, 4), forms(2, 3), forms(3, 9)].concat();
    let placed = place(&members, &[], &Settings::default());
    let kept = &placed.summary.kept_out;
    assert_eq!(
        kept.iter()
            .map(|kept| (kept.kind, kept.rows))
            .collect::<Vec<_>>(),
        [(1, 100), (3, 100)]
    );
    for (member, split) in members.iter().zip(&placed.split) {
        let out = kept
            .iter()
            .any(|kept| Some(kept.template) == member.template);
        assert_eq!(*split == Split::TestUnseenTemplate, out);
    }
    let chosen = |seed| {
        place(
            &members,
            &[],
            &Settings {
                seed,
                ..Settings::default()
            },
        )
        .summary
        .kept_out
    };
    assert!(
        (1..20).any(|seed| chosen(seed)[0] != chosen(0)[0]),
        "the seed chooses"
    );
    let none = Settings {
        unseen_template: false,
        ..Settings::default()
    };
    assert!(place(&members, &[], &none).summary.kept_out.is_empty());
}

#[test]
fn a_template_stays_kept_out_and_what_is_frozen_stays_in_test() {
    let old = forms(1, 4);
    let first = place(&old, &[], &Settings::default());
    let manifest = Manifest::new(&old, &first, &Settings::default(), None);
    let frozen = manifest.frozen().unwrap();
    // The same rows with another seed: what was tested on stays where it was.
    let mut again = old.clone();
    let found = thaw(&mut again, &frozen);
    assert_eq!(found, rows_in(&first, Split::Test) + 100);
    for seed in 0..8 {
        let settings = Settings {
            seed,
            keep_out: frozen.keep_out.clone(),
            ..Settings::default()
        };
        let mut rows = again.clone();
        rows.extend(forms(1, 12).split_off(400));
        let second = place(&rows, &[], &settings);
        assert_eq!(
            second.summary.kept_out.len(),
            1,
            "no second template of the kind"
        );
        for at in 0..old.len() {
            assert!(!tested(first.split[at]) || second.split[at] == first.split[at]);
        }
    }
    // A cycle without any of the rows forgets nothing.
    let none = place(&[], &[], &Settings::default());
    let kept = Manifest::new(&[], &none, &Settings::default(), Some(&manifest));
    assert_eq!(kept, manifest);
    // The same rows, settings and seed: all is as it was.
    let settings = Settings {
        keep_out: frozen.keep_out.clone(),
        ..Settings::default()
    };
    assert_eq!(place(&again, &[], &settings).split, first.split);
    // A template that has frozen rows is not chosen: they would have to leave the test split, or train beside it.
    let mut rows = forms(4, 4);
    rows[..3]
        .iter_mut()
        .for_each(|member| member.frozen = Some(Split::Test));
    let placed = place(&rows, &[], &Settings::default());
    assert_eq!(placed.summary.kept_out[0].template % 100, 3);
    rows[3].frozen = Some(Split::Test);
    let placed = place(&rows, &[], &Settings::default());
    assert_eq!(
        (placed.summary.kept_out, placed.summary.not_kept_out),
        (vec![], vec![4])
    );
    assert_eq!(
        placed.summary.frozen,
        Size {
            components: 4,
            rows: 4
        }
    );
}

#[test]
fn of_two_promises_the_older_holds() {
    // Tied rows that were frozen apart meet in test, whichever has the smaller id.
    for splits in [
        [Split::Test, Split::TestUnseenTemplate],
        [Split::TestUnseenTemplate, Split::Test],
    ] {
        let rows = (0..2).map(|n| Member {
            source: Some(5),
            frozen: Some(splits[n]),
            ..row(n as u128)
        });
        let placed = place(&rows.collect::<Vec<_>>(), &[], &Settings::default());
        assert_eq!(placed.split, [Split::Test; 2]);
    }
    // A frozen row stays in test although its template is kept out by now.
    let mut rows = forms(1, 4);
    rows[0].frozen = Some(Split::Test);
    let out = Settings {
        keep_out: [100].into(),
        ..Settings::default()
    };
    let placed = place(&rows, &[], &out);
    assert_eq!(
        (placed.split[0], placed.split[4]),
        (Split::Test, Split::TestUnseenTemplate)
    );
    // A giant does not leave the train split for the sake of a template, while another can be kept out.
    let mut rows = forms(1, 4);
    let giant = |member: &&mut Member| member.template != Some(102);
    rows.iter_mut()
        .filter(giant)
        .for_each(|member| member.source = Some(5));
    for seed in 0..8 {
        let placed = place(
            &rows,
            &[],
            &Settings {
                seed,
                ..Settings::default()
            },
        );
        assert_eq!(placed.summary.kept_out[0].template, 102, "seed {seed}");
        assert_eq!(placed.summary.giants.rows, 300);
    }
}

#[test]
fn a_manifest_is_small_and_refuses_what_it_is_not() {
    let member = |n: u64| Member {
        source: Some(hashed(n)),
        stratum: n % 38,
        ..form(hashed(n), (n % 38) as u32, (n % 380) as u32)
    };
    let members: Vec<Member> = (0..34_500).map(member).collect();
    let placed = place(&members, &[], &Settings::default());
    let manifest = Manifest::new(&members, &placed, &Settings::default(), None);
    let text = serde_json::to_string(&manifest).unwrap();
    assert!(text.len() < 2_000_000, "{} bytes", text.len());
    assert!(
        manifest
            .test_components
            .is_sorted_by_key(|component| &component.key)
    );
    let refused = |change: &dyn Fn(&mut Manifest)| {
        let mut changed = manifest.clone();
        change(&mut changed);
        changed.frozen().unwrap_err()
    };
    assert!(refused(&|manifest| manifest.version = 2).contains("version 2"));
    assert!(
        refused(&|manifest| manifest.test_components[0].split = Split::Train).contains("in train")
    );
    assert!(
        refused(&|manifest| manifest.test_components[0].members[0] = "+1".into())
            .contains("\"+1\"")
    );
}

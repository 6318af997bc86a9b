//! What is shown, and how often that is wrong.

use super::*;
use crate::{
    evaluation::job::Metric,
    training::philox::{philox, unit},
};
use proptest::prelude::*;

fn rules() -> Rules {
    Rules {
        resampling: Resampling {
            resamples: 2_000,
            seed: 7,
            confidence: 0.95,
        },
        least_items: 20,
    }
}

fn one(sum: f64) -> Share {
    Share { sum, count: 1.0 }
}

/// Items by how many are right for both, only the base, only the other, neither; each its own component.
fn answers(counts: [u32; 4]) -> Vec<Pair> {
    let kinds = [(1.0, 1.0), (1.0, 0.0), (0.0, 1.0), (0.0, 0.0)];
    let all = counts.into_iter().zip(kinds);
    let all = all.flat_map(|(n, kind)| std::iter::repeat_n(kind, n as usize));
    (0..)
        .zip(all)
        .map(|(cluster, (base, other))| Pair {
            base: one(base),
            other: one(other),
            cluster,
        })
        .collect()
}

fn settled(metric: Metric, pairs: &[Pair]) -> Comparison {
    let mut found = [compare("a", metric, pairs, &rules())];
    settle(&mut found, &rules());
    let [found] = found;
    found
}

#[test]
fn a_clear_gain_is_improved_and_a_clear_loss_regressed() {
    let better = settled(Metric::Ranking, &answers([40, 3, 25, 32]));
    assert_eq!(better.shown, Shown::Improved, "{better:?}");
    let seen = better.discordance.unwrap();
    assert_eq!((seen.only_base, seen.only_adapter), (3, 25));
    assert!((seen.exact_p - 2.744_048_833_847_046e-5).abs() < 1e-12);
    assert!((better.difference.unwrap() - 0.22).abs() < 1e-12);
    let (low, high) = better.interval.unwrap();
    assert!(
        0.1 < low && low < 0.16 && 0.29 < high && high < 0.34,
        "{low} {high}"
    );
    let worse = settled(Metric::Ranking, &answers([40, 25, 3, 32]));
    assert_eq!(worse.shown, Shown::Regressed, "{worse:?}");
}

#[test]
fn less_loss_is_better() {
    let pairs: Vec<Pair> = (0..50)
        .map(|i| Pair {
            base: Share {
                sum: 30.0 + f64::from(i),
                count: 10.0,
            },
            other: Share {
                sum: 25.0 + f64::from(i) + f64::from(i % 3),
                count: 10.0,
            },
            cluster: i,
        })
        .collect();
    let found = settled(Metric::Loss, &pairs);
    assert_eq!(found.shown, Shown::Improved, "{found:?}");
    assert!(found.difference.unwrap() < 0.0 && found.discordance.is_none());
    let swapped: Vec<Pair> = pairs
        .iter()
        .map(|pair| Pair {
            base: pair.other,
            other: pair.base,
            ..*pair
        })
        .collect();
    assert_eq!(settled(Metric::Loss, &swapped).shown, Shown::Regressed);
}

#[test]
fn what_is_not_clear_is_underpowered_and_says_how_many_items_it_takes() {
    let found = settled(Metric::Ranking, &answers([60, 8, 12, 20]));
    assert_eq!(found.shown, Shown::Underpowered, "{found:?}");
    assert_eq!(found.items_needed, pairs_needed(0.04, 0.2, 0.95));
    assert!(found.detectable.unwrap() > 0.1, "{found:?}");
    assert!(found.why.unwrap().contains("holds 0"));
}

#[test]
fn nothing_passes_on_nothing() {
    let none = settled(Metric::Ranking, &[]);
    assert_eq!((none.shown, none.p), (Shown::Underpowered, 1.0));
    assert_eq!(none.why.as_deref(), Some("no item was measured"));
    let few = settled(Metric::Ranking, &answers([0, 0, 19, 0]));
    assert_eq!(few.shown, Shown::Underpowered, "{few:?}");
    let mut alike = answers([0, 0, 60, 0]);
    assert_eq!(settled(Metric::Ranking, &alike).shown, Shown::Improved);
    alike.iter_mut().for_each(|pair| pair.cluster = 4);
    let one_component = settled(Metric::Ranking, &alike);
    assert_eq!(one_component.shown, Shown::Underpowered);
    assert_eq!(overall([]), Shown::Underpowered);
}

#[test]
fn a_number_that_is_none_shows_nothing() {
    for broken in [f64::NAN, f64::INFINITY] {
        let mut pairs = answers([10, 0, 60, 0]);
        pairs[3].other.sum = broken;
        let found = settled(Metric::Loss, &pairs);
        assert_eq!(found.shown, Shown::Underpowered, "{found:?}");
        assert!(found.why.unwrap().contains("not finite"));
    }
}

#[test]
fn many_metrics_must_each_show_more() {
    // p = 0.0386 exact alone is below 0.05; among four metrics it is not.
    let weak = compare("a", Metric::Ranking, &answers([60, 5, 16, 20]), &rules());
    assert!(weak.p < 0.05 && weak.p > 0.0125, "{}", weak.p);
    let mut alone = [weak.clone()];
    settle(&mut alone, &rules());
    assert_eq!(alone[0].shown, Shown::Improved, "{alone:?}");
    let mut among = vec![weak; 4];
    settle(&mut among, &rules());
    assert!(among.iter().all(|found| found.shown == Shown::Underpowered));
    assert_eq!(overall(&among), Shown::Underpowered);
}

#[test]
fn a_regression_outweighs_an_improvement() {
    let mut both = [
        compare("a", Metric::Ranking, &answers([40, 3, 25, 32]), &rules()),
        compare("a", Metric::ExactMatch, &answers([40, 25, 3, 32]), &rules()),
    ];
    settle(&mut both, &rules());
    assert_eq!(overall(&both), Shown::Regressed);
    assert_eq!(overall(&both[..1]), Shown::Improved);
}

#[test]
fn items_that_know_of_each_other_count_less() {
    let single = answers([30, 6, 24, 30]);
    let alone = settled(Metric::Ranking, &single);
    // The same items, ten times: as single ones they would show ten times more than they do.
    let copies: Vec<Pair> = (0..10).flat_map(|_| single.iter().copied()).collect();
    let together = settled(Metric::Ranking, &copies);
    let width = |found: &Comparison| found.interval.map(|(low, high)| high - low).unwrap();
    assert!((width(&alone) / width(&together) - 1.0).abs() < 1e-9);
    let apart: Vec<Pair> = (0..)
        .zip(&copies)
        .map(|(cluster, pair)| Pair { cluster, ..*pair })
        .collect();
    let wrong = settled(Metric::Ranking, &apart);
    assert!(width(&wrong) < 0.4 * width(&together));
}

#[test]
fn the_same_seed_draws_the_same_and_another_does_not() {
    let pairs = answers([30, 9, 17, 30]);
    let found = |seed| {
        let mut rules = rules();
        rules.resampling.seed = seed;
        compare("a", Metric::Ranking, &pairs, &rules).interval
    };
    assert_eq!(found(1), found(1));
    assert_ne!(found(1), found(2));
}

/// How often the interval of a true difference holds it, in made-up comparisons of components of one to four items.
fn coverage(components: u32, trials: u32) -> f64 {
    let draw = |a: u32, b: u32, c: u32| {
        philox([a, b, c, 99], [components, 5])
            .map(unit)
            .map(f64::from)
    };
    let truth = 0.3;
    let how = Resampling {
        resamples: 600,
        seed: 11,
        confidence: 0.95,
    };
    let held = (0..trials).filter(|trial| {
        let (mut first, mut second, mut of) = (Vec::new(), Vec::new(), Vec::new());
        for component in 0..components {
            let [size, shared, ..] = draw(*trial, component, 0);
            for item in 1..=1 + (size * 4.0) as u32 {
                let [a, b, c, d] = draw(*trial, component, item);
                // Sums of uniform numbers: near to normal, mean 0. What is shared ties the items of a component.
                first.push(one(a + b - 1.0));
                second.push(one(truth + c + d - 1.0 + 2.0 * (shared - 0.5)));
                of.push(component);
            }
        }
        let interval = difference(&first, &second, &of, how).unwrap();
        interval.low <= truth && truth <= interval.high
    });
    held.count() as f64 / f64::from(trials)
}

#[test]
fn the_interval_holds_the_truth_as_often_as_it_says() {
    for (components, least) in [(10, 0.915), (30, 0.925), (120, 0.93)] {
        let held = coverage(components, 1_000);
        println!("{components} components: {held}");
        assert!(
            (least..=0.975).contains(&held),
            "{components} components: {held}"
        );
    }
}

/// Without any difference something is shown at most as often as is allowed.
#[test]
fn a_difference_that_is_not_there_is_seldom_shown() {
    let trials = 800;
    let shown = (0..trials).filter(|trial| {
        let pairs: Vec<Pair> = (0..60)
            .map(|item| {
                let [a, b, ..] = philox([*trial, item, 3, 98], [1, 1]).map(unit);
                let right = |x: f32| one(f64::from(u8::from(x < 0.6)));
                Pair {
                    base: right(a),
                    other: right(b),
                    cluster: item,
                }
            })
            .collect();
        settled(Metric::Ranking, &pairs).shown != Shown::Underpowered
    });
    let share = shown.count() as f64 / f64::from(trials);
    println!("shown without cause: {share}");
    assert!(share <= 0.05, "{share}");
}

proptest! {
    #[test]
    fn swapping_the_two_turns_the_verdict(counts in prop::array::uniform4(0u32..40)) {
        let pairs = answers(counts);
        let swapped: Vec<Pair> = pairs
            .iter()
            .map(|pair| Pair { base: pair.other, other: pair.base, ..*pair })
            .collect();
        let turned = match settled(Metric::Ranking, &swapped).shown {
            Shown::Improved => Shown::Regressed,
            Shown::Regressed => Shown::Improved,
            Shown::Underpowered => Shown::Underpowered,
        };
        prop_assert_eq!(settled(Metric::Ranking, &pairs).shown, turned);
    }
}

#[test]
fn items_that_are_copies_show_no_smaller_difference_than_their_originals() {
    let originals = answers([40, 3, 25, 32]);
    let copies: Vec<Pair> = originals.iter().flat_map(|pair| [*pair; 4]).collect();
    let of = |pairs: &[Pair]| compare("a", Metric::Ranking, pairs, &rules());
    let (few, many) = (of(&originals), of(&copies));
    let (few_least, many_least) = (few.detectable.unwrap(), many.detectable.unwrap());
    assert!(
        (many_least / few_least - 1.0).abs() < 0.05,
        "{few_least} {many_least}"
    );
    let (few, many) = (few.items_needed.unwrap(), many.items_needed.unwrap());
    assert!(many > 3 * few && many < 5 * few, "{few} {many}");
}

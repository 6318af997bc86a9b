//! Near-duplicates: what must go, what must stay, and that no chance, order or chain decides it.

use super::{
    contamination::{Contamination, Limits},
    signature::{PERMUTATIONS, RECALL, reach},
    *,
};
use proptest::prelude::*;
use std::collections::BTreeSet;

fn set(text: &str) -> Vec<u32> {
    let mut made = Vec::new();
    shingles(&normalised(text), &mut made);
    made
}

fn similarity(a: &str, b: &str) -> f64 {
    jaccard(&set(a), &set(b))
}

fn found(sets: &[Vec<u32>], order: &[u32], fixed: &[bool], settings: &Settings) -> Found {
    let signatures = Signatures::of(settings.banding(), sets.iter().map(Vec::as_slice));
    dedup(order, fixed, signatures, sets, settings)
}

/// In the order given.
fn of_texts(texts: &[&str]) -> Found {
    let sets: Vec<_> = texts.iter().map(|text| set(text)).collect();
    let order: Vec<u32> = (0..sets.len() as u32).collect();
    found(
        &sets,
        &order,
        &vec![false; sets.len()],
        &Settings::default(),
    )
}

fn dropped(found: &Found) -> Vec<(u32, u32)> {
    let pairs = found.dropped.iter();
    pairs.map(|gone| (gone.row, gone.partner)).collect()
}

/// The next number of a stream; the same on every machine.
fn draw(state: &mut u64) -> u32 {
    *state = state.wrapping_add(1);
    (text::mixed(state.wrapping_mul(0x9E37_79B9_7F4A_7C15)) >> 32) as u32
}

/// Two random sets that share `both` elements and have `own` more each.
fn pair(state: &mut u64, both: usize, own: usize) -> [Vec<u32>; 2] {
    let common: Vec<u32> = (0..both).map(|_| draw(state)).collect();
    [(); 2].map(|()| {
        let mine = (0..own).map(|_| draw(state));
        let all: BTreeSet<u32> = common.iter().copied().chain(mine).collect();
        all.into_iter().collect()
    })
}

const HUMAN: &str = "RNA-seq differential expression analysis for human";
const MOUSE: &str = "RNA-seq differential expression analysis for mouse";
const PARAPHRASE: &str = "Differential expression analysis of human RNA-seq data";

#[test]
fn what_is_said_is_compared_and_not_how_it_is_typed() {
    let cases = [
        ("  Align\t the\n\nREADS.  ", "align the reads"),
        ("ΟΔΟΣ! ?", "οδος"),
        ("Sort\u{a0}by\u{3000}name。", "sort by name"),
        ("C++", "c++"),
        ("C", "c"),
        ("(v1.2)", "(v1.2)"),
        ("?!", "?!"),
        (" . ", "."),
        ("", ""),
    ];
    for (text, expected) in cases {
        assert_eq!(normalised(text), expected, "{text:?}");
    }
}

#[test]
fn the_slot_that_differs_keeps_both_rows() {
    let apart = similarity(HUMAN, MOUSE);
    assert!((0.80..0.82).contains(&apart), "{apart}");
    let paraphrase = similarity(HUMAN, PARAPHRASE);
    assert!((0.65..0.67).contains(&paraphrase), "{paraphrase}");
    let found = of_texts(&[HUMAN, MOUSE, PARAPHRASE]);
    assert_eq!(dropped(&found), []);
    assert_eq!(found.ties, [(0, 1)], "alike enough to stay in one split");
    assert_eq!(found.nearest[0], apart as f32);
    assert_eq!(found.unchecked, 0);
}

#[test]
fn texts_shorter_than_a_shingle_are_themselves() {
    let texts = ["r", "c++", "go", "", "σ", "bash", "0000", "00000", "000000"];
    let found = of_texts(&texts);
    assert_eq!(dropped(&found), []);
    assert_eq!(found.ties, []);
    assert_eq!(dropped(&of_texts(&["go", "r", "Go"])), [(2, 0)]);
}

#[test]
fn every_short_text_has_its_own_set() {
    let letters = "abcdefghijklmnopqrs+#-0".chars();
    let mut texts: Vec<String> = vec![String::new()];
    let mut last = texts.clone();
    for _ in 0..4 {
        let longer = |text: &String| letters.clone().map(move |c| format!("{text}{c}")).collect();
        last = last
            .iter()
            .flat_map(|text| -> Vec<_> { longer(text) })
            .collect();
        texts.extend(last.iter().cloned());
    }
    let mut into = Vec::new();
    let sets: BTreeSet<Vec<u32>> = texts
        .iter()
        .map(|text| {
            shingles(text, &mut into);
            into.clone()
        })
        .collect();
    assert_eq!(sets.len(), texts.len());
    assert!(texts.len() > 250_000);
}

#[test]
fn a_chain_drops_only_who_is_like_one_that_stays() {
    // a ~ b and b ~ c at 20 of 22, a and c at 19 of 23.
    let sets = [0..21, 1..22, 2..23].map(Vec::from_iter);
    let likeness = |a: usize, b: usize| jaccard(&sets[a], &sets[b]);
    assert!(likeness(0, 1) > 0.9 && likeness(1, 2) > 0.9 && likeness(0, 2) < 0.85);
    let found = found(&sets, &[0, 1, 2], &[false; 3], &Settings::default());
    assert_eq!(dropped(&found), [(1, 0)]);
    assert_eq!(found.ties, [(0, 2)]);
}

#[test]
fn the_partner_is_the_most_similar_row_and_of_equals_the_best() {
    let settings = Settings::default();
    let shifted = |by: u32| Vec::from_iter(by..by + 40);
    // Rows 0 and 1 stay apart; row 2 is 38 of 42 with row 0 and 39 of 41 with row 1.
    let sets = [shifted(0), shifted(5), shifted(3)];
    let gone = found(&sets, &[0, 1, 2], &[false; 3], &settings).dropped;
    assert_eq!((gone[0].row, gone[0].partner), (2, 1));
    assert_eq!(gone[0].jaccard, 38.0 / 42.0);
    let sets = [shifted(0), shifted(6), shifted(3)];
    for order in [[0, 1, 2], [1, 0, 2]] {
        let found = found(&sets, &order, &[false; 3], &settings);
        assert_eq!(dropped(&found), [(2, order[0])]);
    }
}

#[test]
fn fixed_rows_stay_and_others_go_for_them() {
    let sets = vec![set(HUMAN); 3];
    let found = found(
        &sets,
        &[1, 2, 0],
        &[false, true, true],
        &Settings::default(),
    );
    assert_eq!(dropped(&found), [(0, 1)]);
    assert_eq!(found.ties, [(1, 2)]);
}

#[test]
fn what_is_not_checked_is_counted() {
    // 200 rows, each 0.82 from every other: too many to verify at four a row.
    let rows: Vec<Vec<u32>> = (0..200)
        .map(|row| (0..90).chain(1000 + row * 10..1010 + row * 10).collect())
        .collect();
    let order: Vec<u32> = (0..200).collect();
    let few = Settings {
        most_checked: 4,
        ..Settings::default()
    };
    let cut = found(&rows, &order, &[false; 200], &few);
    assert!(
        cut.unchecked > 10_000 && cut.cut_short > 150,
        "{} {}",
        cut.unchecked,
        cut.cut_short
    );
    assert_eq!(cut.ties.len(), 199, "one component all the same");
    assert_eq!(cut.unchecked, 188_803, "as it was, to the pair");
    let all = Settings {
        most_checked: 1000,
        ..few
    };
    let whole = found(&rows, &order, &[false; 200], &all);
    assert_eq!((whole.unchecked, whole.cut_short), (0, 0));
    assert_eq!((whole.dropped.len(), cut.dropped.len()), (0, 0));
}

#[test]
fn a_crowd_does_not_hide_a_duplicate() {
    // 3000 rows of one template, 0.7 to 0.8 from each other; half of them again with a shingle or two changed.
    let mut state = 0xC40D;
    println!("seed {state:#x}");
    let mut rows: Vec<Vec<u32>> = Vec::new();
    for row in 0..3000 {
        let slots = (0..8).map(|_| 1000 + draw(&mut state) % 400);
        let all: BTreeSet<u32> = (0..48).chain(slots).collect();
        rows.push(Vec::from_iter(all));
        if row % 2 == 0 {
            let mut twin = rows[rows.len() - 1].clone();
            twin.pop();
            rows.push(twin);
        }
    }
    let order: Vec<u32> = (0..rows.len() as u32).collect();
    let found = found(
        &rows,
        &order,
        &vec![false; rows.len()],
        &Settings::default(),
    );
    let twins = found
        .dropped
        .iter()
        .filter(|gone| gone.row == gone.partner + 1);
    let share = twins.count() as f64 / 1500.0;
    println!(
        "{share} of twins went, {} rows in all, {} cut short",
        found.dropped.len(),
        found.cut_short
    );
    assert!(found.cut_short > 1000, "no crowd: {}", found.cut_short);
    assert!(share >= RECALL, "{share}");
}

#[test]
fn rows_without_shingles_are_like_nothing() {
    let order: Vec<u32> = (0..500).collect();
    let found = found(
        &vec![Vec::new(); 500],
        &order,
        &[false; 500],
        &Settings::default(),
    );
    assert_eq!((found.dropped.len(), found.ties.len()), (0, 0));
    assert_eq!(found.unchecked, 0, "they do not even meet");
}

#[test]
fn a_text_is_tied_to_its_longer_form() {
    let sets = [Vec::from_iter(0..100), Vec::from_iter(0..75)];
    let found = found(&sets, &[0, 1], &[false; 2], &Settings::default());
    assert_eq!((found.ties, found.nearest), (vec![(0, 1)], vec![0.75; 2]));
}

#[test]
fn settings_that_make_no_sense_are_refused() {
    let with = |drop_at, tie_at, most_checked| {
        let settings = Settings {
            drop_at,
            tie_at,
            most_checked,
        };
        settings.check()
    };
    assert_eq!(with(0.85, 0.7, 32), Ok(()));
    assert_eq!(with(1.0, 1.0, 1), Ok(()));
    for (drop_at, tie_at, most, word) in [
        (0.0, 0.0, 1, "drop_at"),
        (1.1, 0.7, 1, "drop_at"),
        (f64::NAN, 0.7, 1, "drop_at"),
        (0.85, 0.9, 1, "tie_at"),
        (0.85, f64::NAN, 1, "tie_at"),
        (0.85, 0.7, 0, "most_checked"),
    ] {
        let refused = with(drop_at, tie_at, most).unwrap_err();
        assert!(refused.contains(word), "{refused}");
    }
}

#[test]
fn bands_find_a_pair_at_the_threshold() {
    for hundredths in 20..=100 {
        let threshold = f64::from(hundredths) / 100.0;
        let banding = Banding::at(threshold);
        assert!(banding.bands * banding.rows <= PERMUTATIONS);
        let probability = banding.probability(threshold);
        assert!(
            probability >= RECALL,
            "{threshold}: {banding:?}, {probability}"
        );
    }
    assert_eq!(Banding::at(0.7), Banding { bands: 25, rows: 5 });
    assert_eq!(Banding::at(0.85), Banding { bands: 16, rows: 8 });
    // 1 - (1 - 0.7^5)^25, by another way.
    let by_logarithm = 1.0 - (25.0 * (1.0 - 0.7_f64.powi(5)).ln()).exp();
    assert!((Banding::at(0.7).probability(0.7) - by_logarithm).abs() < 1e-12);
}

/// Pairs of `both` shared and `own` more elements each, of which so many share a band and are within reach of the sketch.
fn share_found(pairs: usize, both: usize, own: usize, threshold: f64) -> f64 {
    let mut state = 0x5EED_0000;
    println!("seed {state:#x}");
    let banding = Banding::at(threshold);
    let met = (0..pairs).filter(|_| {
        let sets = pair(&mut state, both, own);
        assert!((jaccard(&sets[0], &sets[1]) - threshold).abs() < 1e-9);
        let of = Signatures::of(banding, sets.iter().map(Vec::as_slice));
        let (a, b) = of.bands.split_at(banding.bands);
        let differs = (of.sketches[0] ^ of.sketches[1]).count_ones();
        a.iter().zip(b).any(|(a, b)| a == b) && differs <= reach(threshold)
    });
    met.count() as f64 / pairs as f64
}

#[test]
fn simulated_pairs_at_the_threshold_are_found_as_often_as_computed() {
    // 42 / (42 + 2 * 9) = 0.7, 34 / (34 + 2 * 3) = 0.85, and long ones.
    for (both, own, threshold) in [(42, 9, 0.7), (34, 3, 0.85), (420, 90, 0.7), (340, 30, 0.85)] {
        let share = share_found(4000, both, own, threshold);
        let computed = Banding::at(threshold).probability(threshold);
        println!("{both} shared, {own} own: {share} of pairs found, {computed} computed for bands");
        assert!(share >= RECALL, "{share} at {threshold}");
        assert!(
            (computed - share).abs() < 0.02,
            "{share}, computed {computed}"
        );
    }
}

#[test]
fn a_sketch_estimates_similarity() {
    let mut state = 0xE57;
    println!("seed {state:#x}");
    for (both, own, expected) in [(50, 0, 0.0), (34, 3, 0.075), (20, 10, 0.25), (0, 30, 0.5)] {
        let bits: u32 = (0..500)
            .map(|_| {
                let sets = pair(&mut state, both, own);
                let of = Signatures::of(Banding::at(0.7), sets.iter().map(Vec::as_slice));
                (of.sketches[0] ^ of.sketches[1]).count_ones()
            })
            .sum();
        let share = f64::from(bits) / 500.0 / PERMUTATIONS as f64;
        assert!(
            (share - expected).abs() < 0.01,
            "{share}, expected {expected}"
        );
    }
}

#[test]
fn of_random_near_pairs_nearly_all_go() {
    let mut state = 0x9EA4;
    println!("seed {state:#x}");
    let mut sets = Vec::new();
    for _ in 0..2000 {
        // 0.85 to 0.95, of 20 to 120 shingles.
        let own = 1 + draw(&mut state) as usize % 5;
        let both = own * 12 + draw(&mut state) as usize % (own * 18);
        sets.extend(pair(&mut state, both, own));
    }
    let order: Vec<u32> = (0..4000).collect();
    let found = found(&sets, &order, &[false; 4000], &Settings::default());
    let near = sets
        .chunks(2)
        .filter(|two| jaccard(&two[0], &two[1]) >= 0.85)
        .count();
    let recall = found.dropped.len() as f64 / near as f64;
    println!("{} of {near} pairs went", found.dropped.len());
    assert!(near == 2000 && recall >= RECALL, "{recall}");
    assert_eq!(found.unchecked, 0);
}

#[test]
fn hashes_are_the_same_on_every_machine() {
    assert_eq!(set("RNA-seq"), GOLDEN_SHINGLES);
    assert_eq!(set("r"), GOLDEN_SHORT);
    // As `printf rna-seq | sha256sum` begins.
    assert_eq!(text_key("rna-seq"), GOLDEN_KEY);
    let of = Signatures::of(Banding::at(0.85), [set(HUMAN).as_slice()]);
    assert_eq!(of.bands, GOLDEN_BANDS);
    assert_eq!(of.sketches, [GOLDEN_SKETCH]);
    assert_eq!(of.sizes, [set(HUMAN).len() as u32]);
}

const GOLDEN_SHINGLES: [u32; 4] = [129_346_103, 1_619_156_749, 1_703_479_711, 2_008_147_072];
const GOLDEN_SHORT: [u32; 2] = [2_668_136_046, 2_997_150_952];
const GOLDEN_KEY: u128 = 0x6f82_0b4d_1857_b2e4_b305_9ca8_e140_894c;
const GOLDEN_BANDS: [u32; 16] = [
    3525700225, 1765151454, 2845356606, 3351198964, 3779172544, 890873178, 3901066578, 3009005739,
    3122127410, 2530679218, 3991926197, 456979867, 534056171, 1300253074, 213336404, 2190492237,
];
const GOLDEN_SKETCH: u128 = 36_636_618_256_613_356_839_310_483_906_368_110_322;

#[test]
fn parts_made_apart_are_the_whole() {
    let sets: Vec<_> = ["a b c d e", "f", "", HUMAN, MOUSE].map(set).into();
    let of = |sets: &[Vec<u32>]| Signatures::of(Banding::at(0.7), sets.iter().map(Vec::as_slice));
    for cut in 0..=sets.len() {
        let mut parts = of(&sets[..cut]);
        parts.append(of(&sets[cut..]));
        assert_eq!(parts, of(&sets));
    }
}

#[test]
fn evaluation_texts_are_found_as_they_are_nearly_and_inside() {
    let evaluation = [
        "RNA-seq",
        "Call germline variants in human exomes with strict filters",
        HUMAN,
        "call germline variants in human exomes with strict filters",
        "go",
    ];
    let check =
        |text: &str| Contamination::new(evaluation.iter().map(|e| set(e))).check(&set(text));
    assert_eq!(
        check("RNA-seq differential EXPRESSION analysis for human."),
        Some((2, 1.0))
    );
    assert_eq!(
        check(evaluation[3]),
        Some((1, 1.0)),
        "the first of two that are the same"
    );
    let nearly = check("call germline variants in human exomes with strict filter").unwrap();
    assert!(
        nearly.0 == 1 && nearly.1 > 0.9 && nearly.1 < 1.0,
        "{nearly:?}"
    );
    let inside = check(&format!(
        "You are an expert. {HUMAN}, please, and write Nextflow for it."
    ));
    assert!(
        inside.is_some_and(|(which, share)| which == 2 && share >= 0.9),
        "{inside:?}"
    );
    assert_eq!(check(MOUSE), None, "another slot");
    assert_eq!(
        check("rna-seq and go on"),
        None,
        "tiny texts only as they are"
    );
    assert_eq!(check("rna-SEQ"), Some((0, 1.0)));
    assert_eq!(check("go"), Some((4, 1.0)));
    assert_eq!(check("an entirely different request"), None);
    assert_eq!(
        Contamination::new(std::iter::empty()).check(&set(HUMAN)),
        None
    );
}

#[test]
fn an_evaluation_text_just_at_the_limit_is_found() {
    // The row lacks three of twenty, all in the index.
    let index = Contamination::new([Vec::from_iter(0..20)].into_iter());
    assert_eq!(index.check(&Vec::from_iter(3..20)), Some((0, 0.85)));
    assert_eq!(index.check(&Vec::from_iter(4..20)), None);
}

/// Rows of few distinct elements, so that many are similar.
fn rows() -> impl Strategy<Value = Vec<Vec<u32>>> {
    let family = (0_u32..6, prop::collection::btree_set(0_u32..60, 0..6));
    let row = family.prop_map(|(family, changed)| -> Vec<u32> {
        let all: BTreeSet<u32> = (family * 100..family * 100 + 40).collect();
        let other = changed.iter().map(|change| family * 100 + change).collect();
        all.symmetric_difference(&other).copied().collect()
    });
    prop::collection::vec(row, 1..60)
}

proptest! {
    #[test]
    fn normalising_twice_changes_nothing(text in "\\PC*|[ .!?aA…ΣσİK\\t]{0,12}") {
        let once = normalised(&text);
        prop_assert_eq!(normalised(&once), once);
    }

    #[test]
    fn a_set_is_ascending_and_distinct(text in "\\PC*|[ab]{0,9}") {
        let set = set(&text);
        prop_assert!(!set.is_empty() && set.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn whoever_goes_is_like_one_that_stays(rows in rows(), fixed in prop::collection::vec(any::<bool>(), 60)) {
        let order: Vec<u32> = (0..rows.len() as u32).collect();
        let settings = Settings { most_checked: 64, ..Settings::default() };
        let found = found(&rows, &order, &fixed[..rows.len()], &settings);
        let gone: BTreeSet<u32> = found.dropped.iter().map(|gone| gone.row).collect();
        for one in &found.dropped {
            let likeness = jaccard(&rows[one.row as usize], &rows[one.partner as usize]);
            prop_assert!(likeness >= 0.85 && likeness == one.jaccard);
            prop_assert!(!gone.contains(&one.partner) && !fixed[one.row as usize]);
            prop_assert!(one.partner < one.row);
        }
        for (a, b) in &found.ties {
            prop_assert!(!gone.contains(a) && !gone.contains(b));
            prop_assert!(jaccard(&rows[*a as usize], &rows[*b as usize]) >= 0.7);
        }
        prop_assert!(found.ties.len() < rows.len());
        prop_assert_eq!(found.unchecked, 0);
    }

    #[test]
    fn numbers_of_rows_decide_nothing(rows in rows(), seed in any::<u64>()) {
        let count = rows.len() as u32;
        let mut numbers: Vec<u32> = (0..count).collect();
        numbers.sort_by_key(|number| text::mixed(seed ^ u64::from(*number)));
        // Row `numbers[i]` of the second run is row i of the first.
        let mut renumbered = vec![Vec::new(); rows.len()];
        for (row, number) in rows.iter().zip(&numbers) {
            renumbered[*number as usize] = row.clone();
        }
        let fixed = vec![false; rows.len()];
        let first = found(&rows, &Vec::from_iter(0..count), &fixed, &Settings::default());
        let second = found(&renumbered, &numbers, &fixed, &Settings::default());
        let new = |row: u32| numbers[row as usize];
        let gone = |gone: &Dropped| Dropped { row: new(gone.row), partner: new(gone.partner), ..*gone };
        prop_assert_eq!(first.dropped.iter().map(gone).collect::<Vec<_>>(), second.dropped);
        prop_assert_eq!(first.ties.iter().map(|(a, b)| (new(*a), new(*b))).collect::<Vec<_>>(), second.ties);
        for row in 0..count {
            prop_assert_eq!(first.nearest[row as usize], second.nearest[new(row) as usize]);
        }
    }

    #[test]
    fn the_index_of_evaluation_texts_misses_nothing(texts in rows(), rows in rows()) {
        let limits = Limits::default();
        let index = Contamination::with(texts.iter().cloned(), limits);
        for row in &rows {
            let repeated = texts.iter().enumerate().filter_map(|(at, text)| {
                let both = text.iter().filter(|shingle| row.contains(shingle)).count() as f64;
                let inside = if text.len() >= limits.least_contained { both / text.len() as f64 } else { 0.0 };
                let likeness = jaccard(text, row);
                let hit = likeness >= limits.jaccard || inside >= limits.containment;
                let share = if inside >= limits.containment { inside.max(likeness) } else { likeness };
                hit.then_some((at, share))
            });
            let best = repeated.reduce(|best, next| if next.1 > best.1 { next } else { best });
            prop_assert_eq!(index.check(row), best);
        }
    }
}

#[test]
fn who_goes_later_leaves_the_others_tied() {
    use super::bridged;
    // 1 and 2 hang together by 0 alone, which goes; 4 and 5 directly.
    let ties = [(0, 1), (0, 2), (4, 5)];
    let left = |row: u32| (row != 0).then(|| row * 10);
    assert_eq!(bridged(&ties, left), [(10, 20), (40, 50)]);
    assert_eq!(bridged(&ties, |row| (row < 2).then_some(row)), [(0, 1)]);
    assert_eq!(bridged(&[], Some), []);
}

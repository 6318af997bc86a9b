//! Every operation beside the plain machine's, at shapes that are odd, and beside itself with other numbers of threads.

use super::*;
use crate::{
    lora::{
        backend::{
            AdamStep, Adapter, Backend, Dropout, Heads, Member, Moments, Pair, Part, Projection,
            Rope, Shape, Use,
        },
        batch::Batch,
        plain::Plain,
    },
    training::philox::{philox, unit},
};

/// What a machine made, by name.
type Made = Vec<(String, Vec<f32>)>;

/// Numbers from -1 to 1, a function of the seed.
fn numbers(seed: u32, len: usize) -> Vec<f32> {
    let quads = 0..len.div_ceil(4) as u32;
    let all = quads.flat_map(|q| philox([q, seed, 0, 0], [7, 7]));
    all.take(len).map(|bits| 2.0 * unit(bits) - 1.0).collect()
}

/// Documents of these lengths, every third token learned.
fn batch(lengths: &[usize], vocabulary: usize) -> Batch {
    let mut batch = Batch::default();
    for (document, &length) in lengths.iter().enumerate() {
        let ids = numbers(90 + document as u32, length);
        let ids: Vec<u32> = ids
            .iter()
            .map(|x| ((x + 1.0) * 0.49 * vocabulary as f32) as u32)
            .collect();
        let learned: Vec<bool> = (0..length).map(|at| at % 3 == 1).collect();
        batch.push(40 + document as u32, &ids, &learned);
    }
    batch
}

fn near(name: &str, found: &[f32], expected: &[f32], tolerance: f32) {
    assert_eq!(found.len(), expected.len(), "{name}");
    let most = expected.iter().fold(0.1, |most: f32, x| most.max(x.abs()));
    for (at, (found, expected)) in found.iter().zip(expected).enumerate() {
        let apart = (found - expected).abs();
        assert!(
            apart <= tolerance * most,
            "{name} at {at}: {found}, not {expected}"
        );
    }
}

/// The plain machine's to a few units in the last place of the largest, and the same bits with any number of threads.
fn agree(plain: &Made, machine: impl Fn(Cpu) -> Made) {
    let one = machine(Cpu::new(1));
    assert!(!one.is_empty(), "nothing was made");
    assert_eq!(one.len(), plain.len());
    for ((name, found), (_, expected)) in one.iter().zip(plain) {
        near(name, found, expected, 4e-6);
    }
    for threads in [2, 3] {
        for ((name, found), (_, expected)) in machine(Cpu::new(threads)).iter().zip(&one) {
            let bits = |numbers: &[f32]| numbers.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(found), bits(expected), "{name}, {threads} threads");
        }
    }
}

fn adapter(seed: u32, rank: usize, inputs: usize, outputs: usize) -> Adapter {
    Adapter {
        rank,
        scale: 0.75 + rank as f32,
        a: numbers(seed, rank * inputs),
        b: numbers(seed + 1, outputs * rank),
    }
}

/// A group: outputs and rank (0: no adapter) of each projection.
fn group(inputs: usize, shapes: &[(usize, usize)], bias: bool) -> Vec<Projection> {
    let one = |(number, &(outputs, rank)): (usize, &(usize, usize))| {
        let seed = 10 * number as u32;
        Projection {
            outputs,
            inputs,
            weight: numbers(seed, outputs * inputs),
            bias: (bias && number % 2 == 0).then(|| numbers(seed + 1, outputs)),
            adapters: vec![(rank > 0).then(|| adapter(seed + 2, rank, inputs, outputs))],
        }
    };
    shapes.iter().enumerate().map(one).collect()
}

fn pairs(name: &str, made: &mut Made, pairs: Vec<Option<Pair>>) {
    for (number, pair) in pairs.into_iter().enumerate() {
        if let Some(Pair { a, b }) = pair {
            made.push((format!("{name} of A {number}"), a));
            made.push((format!("{name} of B {number}"), b));
        }
    }
}

const STEP: AdamStep = AdamStep {
    step: 3,
    learning_rate: 0.01,
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 1e-3,
    weight_decay: 0.1,
    gradient_scale: 0.5,
};

/// A group forward and twice back, and a step of AdamW.
fn linear<B: Backend>(
    machine: &B,
    batch: &Batch,
    group: Vec<Projection>,
    used: Use,
    accumulate: bool,
) -> Made {
    let m = batch.tokens();
    let inputs = group[0].inputs;
    let outputs: usize = group.iter().map(|one| one.outputs).sum();
    let adapters = group.iter().flat_map(|one| one.adapters.iter().flatten());
    let ranks: usize = adapters.map(|one| one.rank).sum();
    let placed = machine.place(batch).unwrap();
    let mut linear = machine.linear(9, group).unwrap();
    let x = machine
        .put(Shape::of(m, inputs), &numbers(70, m * inputs))
        .unwrap();
    let mut y = machine
        .put(Shape::of(m, outputs), &numbers(71, m * outputs))
        .unwrap();
    let mut h = machine.zeros(Shape::of(m, ranks)).unwrap();
    machine
        .forward(&linear, &placed, &[used], &x, m, &mut h, accumulate, &mut y)
        .unwrap();
    let dy = machine
        .put(Shape::of(m, outputs), &numbers(72, m * outputs))
        .unwrap();
    let mut dx = machine
        .put(Shape::of(m, inputs), &numbers(73, m * inputs))
        .unwrap();
    for dx in [None, Some(&mut dx)] {
        machine
            .backward(&mut linear, &placed, &[used], &x, &h, &dy, m, dx)
            .unwrap();
    }
    let mut made = vec![
        ("y".into(), machine.get(&y, m * outputs).unwrap()),
        ("dx".into(), machine.get(&dx, m * inputs).unwrap()),
    ];
    if used != Use::Off {
        made.push(("h".into(), machine.get(&h, m * ranks).unwrap()));
    }
    pairs(
        "gradients",
        &mut made,
        machine.gradients(&linear, 0).unwrap(),
    );
    let squares = machine.squares(&[&linear], 0).unwrap();
    made.push(("squares".into(), vec![squares as f32]));
    machine.adamw(&mut [&mut linear], 0, &STEP).unwrap();
    let adapters = machine.adapters(&linear, 0).unwrap();
    let adapters = adapters
        .into_iter()
        .map(|adapter| adapter.map(|Adapter { a, b, .. }| Pair { a, b }));
    pairs("step", &mut made, adapters.collect());
    let moments = machine.moments(&linear, 0).unwrap();
    let first = moments.iter().flatten().map(|m| Some(m.first.clone()));
    pairs("first moments", &mut made, first.collect());
    let second = moments.iter().flatten().map(|m| Some(m.second.clone()));
    pairs("second moments", &mut made, second.collect());
    machine.clear(&mut [&mut linear], 0).unwrap();
    assert_eq!(machine.squares(&[&linear], 0).unwrap(), 0.0);
    made
}

#[test]
fn projection_groups() {
    let drop = Use::Drop(Dropout {
        seed: 5,
        step: 8,
        p: 0.3,
    });
    let shapes: [(usize, &[(usize, usize)]); 4] = [
        (1, &[(1, 1)]),
        (33, &[(40, 3), (7, 0), (29, 17)]),
        (300, &[(65, 33)]),
        (64, &[(64, 0), (32, 0)]),
    ];
    // With 5 and 9 rows it depends on the threads whether there are few.
    for lengths in [&[1][..], &[5], &[2, 7], &[7, 33], &[259, 1, 40]] {
        for (inputs, shapes) in shapes {
            for (used, bias, accumulate) in [
                (Use::Off, true, true),
                (Use::On, true, false),
                (Use::On, false, true),
                (drop, true, true),
                (drop, false, false),
            ] {
                let batch = batch(lengths, 50);
                let group = || group(inputs, shapes, bias);
                let plain = linear(&Plain, &batch, group(), used, accumulate);
                agree(&plain, |cpu| {
                    linear(&cpu, &batch, group(), used, accumulate)
                });
            }
        }
    }
}

/// Attention forward and back, with head norms and rotation on the way; then a token more from a cache.
fn attention<B: Backend>(machine: &B, batch: &Batch, heads: &Heads) -> Made {
    let (m, columns) = (batch.tokens(), heads.columns());
    let placed = machine.place(batch).unwrap();
    let rope = Rope {
        frequencies: (0..heads.head_dim / 2)
            .map(|i| 1.0 / (1.0 + i as f32))
            .collect(),
        attention_factor: 1.25,
    };
    let raw = machine
        .put(Shape::of(m, columns), &numbers(1, m * columns))
        .unwrap();
    let gain = machine
        .put(
            Shape::statistics(1, heads.head_dim),
            &numbers(2, heads.head_dim),
        )
        .unwrap();
    let mut qkv = machine
        .put(Shape::of(m, columns), &numbers(1, m * columns))
        .unwrap();
    let mut made = Made::new();
    let mut roots = Vec::new();
    for (part, count) in [(Part::Queries, heads.heads), (Part::Keys, heads.kv_heads)] {
        let mut rstd = machine.zeros(Shape::of(m, count)).unwrap();
        machine
            .head_norm(heads, part, &raw, &gain, m, 1e-3, &mut rstd, &mut qkv)
            .unwrap();
        made.push((
            format!("{part:?} rstd"),
            machine.get(&rstd, m * count).unwrap(),
        ));
        roots.push((part, rstd));
    }
    machine
        .rope(heads, &rope, &placed, m, false, &mut qkv)
        .unwrap();
    made.push(("qkv".into(), machine.get(&qkv, m * columns).unwrap()));
    let mut lse = machine.zeros(Shape::of(m, heads.heads)).unwrap();
    let mut out = machine.zeros(Shape::of(m, heads.queries())).unwrap();
    machine
        .attend(heads, &placed, &qkv, m, &mut lse, &mut out)
        .unwrap();
    made.push(("lse".into(), machine.get(&lse, m * heads.heads).unwrap()));
    made.push((
        "out".into(),
        machine.get(&out, m * heads.queries()).unwrap(),
    ));
    let dout = machine
        .put(
            Shape::of(m, heads.queries()),
            &numbers(3, m * heads.queries()),
        )
        .unwrap();
    let mut d = machine
        .put(Shape::of(m, columns), &numbers(4, m * columns))
        .unwrap();
    machine
        .attend_backward(heads, &placed, &qkv, &lse, &out, &dout, m, &mut d)
        .unwrap();
    made.push(("dqkv".into(), machine.get(&d, m * columns).unwrap()));
    machine
        .rope(heads, &rope, &placed, m, true, &mut d)
        .unwrap();
    for (part, rstd) in &roots {
        machine
            .head_norm_backward(heads, *part, &raw, &gain, rstd, m, &mut d)
            .unwrap();
    }
    made.push(("draw".into(), machine.get(&d, m * columns).unwrap()));
    let n = batch.documents();
    let lengths: Vec<usize> = batch
        .starts
        .windows(2)
        .map(|ends| (ends[1] - ends[0]) as usize)
        .collect();
    let capacity = lengths.iter().max().unwrap() + 2;
    let size = n * capacity * 2 * heads.keys();
    let mut cache = machine
        .put(Shape::of(n * capacity, 2 * heads.keys()), &numbers(5, size))
        .unwrap();
    machine
        .fill_cache(heads, &placed, &qkv, capacity, &mut cache)
        .unwrap();
    let token = machine
        .put(Shape::of(n, columns), &numbers(6, n * columns))
        .unwrap();
    let mut last = machine.zeros(Shape::of(n, heads.queries())).unwrap();
    machine
        .attend_cached(heads, &token, &lengths, capacity, &mut cache, &mut last)
        .unwrap();
    made.push(("cache".into(), machine.get(&cache, size).unwrap()));
    made.push((
        "last".into(),
        machine.get(&last, n * heads.queries()).unwrap(),
    ));
    made
}

#[test]
fn attention_of_every_shape() {
    let shapes = [
        (1, 1, 2, None),
        (4, 2, 16, None),
        (6, 2, 10, Some(5)),
        (3, 1, 64, Some(70)),
        (2, 2, 34, None),
    ];
    for lengths in [&[1][..], &[7, 33], &[65, 1, 150, 64]] {
        for (heads, kv_heads, head_dim, window) in shapes {
            let heads = Heads {
                heads,
                kv_heads,
                head_dim,
                window,
                scale: 1.0 / (head_dim as f32).sqrt(),
            };
            let batch = batch(lengths, 50);
            let plain = attention(&Plain, &batch, &heads);
            agree(&plain, |cpu| attention(&cpu, &batch, &heads));
        }
    }
}

/// Rows and the loss head.
fn rows<B: Backend>(machine: &B, batch: &Batch, h: usize, v: usize, bias: bool) -> Made {
    let (m, s, f) = (batch.tokens(), batch.supervised.len(), h + 5);
    let placed = machine.place(batch).unwrap();
    let table = machine.put(Shape::of(v, h), &numbers(1, v * h)).unwrap();
    let mut x = machine.zeros(Shape::of(m, h)).unwrap();
    machine.embed(&table, &placed, h, &mut x).unwrap();
    let mut made = vec![("x".into(), machine.get(&x, m * h).unwrap())];
    let gain = machine
        .put(Shape::statistics(1, h), &numbers(2, h))
        .unwrap();
    let (mut rstd, mut y) = (
        machine.zeros(Shape::of(m, 1)).unwrap(),
        machine.zeros(Shape::of(m, h)).unwrap(),
    );
    machine
        .norm(&x, &gain, m, h, 1e-4, &mut rstd, &mut y)
        .unwrap();
    made.push(("rstd".into(), machine.get(&rstd, m).unwrap()));
    made.push(("y".into(), machine.get(&y, m * h).unwrap()));
    let dy = machine.put(Shape::of(m, h), &numbers(3, m * h)).unwrap();
    let mut dx = machine.put(Shape::of(m, h), &numbers(4, m * h)).unwrap();
    machine
        .norm_backward(&x, &gain, &rstd, &dy, m, h, &mut dx)
        .unwrap();
    machine.add(&dy, m * h, &mut dx).unwrap();
    made.push(("dx".into(), machine.get(&dx, m * h).unwrap()));
    let gu: Vec<f32> = numbers(5, m * 2 * f).iter().map(|x| 20.0 * x).collect();
    let mut gu = machine.put(Shape::of(m, 2 * f), &gu).unwrap();
    let mut act = machine.zeros(Shape::of(m, f)).unwrap();
    machine.swiglu(&gu, m, f, &mut act).unwrap();
    made.push(("act".into(), machine.get(&act, m * f).unwrap()));
    let dact = machine.put(Shape::of(m, f), &numbers(6, m * f)).unwrap();
    machine.swiglu_backward(&dact, m, f, &mut gu).unwrap();
    made.push(("dgu".into(), machine.get(&gu, m * 2 * f).unwrap()));
    let mut gathered = machine.zeros(Shape::of(s, h)).unwrap();
    machine.gather(&placed, &y, h, &mut gathered).unwrap();
    let head = Projection {
        outputs: v,
        inputs: h,
        weight: numbers(7, v * h),
        bias: bias.then(|| numbers(8, v)),
        adapters: Vec::new(),
    };
    let head = machine.linear(0, vec![head]).unwrap();
    let mut alone = machine.zeros(Shape::of(s, 1)).unwrap();
    machine
        .head(&head, &placed, &gathered, &mut alone, None)
        .unwrap();
    let mut losses = machine.zeros(Shape::of(s, 1)).unwrap();
    let mut d = machine.zeros(Shape::of(s, h)).unwrap();
    let weights = numbers(9, s);
    machine
        .head(
            &head,
            &placed,
            &gathered,
            &mut losses,
            Some((&weights, &mut d)),
        )
        .unwrap();
    assert_eq!(
        machine.get(&alone, s).unwrap(),
        machine.get(&losses, s).unwrap()
    );
    made.push(("losses".into(), machine.get(&losses, s).unwrap()));
    let mut spread = machine.put(Shape::of(m, h), &numbers(10, m * h)).unwrap();
    machine.scatter(&placed, &d, m, h, &mut spread).unwrap();
    made.push(("spread".into(), machine.get(&spread, m * h).unwrap()));
    made
}

#[test]
fn rows_and_the_loss_head() {
    for lengths in [&[2][..], &[7, 33], &[65, 1, 150]] {
        for (h, v, bias) in [(3, 5, false), (48, 100, false), (257, 1031, false)] {
            let batch = batch(lengths, v);
            let plain = rows(&Plain, &batch, h, v, bias);
            agree(&plain, |cpu| rows(&cpu, &batch, h, v, bias));
        }
    }
}

#[test]
fn the_loss_head_in_several_pieces() {
    // More logits than are kept at a time: the pieces must not show.
    let (h, v) = (4, 70_001);
    let batch = batch(&[400], v);
    let made = |machine: &Cpu| rows(machine, &batch, h, v, false);
    let plain = rows(&Plain, &batch, h, v, false);
    for ((name, found), (_, expected)) in made(&Cpu::new(2)).iter().zip(&plain) {
        near(name, found, expected, 4e-6);
    }
}

#[test]
fn a_document_has_the_same_numbers_in_every_batch() {
    let drop = Use::Drop(Dropout {
        seed: 1 << 40,
        step: 3,
        p: 0.5,
    });
    let (inputs, shapes) = (50, [(20, 4), (30, 8)]);
    let alone = batch(&[37], 50);
    let mut other = batch(&[90], 50);
    other.examples.fill(7);
    let numbers_of = alone.ids.clone();
    other.push(40, &numbers_of, &[false; 37]);
    let cpu = Cpu::new(2);
    let linear = Backend::linear(&cpu, 3, group(inputs, &shapes, true)).unwrap();
    let x = numbers(4, 37 * inputs);
    let run = |batch: &Batch, x: &Vec<f32>| {
        let m = batch.tokens();
        let (mut h, mut y) = (vec![0.0; m * 12], vec![0.0; m * 50]);
        let placed = cpu.place(batch).unwrap();
        cpu.forward(&linear, &placed, &[drop], x, m, &mut h, false, &mut y)
            .unwrap();
        y
    };
    let found = run(&alone, &x);
    let second = run(&other, &[numbers(5, 90 * inputs), x].concat());
    assert_eq!(found, second[90 * 50..]);
}

#[test]
fn exponentials_are_exact_to_two_units() {
    let mut most = 0.0_f64;
    for at in -870_000..887_000 {
        let x = at as f32 * 1e-4;
        let (found, expected) = (f64::from(vector::exp(x)), f64::from(x).exp());
        if expected > f64::from(f32::MIN_POSITIVE) {
            let unit = f64::from((expected as f32).next_up()) - f64::from(expected as f32);
            most = most.max((found - expected).abs() / unit);
        }
    }
    assert!(most < 2.0, "{most} units in the last place");
    assert_eq!(vector::exp(0.0), 1.0);
    assert_eq!(vector::exp(f32::NEG_INFINITY), 0.0);
    assert_eq!(vector::exp(-1e9), 0.0);
    assert_eq!(vector::exp(f32::INFINITY), f32::INFINITY);
    assert!(vector::exp(f32::NAN).is_nan());
}

#[test]
fn a_sick_number_shows_in_the_loss() {
    let batch = batch(&[9], 40);
    let head = group(8, &[(40, 0)], false);
    for sick in [f32::NAN, f32::INFINITY] {
        let cpu = Cpu::new(1);
        let head = Backend::linear(&cpu, 0, head.clone()).unwrap();
        let mut x = numbers(1, 3 * 8);
        x[9] = sick;
        let mut losses = vec![0.0; 3];
        let placed = cpu.place(&batch).unwrap();
        Backend::head(&cpu, &head, &placed, &x, &mut losses, None).unwrap();
        assert!(
            losses[0].is_finite() && !losses[1].is_finite(),
            "{losses:?}"
        );
    }
}

#[test]
fn other_adapters_in_their_place() {
    let cpu = Cpu::new(1);
    let mut group = group(6, &[(5, 2), (4, 0)], false);
    let mut linear = Backend::linear(&cpu, 0, group.clone()).unwrap();
    let new = adapter(50, 3, 6, 4);
    let moments = Moments {
        first: Pair {
            a: numbers(60, 18),
            b: numbers(61, 12),
        },
        second: Pair {
            a: numbers(62, 18),
            b: numbers(63, 12),
        },
    };
    let member = Member {
        adapters: vec![None, Some(new.clone())],
        moments: Some(vec![None, Some(moments)]),
    };
    cpu.equip(&mut linear, std::slice::from_ref(&member))
        .unwrap();
    assert_eq!(cpu.adapters(&linear, 0).unwrap(), member.adapters);
    assert_eq!(cpu.moments(&linear, 0).unwrap(), member.moments.unwrap());
    group[0].adapters = vec![None];
    group[1].adapters = vec![Some(new)];
    let batch = batch(&[11], 9);
    let placed = cpu.place(&batch).unwrap();
    let run = |linear: &Linear| {
        let (mut h, mut y) = (vec![0.0; 33], vec![0.0; 99]);
        let x = numbers(8, 66);
        cpu.forward(linear, &placed, &[Use::On], &x, 11, &mut h, false, &mut y)
            .unwrap();
        (h, y)
    };
    assert_eq!(run(&linear), run(&Backend::linear(&cpu, 0, group).unwrap()));
    for wrong in [
        vec![None],
        vec![None, Some(adapter(50, 3, 5, 4))],
        vec![Some(adapter(50, 3, 6, 4)), None],
    ] {
        let wrong = Member {
            adapters: wrong,
            moments: None,
        };
        assert!(cpu.equip(&mut linear, &[wrong]).is_err());
    }
}

#[test]
fn words_that_are_not_in_the_vocabulary_are_refused() {
    let cpu = Cpu::new(1);
    let batch = batch(&[30], 40);
    let placed = cpu.place(&batch).unwrap();
    let mut x = vec![0.0; 60];
    let trouble = cpu.embed(&vec![0.0; 20], &placed, 2, &mut x).unwrap_err();
    assert!(trouble.0.contains("is not among the 10"), "{trouble}");
}

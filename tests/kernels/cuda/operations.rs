//! Every operation of the backend, through the shipped PTX in the interpreter, beside the plain machine that rounds where a GPU
//! stores.
//!
//! The kernels' own tests hold each number to a bound that is derived. Here it is about what the backend makes of them: which
//! columns, tails, leading dimensions, scales, masks and sums. A number may differ by the roundings of bf16 that a different
//! order of sums flips: 2^-7 of itself, and 2^-7 of the largest of its row where what it is a sum of is rounded too.

use super::given::{Made, STEP, adapter, agree, batch, near, numbers, pairs, projection};
use super::rounded::Rounded;
use super::simulated::Simulated;
use crate::ptx::Mode;
use campaignd::lora::{
    backend::{
        Adapter, Backend, Dropout, Heads, Kind, Member, Moments, Pair, Part, Projection, Rope,
        Shape, Trouble, Use,
    },
    batch::Batch,
    cuda::Cuda,
};

/// A group forward and twice back, a step of AdamW, forward again.
fn linear<B: Backend>(
    machine: &B,
    batch: &Batch,
    group: &[Projection],
    used: Use,
    plus: bool,
) -> Made {
    let m = batch.tokens();
    let (k, n) = (group[0].inputs, group.iter().map(|p| p.outputs).sum());
    let adapters = group.iter().flat_map(|one| one.adapters.iter().flatten());
    let ranks: usize = adapters.map(|one| one.rank).sum();
    let placed = machine.place(batch).unwrap();
    let mut linear = machine.linear(9, group.to_vec()).unwrap();
    let tail = machine.tail(&linear);
    let with_tail = |columns: usize| Shape::of(m, columns).with_tail(tail + 8);
    let x = machine.put(with_tail(k), &numbers(70, m * k)).unwrap();
    let mut y = machine.put(Shape::of(m, n), &numbers(71, m * n)).unwrap();
    let low = Shape {
        kind: if plus { Kind::Low } else { Kind::LowOfKept },
        ..Shape::of(m, ranks).with_tail(tail)
    };
    let mut h = machine.zeros(low).unwrap();
    machine
        .forward(&linear, &placed, &[used], &x, m, &mut h, plus, &mut y)
        .unwrap();
    let dy = machine.put(with_tail(n), &numbers(72, m * n)).unwrap();
    let mut dx = machine.put(Shape::of(m, k), &numbers(73, m * k)).unwrap();
    for dx in [None, Some(&mut dx)] {
        machine
            .backward(&mut linear, &placed, &[used], &x, &h, &dy, m, dx)
            .unwrap();
    }
    let mut made = vec![("y".into(), n, machine.get(&y, m * n).unwrap())];
    made.push(("dx".into(), k, machine.get(&dx, m * k).unwrap()));
    pairs(
        &mut made,
        "gradient",
        k,
        machine.gradients(&linear, 0).unwrap(),
    );
    let norm = machine.squares(&[&linear], 0).unwrap().sqrt() as f32;
    made.push(("norm".into(), 1, vec![norm]));
    machine.adamw(&mut [&mut linear], 0, &STEP).unwrap();
    let of = |m: Option<Moments>| m.map(|m| [m.first, m.second]);
    let moments: Vec<_> = machine
        .moments(&linear, 0)
        .unwrap()
        .into_iter()
        .map(of)
        .collect();
    for number in 0..2 {
        let one = moments
            .iter()
            .map(|m| m.as_ref().map(|m| m[number].clone()));
        pairs(&mut made, &format!("moment {number}"), k, one.collect());
    }
    let of = |a: Adapter| Pair { a: a.a, b: a.b };
    let adapters = machine.adapters(&linear, 0).unwrap();
    pairs(
        &mut made,
        "adapter",
        k,
        adapters.into_iter().map(|a| a.map(of)).collect(),
    );
    machine
        .forward(&linear, &placed, &[used], &x, m, &mut h, false, &mut y)
        .unwrap();
    made.push((
        "y after the step".into(),
        n,
        machine.get(&y, m * n).unwrap(),
    ));
    machine.clear(&mut [&mut linear], 0).unwrap();
    assert_eq!(machine.squares(&[&linear], 0).unwrap(), 0.0);
    made
}

#[test]
fn groups_of_every_kind() {
    let dropped = Use::Drop(Dropout {
        seed: 5,
        step: 2,
        p: 0.25,
    });
    // Inputs, (outputs, rank) of each projection, bias, documents.
    let cases = [
        (72, &[(40, 3), (16, 0), (24, 5)][..], true, &[7, 33][..]),
        (64, &[(48, 16)], false, &[1]),
        (40, &[(520, 20), (520, 4)], false, &[70, 1]),
        (24, &[(16, 70)], false, &[9]),
        (48, &[(64, 0)], true, &[5]),
    ];
    for (inputs, outputs, bias, lengths) in cases {
        let batch = batch(lengths, 30);
        let each = (0..).step_by(10).zip(outputs);
        let group = each.map(|(seed, &(n, rank))| projection(seed, inputs, n, rank, bias));
        let group: Vec<_> = group.collect();
        for (used, plus) in [
            (Use::Off, true),
            (Use::On, true),
            (Use::On, false),
            (dropped, false),
        ] {
            let name = format!("{inputs} to {outputs:?}, {used:?}, += {plus}");
            let expected = linear(&Rounded, &batch, &group, used, plus);
            agree(&name, &expected, |cuda| {
                linear(&cuda, &batch, &group, used, plus)
            });
        }
    }
}

#[test]
fn sums_of_more_rows_than_a_block_of_them_has() {
    let batch = batch(&[700, 350], 30);
    let group = [
        projection(0, 24, 16, 4, false),
        projection(10, 24, 8, 2, false),
    ];
    let used = Use::Drop(Dropout {
        seed: 5,
        step: 2,
        p: 0.25,
    });
    let expected = linear(&Rounded, &batch, &group, used, false);
    let cuda = Cuda::new(Simulated::new(Mode::ALL[1]));
    near(
        "1050 rows",
        &linear(&cuda, &batch, &group, used, false),
        &expected,
    );
}

/// Other adapters on a base that is there, with and without moments; then one as it was.
fn equipped<B: Backend>(machine: &B, batch: &Batch) -> Made {
    let (m, k) = (batch.tokens(), 40);
    let group = [
        projection(1, k, 24, 3, true),
        projection(2, k, 16, 0, false),
    ];
    let placed = machine.place(batch).unwrap();
    let mut linear = machine.linear(4, group.to_vec()).unwrap();
    let mut made = Made::new();
    let still = |a: &Adapter| Moments {
        first: Pair {
            a: a.a.clone(),
            b: a.b.clone(),
        },
        second: Pair {
            a: vec![0.25; a.a.len()],
            b: vec![0.5; a.b.len()],
        },
    };
    for ranks in [[66, 2], [0, 0], [0, 16], [3, 0]] {
        let other = |at: usize| {
            let seed = 20 + at as u32;
            (ranks[at] > 0).then(|| adapter(seed, k, group[at].outputs, ranks[at]))
        };
        let adapters = vec![other(0), other(1)];
        let moments: Vec<_> = adapters.iter().map(|a| a.as_ref().map(still)).collect();
        let member = Member {
            adapters: adapters.clone(),
            moments: Some(moments.clone()),
        };
        machine.equip(&mut linear, &[member]).unwrap();
        let tail = machine.tail(&linear);
        let x = machine
            .put(Shape::of(m, k).with_tail(tail), &numbers(3, m * k))
            .unwrap();
        let mut y = machine.zeros(Shape::of(m, 40)).unwrap();
        let low = Shape {
            kind: Kind::Low,
            ..Shape::of(m, ranks.iter().sum()).with_tail(tail)
        };
        let mut h = machine.zeros(low).unwrap();
        machine
            .forward(&linear, &placed, &[Use::On], &x, m, &mut h, false, &mut y)
            .unwrap();
        made.push((
            format!("y of {ranks:?}"),
            40,
            machine.get(&y, m * 40).unwrap(),
        ));
        let found = machine.adapters(&linear, 0).unwrap();
        assert_eq!(found, adapters);
        assert_eq!(machine.moments(&linear, 0).unwrap(), moments);
        let zero = machine.gradients(&linear, 0).unwrap();
        assert!(
            zero.iter()
                .flatten()
                .all(|p| p.a.iter().chain(&p.b).all(|&g| g == 0.0))
        );
    }
    made
}

#[test]
fn other_adapters_on_the_same_base() {
    let batch = batch(&[3, 8], 30);
    let expected = equipped(&Rounded, &batch);
    agree("equip", &expected, |cuda| equipped(&cuda, &batch));
}

/// Rotation, attention both ways, the cache.
fn attention<B: Backend>(machine: &B, batch: &Batch, heads: &Heads) -> Made {
    let (m, columns) = (batch.tokens(), heads.columns());
    let placed = machine.place(batch).unwrap();
    let frequencies = (0..heads.head_dim / 2).map(|i| 1.0 / (1.0 + i as f32));
    let rope = Rope {
        frequencies: frequencies.collect(),
        attention_factor: 1.25,
    };
    let qkv_shape = Shape::of(m, columns);
    let raw = machine.put(qkv_shape, &numbers(1, m * columns)).unwrap();
    let gain = machine
        .put(
            Shape::statistics(1, heads.head_dim),
            &numbers(2, heads.head_dim),
        )
        .unwrap();
    let mut qkv = machine.put(qkv_shape, &numbers(1, m * columns)).unwrap();
    let mut made = Made::new();
    let mut roots = Vec::new();
    for (part, count) in [(Part::Queries, heads.heads), (Part::Keys, heads.kv_heads)] {
        let mut rstd = machine.zeros(Shape::statistics(m, count)).unwrap();
        machine
            .head_norm(heads, part, &raw, &gain, m, 1e-3, &mut rstd, &mut qkv)
            .unwrap();
        made.push((
            format!("{part:?} rstd"),
            count,
            machine.get(&rstd, m * count).unwrap(),
        ));
        roots.push((part, rstd));
    }
    machine
        .rope(heads, &rope, &placed, m, false, &mut qkv)
        .unwrap();
    made.push((
        "qkv".into(),
        columns,
        machine.get(&qkv, m * columns).unwrap(),
    ));
    let mut lse = machine.zeros(Shape::statistics(m, heads.heads)).unwrap();
    let queries = Shape::of(m, heads.queries());
    let mut out = machine.zeros(queries.with_tail(64)).unwrap();
    machine
        .attend(heads, &placed, &qkv, m, &mut lse, &mut out)
        .unwrap();
    made.push((
        "lse".into(),
        heads.heads,
        machine.get(&lse, m * heads.heads).unwrap(),
    ));
    made.push((
        "out".into(),
        heads.queries(),
        machine.get(&out, queries.len()).unwrap(),
    ));
    let dout = machine.put(queries, &numbers(3, queries.len())).unwrap();
    let mut d = machine
        .put(qkv_shape.with_tail(64), &numbers(4, m * columns))
        .unwrap();
    machine
        .attend_backward(heads, &placed, &qkv, &lse, &out, &dout, m, &mut d)
        .unwrap();
    made.push((
        "dqkv".into(),
        columns,
        machine.get(&d, m * columns).unwrap(),
    ));
    machine
        .rope(heads, &rope, &placed, m, true, &mut d)
        .unwrap();
    for (part, rstd) in &roots {
        machine
            .head_norm_backward(heads, *part, &raw, &gain, rstd, m, &mut d)
            .unwrap();
    }
    made.push((
        "draw".into(),
        columns,
        machine.get(&d, m * columns).unwrap(),
    ));
    let n = batch.documents();
    let length = |ends: &[u32]| (ends[1] - ends[0]) as usize;
    let lengths: Vec<usize> = batch.starts.windows(2).map(length).collect();
    let capacity = lengths.iter().max().unwrap() + 2;
    let shape = Shape::of(n * capacity, 2 * heads.keys());
    let mut cache = machine.put(shape, &numbers(5, shape.len())).unwrap();
    machine
        .fill_cache(heads, &placed, &qkv, capacity, &mut cache)
        .unwrap();
    let token = machine
        .put(Shape::of(n, columns), &numbers(6, n * columns))
        .unwrap();
    let last_shape = Shape::of(n, heads.queries());
    let mut last = machine.zeros(last_shape.with_tail(64)).unwrap();
    machine
        .attend_cached(heads, &token, &lengths, capacity, &mut cache, &mut last)
        .unwrap();
    made.push((
        "cache".into(),
        shape.columns,
        machine.get(&cache, shape.len()).unwrap(),
    ));
    made.push((
        "last".into(),
        last_shape.columns,
        machine.get(&last, last_shape.len()).unwrap(),
    ));
    made
}

#[test]
fn attention_of_every_shape() {
    for (lengths, heads, kv_heads, head_dim, window) in [
        (&[1][..], 2, 1, 64, None),
        (&[7, 133], 2, 1, 64, Some(5)),
        (&[65, 1, 40], 3, 3, 64, None),
        (&[130, 9], 2, 1, 128, Some(100)),
        (&[40, 3], 6, 1, 128, None),
    ] {
        let heads = Heads {
            heads,
            kv_heads,
            head_dim,
            window,
            scale: 1.0 / (head_dim as f32).sqrt(),
        };
        let batch = batch(lengths, 50);
        let expected = attention(&Rounded, &batch, &heads);
        agree(&format!("{lengths:?} {heads:?}"), &expected, |cuda| {
            attention(&cuda, &batch, &heads)
        });
    }
}

/// Rows and the loss head.
fn rows<B: Backend>(machine: &B, batch: &Batch, h: usize, v: usize, bias: bool) -> Made {
    let (m, s, f) = (batch.tokens(), batch.supervised.len(), h + 8);
    let placed = machine.place(batch).unwrap();
    let stream = Shape::of(m, h);
    let supervised = Shape::of(s, h);
    let table = machine.put(Shape::of(v, h), &numbers(1, v * h)).unwrap();
    let mut x = machine.zeros(stream).unwrap();
    machine.embed(&table, &placed, h, &mut x).unwrap();
    let mut made = vec![("x".into(), h, machine.get(&x, m * h).unwrap())];
    let gain = machine
        .put(Shape::statistics(1, h), &numbers(2, h))
        .unwrap();
    let mut rstd = machine.zeros(Shape::statistics(m, 1)).unwrap();
    let mut y = machine.zeros(stream.with_tail(64)).unwrap();
    machine
        .norm(&x, &gain, m, h, 1e-4, &mut rstd, &mut y)
        .unwrap();
    made.push(("rstd".into(), 1, machine.get(&rstd, m).unwrap()));
    made.push(("y".into(), h, machine.get(&y, m * h).unwrap()));
    let dy = machine.put(stream, &numbers(3, m * h)).unwrap();
    let mut dx = machine
        .put(stream.with_tail(64), &numbers(4, m * h))
        .unwrap();
    machine
        .norm_backward(&x, &gain, &rstd, &dy, m, h, &mut dx)
        .unwrap();
    machine.add(&dy, m * h, &mut dx).unwrap();
    made.push(("dx".into(), h, machine.get(&dx, m * h).unwrap()));
    for tail in [0, 64] {
        let mut copied = machine
            .put(stream.with_tail(tail), &numbers(8, m * h))
            .unwrap();
        machine.copy(&dx, (m - 1) * h, &mut copied).unwrap();
        made.push((
            format!("copied to {tail}"),
            h,
            machine.get(&copied, m * h).unwrap(),
        ));
    }
    let gu: Vec<f32> = numbers(5, m * 2 * f).iter().map(|x| 20.0 * x).collect();
    let mut gu = machine.put(Shape::of(m, 2 * f).with_tail(64), &gu).unwrap();
    let mut act = machine.zeros(Shape::of(m, f).with_tail(64)).unwrap();
    machine.swiglu(&gu, m, f, &mut act).unwrap();
    made.push(("act".into(), f, machine.get(&act, m * f).unwrap()));
    let dact = machine.put(Shape::of(m, f), &numbers(6, m * f)).unwrap();
    machine.swiglu_backward(&dact, m, f, &mut gu).unwrap();
    made.push(("dgu".into(), 2 * f, machine.get(&gu, m * 2 * f).unwrap()));
    let mut gathered = machine.zeros(supervised).unwrap();
    machine.gather(&placed, &y, h, &mut gathered).unwrap();
    let head = machine
        .linear(0, vec![projection(7, h, v, 0, bias)])
        .unwrap();
    let mut alone = machine.zeros(Shape::statistics(s, 1)).unwrap();
    machine
        .head(&head, &placed, &gathered, &mut alone, None)
        .unwrap();
    let mut losses = machine.zeros(Shape::statistics(s, 1)).unwrap();
    let mut d = machine.zeros(supervised).unwrap();
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
    let found = machine.get(&losses, s).unwrap();
    assert_eq!(machine.get(&alone, s).unwrap(), found);
    made.push(("losses".into(), 1, found));
    made.push(("d".into(), h, machine.get(&d, s * h).unwrap()));
    let mut spread = machine
        .put(stream.with_tail(64), &numbers(10, m * h))
        .unwrap();
    machine.scatter(&placed, &d, m, h, &mut spread).unwrap();
    made.push(("spread".into(), h, machine.get(&spread, m * h).unwrap()));
    made
}

#[test]
fn rows_of_every_width() {
    for (lengths, h, v, bias) in [
        (&[7, 33][..], 72, 51, false),
        (&[2], 8, 2, true),
        (&[4, 1, 9], 520, 130, true),
    ] {
        let batch = batch(lengths, v);
        let expected = rows(&Rounded, &batch, h, v, bias);
        agree(&format!("{h} {v}"), &expected, |cuda| {
            rows(&cuda, &batch, h, v, bias)
        });
    }
}

/// The loss head alone, over rows that are given.
fn head<B: Backend>(machine: &B, batch: &Batch, h: usize, v: usize) -> Made {
    let s = batch.supervised.len();
    let placed = machine.place(batch).unwrap();
    let head = machine
        .linear(0, vec![projection(7, h, v, 0, false)])
        .unwrap();
    let x = machine.put(Shape::of(s, h), &numbers(1, s * h)).unwrap();
    let mut losses = machine.zeros(Shape::statistics(s, 1)).unwrap();
    let mut d = machine.zeros(Shape::of(s, h)).unwrap();
    let weights = numbers(9, s);
    machine
        .head(&head, &placed, &x, &mut losses, Some((&weights, &mut d)))
        .unwrap();
    vec![
        ("losses".into(), 1, machine.get(&losses, s).unwrap()),
        ("d".into(), h, machine.get(&d, s * h).unwrap()),
    ]
}

#[test]
fn the_loss_head_in_several_pieces() {
    let (h, v) = (8, 11);
    let mut batch = batch(&[4200], v);
    batch.supervised = (0..2100).map(|row| 2 * row).collect();
    batch.targets = (0..2100).map(|row| row % v as u32).collect();
    let cuda = Cuda::new(Simulated::new(Mode::ALL[2]));
    near(
        "2100 rows",
        &head(&cuda, &batch, h, v),
        &head(&Rounded, &batch, h, v),
    );
}

#[test]
fn the_likeliest_token() {
    let cuda = Cuda::new(Simulated::new(Mode::ALL[0]));
    let shape = Shape {
        kind: Kind::Logit,
        ..Shape::of(3, 13)
    };
    let mut all = numbers(1, 39);
    (all[4], all[9], all[13 + 12], all[26]) = (7.0, 7.0, 3.0, 2.0);
    let logits = cuda.put(shape, &all).unwrap();
    assert_eq!(cuda.likeliest(&logits, 3, 13).unwrap(), [4, 12, 0]);
    all[20] = f32::NAN;
    let logits = cuda.put(shape, &all).unwrap();
    let Trouble(said) = cuda.likeliest(&logits, 3, 13).unwrap_err();
    assert!(said.contains("row 1"), "{said}");
}

#[test]
fn what_no_kernel_can_do_is_refused() {
    let cuda = Cuda::new(Simulated::new(Mode::ALL[0]));
    let refused = |result: Result<(), Trouble>, what: &str| {
        let Trouble(said) = result.unwrap_err();
        assert!(said.contains(what), "{said}");
    };
    let odd = vec![projection(0, 20, 16, 2, false)];
    refused(cuda.linear(0, odd).map(drop), "20 rows or columns");
    let odd = vec![projection(0, 16, 20, 2, false)];
    refused(cuda.linear(0, odd).map(drop), "20 rows or columns");
    let heads = Heads {
        heads: 1,
        kv_heads: 1,
        head_dim: 96,
        window: None,
        scale: 1.0,
    };
    let batch = batch(&[4], 9);
    let placed = cuda.place(&batch).unwrap();
    let qkv = cuda.zeros(Shape::of(4, 288)).unwrap();
    let mut lse = cuda.zeros(Shape::statistics(4, 1)).unwrap();
    let mut out = cuda.zeros(Shape::of(4, 96)).unwrap();
    refused(
        cuda.attend(&heads, &placed, &qkv, 4, &mut lse, &mut out),
        "heads of 96 columns",
    );
    let heads = Heads {
        head_dim: 64,
        ..heads
    };
    let mut cache = cuda.zeros(Shape::of(8, 128)).unwrap();
    let full = cuda.attend_cached(&heads, &qkv, &[3, 4], 4, &mut cache, &mut out);
    refused(full, "a sequence of 5 tokens does not fit");
    // A group with an adapter, and no room beside x for what it makes of it.
    let linear = cuda
        .linear(0, vec![projection(0, 16, 16, 2, false)])
        .unwrap();
    let x = cuda.zeros(Shape::of(4, 16)).unwrap();
    let (mut h, mut y) = (
        cuda.zeros(Shape::of(0, 0)).unwrap(),
        cuda.zeros(Shape::of(4, 16)).unwrap(),
    );
    let no_tail = cuda.forward(&linear, &placed, &[Use::On], &x, 4, &mut h, false, &mut y);
    refused(no_tail, "no room for 16 and 64 beside them");
    let short = cuda.forward(&linear, &placed, &[], &x, 5, &mut h, false, &mut y);
    refused(short, "5 tokens do not fit into a buffer of 4");
}

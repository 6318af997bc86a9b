//! RMSNorm of the heads of queries or keys, forward and backward.

use crate::counts::Counted;
use crate::ptx::{Arg, Launch, Module};
use crate::rows::{
    Check, EPSILON, Fault, Placed, compare, compare_floats, matrix, norm_backward_error,
    norm_errors, norm_for_each, row_blocks, run,
};
use crate::support::{Chance, int, module};
use campaignd::lora::{
    backend::{Backend, Heads, Part},
    plain::Plain,
};
use half::bf16;

/// How many roundings deep the sum over a head is: eight of a lane, then by halves.
fn head_depth(head_dim: usize) -> f64 {
    8.0 + (head_dim as f64 / 8.0).log2()
}

/// Heads, and the part of them that is normalised.
struct Case {
    heads: Heads,
    part: Part,
    m: usize,
}

impl Case {
    fn random(chance: &mut Chance, m: usize, head_dim: usize) -> Self {
        let kv_heads = chance.of(&[1, 2, 3]);
        let heads = Heads {
            heads: kv_heads * chance.of(&[1, 3, 7]),
            kv_heads,
            head_dim,
            window: None,
            scale: 1.0,
        };
        let part = chance.of(&[Part::Queries, Part::Keys]);
        Self { heads, part, m }
    }

    fn count(&self) -> usize {
        match self.part {
            Part::Queries => self.heads.heads,
            Part::Keys => self.heads.kv_heads,
        }
    }

    fn first(&self) -> usize {
        match self.part {
            Part::Queries => 0,
            Part::Keys => self.heads.queries(),
        }
    }

    /// The part's columns.
    fn columns(&self) -> std::ops::Range<usize> {
        self.first()..self.first() + self.count() * self.heads.head_dim
    }

    /// Which number of rstd a column has.
    fn at(&self, row: usize, column: usize) -> usize {
        row * self.count() + (column - self.first()) / self.heads.head_dim
    }

    fn launch(&self) -> Launch {
        row_blocks(self.m, 1, 128, 0)
    }

    fn args(&self, lds: [usize; 2]) -> Vec<Arg> {
        let shape = [self.m, self.count(), self.first(), self.heads.head_dim];
        shape.into_iter().chain(lds).map(int).collect()
    }

    /// The reference: rstd and the normalised heads.
    fn reference(&self, raw: &[f32], gain: &Vec<f32>) -> (Vec<f32>, Vec<f32>) {
        let (mut rstd, mut qkv) = (vec![0.0; self.m * self.count()], vec![0.0; raw.len()]);
        let raw = raw.to_vec();
        Plain
            .head_norm(
                &self.heads,
                self.part,
                &raw,
                gain,
                self.m,
                EPSILON,
                &mut rstd,
                &mut qkv,
            )
            .unwrap();
        (rstd, qkv)
    }
}

fn check_heads(module: &Module, chance: &mut Chance, m: usize, dim: usize) -> Result<(), String> {
    let case = Case::random(chance, m, dim);
    let columns = case.heads.columns();
    let (raw, gain) = (matrix(chance, m, columns), chance.numbers(dim, 3.0));
    let ld = columns + chance.of(&[0, 64]);
    let found = run(module.kernel("head_norm"), &case.launch(), |memory| {
        let qkv = memory.room::<bf16>(m * ld);
        let rstd = memory.room::<f32>(m * case.count());
        let mut args = vec![
            memory.put(&raw.numbers).into(),
            memory.put(&gain).into(),
            qkv.into(),
            rstd.into(),
        ];
        args.extend(case.args([raw.ld, ld]));
        args.push(EPSILON.into());
        Placed {
            args,
            matrix: qkv,
            floats: Some(rstd),
        }
    })?;
    let (rstd, qkv) = case.reference(&raw.dense(), &gain);
    let errors = norm_errors(head_depth(dim));
    compare_floats(&found.floats, |at| {
        let rstd = f64::from(rstd[at]);
        (rstd, rstd * errors.0)
    })?;
    compare(&found.matrix, ld, case.columns(), None, |row, column| {
        let y = f64::from(qkv[row * columns + column]);
        (y, y.abs() * errors.1)
    })
}

fn check_heads_back(
    module: &Module,
    chance: &mut Chance,
    m: usize,
    dim: usize,
) -> Result<(), String> {
    let case = Case::random(chance, m, dim);
    let columns = case.heads.columns();
    let [raw, before] = [0; 2].map(|_| matrix(chance, m, columns));
    let gain = chance.numbers(dim, 3.0);
    let (rstd, _) = case.reference(&raw.dense(), &gain);
    let found = run(
        module.kernel("head_norm_backward"),
        &case.launch(),
        |memory| {
            let d = memory.writable(&before.numbers);
            let mut args = vec![
                memory.put(&raw.numbers).into(),
                memory.put(&gain).into(),
                memory.put(&rstd).into(),
                d.into(),
            ];
            args.extend(case.args([raw.ld, before.ld]));
            Placed {
                args,
                matrix: d,
                floats: None,
            }
        },
    )?;
    let mut d = before.dense();
    Plain
        .head_norm_backward(
            &case.heads,
            case.part,
            &raw.dense(),
            &gain,
            &rstd,
            m,
            &mut d,
        )
        .unwrap();
    let g = |row, column: usize| {
        before.at(row, column) * f64::from(gain[(column - case.first()) % dim])
    };
    compare(
        &found.matrix,
        before.ld,
        case.columns(),
        Some(&before),
        |row, column| {
            let head = column - (column - case.first()) % dim;
            let products = (head..head + dim).map(|c| (g(row, c) * raw.at(row, c)).abs());
            let products = products.sum::<f64>() / dim as f64;
            let rstd = f64::from(rstd[case.at(row, column)]);
            let (g, x) = (g(row, column), raw.at(row, column));
            let error = norm_backward_error(head_depth(dim), rstd, g, x, products);
            (f64::from(d[row * columns + column]), error)
        },
    )
}

const HEADS: [(usize, usize); 9] = [
    (0, 64),
    (1, 64),
    (1, 128),
    (9, 64),
    (5, 128),
    (3, 8),
    (4, 16),
    (2, 32),
    (3, 256),
];

#[test]
fn heads_forward() {
    norm_for_each(check_heads, &HEADS);
}

#[test]
fn heads_backward() {
    norm_for_each(check_heads_back, &HEADS);
}

#[test]
fn heads_in_place_are_the_same() {
    let norm = module("norm");
    let mut chance = Chance::new(15);
    let (raw, gain) = (matrix(&mut chance, 3, 5 * 64), chance.numbers(64, 1.0));
    let launch = row_blocks(3, 1, 128, 0);
    let [apart, within] = [false, true].map(|in_place| {
        run(norm.kernel("head_norm"), &launch, |memory| {
            let qkv = memory.writable(&raw.numbers);
            let rstd = memory.room::<f32>(3 * 3);
            let from = match in_place {
                true => qkv,
                false => memory.put(&raw.numbers),
            };
            let mut args = vec![
                from.into(),
                memory.put(&gain).into(),
                qkv.into(),
                rstd.into(),
            ];
            args.extend([3, 3, 64, 64, raw.ld, raw.ld].map(int));
            args.push(EPSILON.into());
            Placed {
                args,
                matrix: qkv,
                floats: Some(rstd),
            }
        })
        .unwrap()
    });
    assert_eq!(apart.bits(), within.bits());
}

#[test]
fn planted_faults_are_found() {
    let faults: [(&str, &str, &str, Check, &str); 2] = [
        // The lanes of a head sum different things.
        (
            "head_norm",
            "shfl.sync.bfly",
            "shfl.sync.down",
            check_heads,
            "not",
        ),
        // Lanes without a chunk leave while others still want their zeros.
        (
            "head_norm_backward",
            ", -32;",
            ", -1;",
            check_heads_back,
            "have exited",
        ),
    ];
    for (entry, from, to, check, symptom) in faults {
        let fault = Fault {
            entry,
            from,
            to,
            check,
            symptom,
        };
        fault.must_be_found("norm", &HEADS);
    }
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let (m, dim, norm) = (16, 128, module("norm"));
    let heads = Heads {
        heads: 32,
        kv_heads: 8,
        head_dim: dim,
        window: None,
        scale: 1.0,
    };
    let case = Case {
        heads,
        part: Part::Queries,
        m,
    };
    let mut chance = Chance::new(16);
    let raw = matrix(&mut chance, m, case.heads.columns());
    let (gain, rstd) = (chance.numbers(dim, 1.0), vec![1.0f32; m * case.count()]);
    let launched = |name: &str, back: bool| {
        run(norm.kernel(name), &case.launch(), |memory| {
            let matrix = memory.writable(&raw.numbers);
            let floats = match back {
                true => memory.put(&rstd),
                false => memory.room::<f32>(rstd.len()),
            };
            let mut args = vec![memory.put(&raw.numbers).into(), memory.put(&gain).into()];
            match back {
                true => args.extend([Arg::from(floats), matrix.into()]),
                false => args.extend([Arg::from(matrix), floats.into()]),
            }
            args.extend(case.args([raw.ld, raw.ld]));
            args.extend((!back).then_some(Arg::from(EPSILON)));
            Placed {
                args,
                matrix,
                floats: None,
            }
        })
        .unwrap()
        .counts
    };
    let of = "16 rows, 32 heads of 128";
    let (part, once) = (m * case.columns().len() * 2, rstd.len() * 4 + dim * 4);
    let because = "the gain, by each warp of a row";
    vec![
        Counted::new(
            "head_norm",
            of,
            launched("head_norm", false),
            2 * part + once,
        ),
        Counted::new(
            "head_norm_backward",
            of,
            launched("head_norm_backward", true),
            3 * part + once,
        ),
    ]
    .into_iter()
    .map(|row| row.because(because))
    .collect()
}

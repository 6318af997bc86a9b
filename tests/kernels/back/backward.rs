//! Attention's backward kernels against arithmetic in f64 and against `Plain`.

use crate::back::{
    NO_DOCUMENT,
    problem::{Problem, Shape},
    run::{self, FILE, Gradient},
    tiles,
};
use crate::counts::Counted;
use crate::ptx::{Mode, Module};
use crate::support::{Chance, Matrix, in_all_modes};

fn shape(head_dim: usize, heads: [usize; 2], window: usize, lengths: &[usize]) -> Shape {
    Shape {
        head_dim,
        heads: heads[0],
        kv_heads: heads[1],
        window,
        lengths: lengths.to_vec(),
        tail: 64,
    }
}

/// Runs a problem in all modes: no fault, right numbers, the same bits.
fn proves(module: &Module, problem: &Problem) -> Gradient {
    let name = format!("{:?}", problem.shape);
    let gradient = in_all_modes(|mode| run::backward(module, problem, mode), Gradient::bits)
        .unwrap_or_else(|error| panic!("{name}: {error}"));
    let wrong = gradient.wrong(problem);
    assert!(wrong.is_none(), "{name}: {}", wrong.unwrap());
    gradient
}

#[test]
fn corners_of_shapes() {
    let module = crate::support::module(FILE);
    for head_dim in [64, 128] {
        let shapes = [
            shape(head_dim, [1, 1], 0, &[1]),
            shape(head_dim, [1, 1], 1, &[40]),
            shape(head_dim, [4, 1], 0, &[0, 3, 0, 16, 0]),
            shape(head_dim, [2, 2], 0, &[128, 64]),
            shape(head_dim, [2, 1], 0, &[300]),
            shape(head_dim, [2, 1], 70, &[20, 290]),
            shape(head_dim, [3, 3], i32::MAX as usize, &[33, 5]),
        ];
        for shape in shapes {
            proves(&module, &Problem::new(&shape, &mut Chance::new(1)));
        }
    }
}

#[test]
fn random_shapes() {
    let module = crate::support::module(FILE);
    for seed in 0..12 {
        let mut chance = Chance::new(seed);
        let shape = Shape::random(&mut chance, [64, 128][seed as usize % 2]);
        if shape.rows() > 0 {
            proves(&module, &Problem::new(&shape, &mut chance));
        }
    }
}

#[test]
fn large_scores() {
    let module = crate::support::module(FILE);
    for head_dim in [64, 128] {
        let mut problem = Problem::new(&shape(head_dim, [2, 1], 0, &[70]), &mut Chance::new(7));
        // Queries sixteen times as long: scores of about sixteen, some above fifty; softmax is near one-hot.
        let Matrix { ld, numbers, .. } = &mut problem.qkv;
        let queries = problem.shape.heads().queries();
        for row in numbers.chunks_mut(*ld) {
            let factor = half::bf16::from_f32(16.0);
            row[..queries].iter_mut().for_each(|q| *q *= factor);
        }
        proves(&module, &problem.forward());
    }
}

#[test]
fn neither_the_place_of_a_document_nor_the_order_of_tiles_changes_a_bit() {
    let module = crate::support::module(FILE);
    for (head_dim, window) in [(64, 0), (64, 75), (128, 0), (128, 90)] {
        let shape = shape(head_dim, [2, 1], window, &[37, 200, 11]);
        let packed = Problem::new(&shape, &mut Chance::new(3));
        let starts = shape.starts();
        let tiles = tiles(&starts, 6);
        let mut pairs: Vec<&[u32]> = tiles.chunks(2).collect();
        assert!(pairs.iter().any(|pair| pair[0] == NO_DOCUMENT));
        let mode = Mode::ALL[0];
        let first = run::backward(&module, &packed, mode).unwrap();
        pairs.reverse();
        let reversed = run::backward_over(&module, &packed, &pairs.concat(), mode).unwrap();
        assert_eq!(first.bits(), reversed.bits());
        let alone = run::backward(&module, &packed.document(1), mode).unwrap();
        let rows = starts[1] as usize * shape.ld()..starts[2] as usize * shape.ld();
        assert_eq!(alone.bits().1, first.bits().1[rows]);
    }
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let names = [
        [
            "attend_delta_64",
            "attend_back_keys_64",
            "attend_back_queries_64",
        ],
        [
            "attend_delta_128",
            "attend_back_keys_128",
            "attend_back_queries_128",
        ],
    ];
    let module = crate::support::module(FILE);
    let counted = |(head_dim, names): (usize, [&'static str; 3])| {
        // A group of Llama-3.1-8B's kind, a document of 512 tokens.
        let shape = shape(head_dim, [4, 1], 0, &[512]);
        let problem = Problem::new(&shape, &mut Chance::new(5));
        let got = run::backward(&module, &problem, Mode::ALL[0]).unwrap();
        let (heads, per_head) = (shape.heads(), 4 * 4);
        let (queries, keys) = (heads.queries() * 2, heads.keys() * 2);
        let reads = 2 * queries + 2 * keys + 2 * per_head;
        let plans = [2 * queries + per_head, reads + 2 * keys, reads + queries];
        let whys = [
            "",
            "queries and dout, for each 128 keys",
            "keys and values, for each 128 queries of each head",
        ];
        let rows = names.into_iter().zip(got.counts).zip(plans).zip(whys);
        let row = |(((name, counts), plan), why)| {
            Counted::new(name, "512 tokens, 4 heads, 1 of keys", counts, 512 * plan).because(why)
        };
        rows.map(row).collect::<Vec<_>>()
    };
    [64, 128].into_iter().zip(names).flat_map(counted).collect()
}

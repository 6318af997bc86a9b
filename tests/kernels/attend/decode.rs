//! attend_cached and fill_cache, run in the interpreter, against Plain.

use crate::attend::{
    exact::{How, attention},
    heads, starts,
};
use crate::counts::Counted;
use crate::ptx::{Arg, Counts, Fault, Memory, Mode, Module};
use crate::support::{
    Chance, Matrix, in_all_modes, int, launch,
    mutation::{Part, must_be_found, mutant, replaced, replaced_in},
    rounding::{SMALLEST, near},
};
use campaignd::lora::{
    backend::{Backend, Heads},
    batch::Batch,
    plain::Plain,
};
use half::bf16;

const FILE: &str = "decode";

/// New tokens of some sequences, and how they lie in memory.
#[derive(Clone, Debug)]
struct Case {
    heads: Heads,
    /// Tokens that each sequence has already; from `capacity` on it takes no part.
    lengths: Vec<u32>,
    capacity: usize,
    /// Columns more than there need to be, of qkv and of out.
    spare: [usize; 2],
}

struct Given {
    qkv: Matrix,
    cache: Matrix,
}

struct Left {
    cache: Vec<bf16>,
    out: Vec<Option<bf16>>,
    counts: Counts,
}

impl Left {
    fn bits(&self) -> (Vec<u16>, Vec<Option<u16>>) {
        let cache = self.cache.iter().map(|x| x.to_bits());
        let out = self.out.iter().map(|x| x.map(bf16::to_bits));
        (cache.collect(), out.collect())
    }
}

impl Case {
    fn ld(&self) -> usize {
        self.heads.columns() + self.spare[0]
    }

    fn ldo(&self) -> usize {
        self.heads.queries() + self.spare[1]
    }

    /// Numbers of a row of the cache, and of a sequence's.
    fn cached(&self) -> (usize, usize) {
        let row = 2 * self.heads.keys();
        (row, self.capacity * row)
    }

    /// The cache is NaN where no token was yet.
    fn given(&self, seed: u64) -> Given {
        let chance = &mut Chance::new(seed);
        let (row, sequence) = self.cached();
        let sequences = self.lengths.len();
        let mut cache = Matrix::normal(chance, sequences * self.capacity, row, row, 1.0);
        let caches = cache.numbers.chunks_exact_mut(sequence);
        for (cache, &length) in caches.zip(&self.lengths) {
            cache[self.capacity.min(length as usize) * row..].fill(bf16::NAN);
        }
        let columns = self.heads.columns();
        let qkv = Matrix::normal(chance, sequences, columns, self.ld(), 1.0);
        Given { qkv, cache }
    }

    fn run(&self, module: &Module, given: &Given, mode: Mode) -> Result<Left, Fault> {
        let heads = &self.heads;
        let mut memory = Memory::new();
        let cache = memory.writable(&given.cache.numbers);
        let out = memory.room::<bf16>(self.lengths.len() * self.ldo());
        let args: [Arg; 11] = [
            memory.put(&given.qkv.numbers).into(),
            memory.put(&self.lengths).into(),
            cache.into(),
            out.into(),
            int(self.ld()),
            int(self.ldo()),
            int(heads.heads),
            int(heads.kv_heads),
            int(self.capacity),
            int(heads.window.unwrap_or(0)),
            heads.scale.into(),
        ];
        let chunks = (heads.heads / heads.kv_heads).div_ceil(4);
        let launch = launch(
            [self.lengths.len() * heads.kv_heads * chunks, 1, 1],
            256,
            8 * 4 * (heads.head_dim as u32 + 2) * 4,
        );
        let kernel = module.kernel(&format!("attend_cached_{}", heads.head_dim));
        let counts = kernel.run(&launch, &args, &mut memory, mode)?;
        Ok(Left {
            cache: memory.get(cache),
            out: memory.get_raw(out),
            counts,
        })
    }

    fn verdict(&self, given: &Given, left: &Left) -> Result<(), String> {
        let (row, sequence) = self.cached();
        for (i, &length) in self.lengths.iter().enumerate() {
            let length = length as usize;
            let qkv = given.qkv.part(i..i + 1).dense();
            let cached = i * self.capacity..(i + 1) * self.capacity;
            let mut cache = given.cache.part(cached).dense();
            let out = &left.out[i * self.ldo()..][..self.ldo()];
            let queries = self.heads.queries();
            let untouched = if length < self.capacity { queries } else { 0 };
            if out[untouched..].iter().any(Option::is_some) {
                return Err(format!("more of out[{i}] was written than its columns"));
            }
            if length < self.capacity {
                let mut plain = vec![0.0; queries];
                Plain
                    .attend_cached(
                        &self.heads,
                        &qkv,
                        &[length],
                        self.capacity,
                        &mut cache,
                        &mut plain,
                    )
                    .unwrap();
                self.verdict_row(i, &qkv, &cache, &plain, out)?;
            }
            let now = left.cache[i * sequence..][..sequence].iter();
            let expected = cache.iter().map(|&x| bf16::from_f32(x));
            if let Some(at) = now
                .zip(expected)
                .position(|(a, b)| a.to_bits() != b.to_bits())
            {
                return Err(format!(
                    "cache[{i}, {}, {}] is not Plain's",
                    at / row,
                    at % row
                ));
            }
        }
        Ok(())
    }

    /// One sequence: Plain's cache and out, and out of the kernel.
    fn verdict_row(
        &self,
        i: usize,
        qkv: &[f32],
        cache: &[f32],
        plain: &[f32],
        out: &[Option<bf16>],
    ) -> Result<(), String> {
        let (heads, width, length) = (
            &self.heads,
            self.heads.head_dim,
            self.lengths[i] as usize + 1,
        );
        let (row, _) = self.cached();
        let seen = heads
            .window
            .map_or(0, |window| length.saturating_sub(window))..length;
        let how = How {
            scale: heads.scale,
            rounded: false,
            shrinks: length / 32 + 8,
        };
        for head in 0..heads.heads {
            let key = head / (heads.heads / heads.kv_heads) * width;
            let part = |column: usize| {
                let rows = seen.clone();
                rows.map(|j| &cache[j * row + column..][..width])
                    .collect::<Vec<_>>()
            };
            let query = &qkv[head * width..][..width];
            let answer = attention(query, &part(key), &part(key + heads.keys()), how);
            for c in 0..width {
                let at = head * width + c;
                let got = out[at].ok_or_else(|| format!("out[{i}, {at}] was never written"))?;
                if !near(got, f64::from(plain[at]), answer.out_slack[c] + SMALLEST) {
                    return Err(format!(
                        "out[{i}, {at}] = {got}, Plain has {}, not within {:e}",
                        plain[at], answer.out_slack[c]
                    ));
                }
            }
        }
        Ok(())
    }

    fn judge(&self, module: &Module, seed: u64) -> Result<Counts, String> {
        let given = self.given(seed);
        let left = in_all_modes(|mode| self.run(module, &given, mode), Left::bits)?;
        self.verdict(&given, &left)?;
        Ok(left.counts)
    }
}

fn holds(case: &Case, seed: u64) -> Counts {
    let module = crate::support::module(FILE);
    match case.judge(&module, seed) {
        Ok(counts) => counts,
        Err(why) => panic!("{why}\nseed {seed}, {case:?}"),
    }
}

#[test]
fn new_tokens_of_sequences_of_all_lengths() {
    for width in [64, 128] {
        for (kv_heads, group) in [(1, 1), (2, 4), (1, 7), (2, 8), (1, 64)] {
            holds(
                &Case {
                    heads: heads(kv_heads * group, kv_heads, width, None),
                    lengths: vec![0, 1, 7, 8, 31, 32, 33, 199],
                    capacity: 200,
                    spare: [0, 0],
                },
                group as u64,
            );
        }
    }
}

#[test]
fn windows_spare_columns_and_sequences_that_are_done() {
    let mut chance = Chance::new(77);
    for seed in 0..12 {
        let (kv_heads, group) = (1 + chance.below(3), chance.of(&[1, 2, 3, 5]));
        let window = chance.of(&[None, Some(1), Some(2), Some(33), Some(64), Some(1000)]);
        let capacity = 1 + chance.below(150);
        let lengths = (0..1 + chance.below(4))
            .map(|_| match chance.below(5) {
                0 => u32::MAX,
                1 => capacity as u32,
                _ => chance.below(capacity) as u32,
            })
            .collect();
        let case = Case {
            heads: heads(kv_heads * group, kv_heads, chance.of(&[64, 128]), window),
            lengths,
            capacity,
            spare: [8 * chance.below(3), 8 * chance.below(3)],
        };
        holds(&case, seed);
    }
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let counted = |width, kernel| {
        let case = Case {
            heads: heads(8, 2, width, None),
            lengths: vec![1023; 4],
            capacity: 1024,
            spare: [0, 0],
        };
        let counts = holds(&case, 9);
        let (row, _) = case.cached();
        let plan = 4 * (1024 * row + case.ld() + case.ldo()) * 2 + 4 * 4;
        let of = "4 sequences of 1,024, 8 heads, 2 of keys";
        Counted::new(kernel, of, counts, plan)
    };
    let filled = heads(8, 2, 128, None);
    let (_, _, counts) = fill(&[512], &filled, 1024, 0, Mode::ALL[0]);
    let plan = 2 * 512 * 2 * filled.keys() * 2 + 8;
    let of = "512 tokens, 2 heads of 128";
    vec![
        counted(64, "attend_cached_64"),
        counted(128, "attend_cached_128"),
        Counted::new("fill_cache", of, counts, plan),
    ]
}

#[test]
fn planted_bugs_are_found() {
    for width in [64, 128] {
        let name = format!("attend_cached_{width}");
        let case = Case {
            heads: heads(10, 2, width, Some(70)),
            lengths: vec![3, 50, 99],
            capacity: 100,
            spare: [0, 0],
        };
        let found = |by: &str, bug: &dyn Fn(&str) -> String| {
            let module = mutant(FILE, &name, bug);
            must_be_found(&name, case.judge(&module, 11).err(), &[by]);
        };
        let all = |old, new| move |body: &str| replaced_in(body, Part::All, old, new);
        found("never written", &all("bar.sync", "// bar.sync"));
        // Keys that are not bounded by the last; a lane group left out; the new key taken from the cache.
        found("out of bounds", &all("min.s32", "max.s32"));
        found("out[", &|body| {
            replaced(body, "shfl.sync.bfly", 0, "shfl.sync.idx")
        });
        let load = Part::Between("ld.global.v4", "selp.b64");
        found("race between blocks", &|body| {
            replaced_in(body, load, "setp.gt.s32", "setp.ge.s32")
        });
    }
}

/// fill_cache of documents of these lengths; what is in the cache afterwards, which was nothing.
fn fill(
    lengths: &[usize],
    heads: &Heads,
    capacity: usize,
    spare: usize,
    mode: Mode,
) -> (Matrix, Vec<Option<bf16>>, Counts) {
    let (starts, ld) = (starts(2, lengths), heads.columns() + spare);
    let rows = 3 + lengths.iter().sum::<usize>();
    let chance = &mut Chance::new(rows as u64);
    let qkv = Matrix::normal(chance, rows, heads.columns(), ld, 1.0);
    let mut memory = Memory::new();
    let cache = memory.room::<bf16>(lengths.len() * capacity * 2 * heads.keys());
    let args: [Arg; 7] = [
        memory.put(&qkv.numbers).into(),
        memory.put(&starts).into(),
        cache.into(),
        int(ld),
        int(heads.queries()),
        int(heads.keys()),
        int(capacity),
    ];
    let launch = launch([lengths.len() * 16, 1, 1], 256, 0);
    let module = crate::support::module(FILE);
    let kernel = module.kernel("fill_cache");
    let counts = kernel
        .run(&launch, &args, &mut memory, mode)
        .unwrap_or_else(|fault| panic!("{fault}\n{lengths:?}, capacity {capacity}"));
    (qkv, memory.get_raw(cache), counts)
}

#[test]
fn a_cache_is_filled_as_plain_fills_it() {
    for (lengths, kv_heads, width, spare) in [
        (vec![1], 1, 64, 0),
        (vec![0, 17, 3, 0], 2, 64, 8),
        (vec![33, 40], 9, 128, 16),
    ] {
        let heads = heads(2 * kv_heads, kv_heads, width, None);
        let capacity = 41;
        for mode in Mode::ALL {
            let (qkv, got, _) = fill(&lengths, &heads, capacity, spare, mode);
            let batch = Batch {
                starts: starts(2, &lengths),
                ..Batch::default()
            };
            let qkv = qkv.dense();
            let mut plain = vec![f32::NAN; got.len()];
            Plain
                .fill_cache(&heads, &batch, &qkv, capacity, &mut plain)
                .unwrap();
            for (at, (got, plain)) in got.iter().zip(plain).enumerate() {
                assert_eq!(
                    got.map(bf16::to_f32),
                    (!plain.is_nan()).then_some(plain),
                    "cache number {at} of {lengths:?}"
                );
            }
        }
    }
}

#[test]
fn rows_beyond_the_capacity_are_left_out() {
    let heads = heads(2, 1, 64, None);
    let (qkv, got, _) = fill(&[7, 2], &heads, 4, 0, Mode::ALL[0]);
    let written = got.iter().filter(|x| x.is_some()).count();
    assert_eq!(written, (4 + 2) * 128);
    assert_eq!(got[3 * 128], Some(qkv.row(5)[128]));
}

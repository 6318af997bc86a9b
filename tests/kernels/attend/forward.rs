//! attend_64 and attend_128: causal attention within documents, run in the interpreter, against Plain and against f64 arithmetic
//! that rounds P to bf16 as the kernels do.

use crate::attend::{
    NOTHING,
    exact::{How, attention},
    heads, starts, work_tiles,
};
use crate::counts::Counted;
use crate::ptx::{Arg, Counts, Fault, Memory, Mode, Module};
use crate::support::{
    Chance, Matrix, in_all_modes, int, launch,
    mutation::{Part, must_be_found, mutant, replaced_in},
    rounding::{SMALLEST, near},
};
use campaignd::lora::{
    backend::{Backend, Heads},
    batch::Batch,
    plain::Plain,
};
use half::bf16;

const FILE: &str = "attend";

/// A batch and how it lies in memory.
#[derive(Clone, Debug)]
struct Case {
    heads: Heads,
    /// Lengths of documents.
    lengths: Vec<usize>,
    /// Rows of no document, before and after.
    around: [usize; 2],
    /// Columns more than there need to be, of qkv and of out.
    spare: [usize; 2],
    /// Tiles that are no work.
    idle: usize,
    /// Standard deviation of the numbers.
    size: f32,
}

/// What the kernel left behind; None where nothing was written.
struct Left {
    out: Vec<Option<bf16>>,
    lse: Vec<Option<f32>>,
    counts: Counts,
}

impl Left {
    fn bits(&self) -> (Vec<Option<u16>>, Vec<Option<u32>>) {
        let out = self.out.iter().map(|x| x.map(bf16::to_bits));
        let lse = self.lse.iter().map(|x| x.map(f32::to_bits));
        (out.collect(), lse.collect())
    }
}

fn case(heads: Heads, lengths: &[usize]) -> Case {
    Case {
        heads,
        lengths: lengths.to_vec(),
        around: [0, 0],
        spare: [0, 0],
        idle: 0,
        size: 1.0,
    }
}

impl Case {
    fn rows(&self) -> usize {
        self.around[0] + self.lengths.iter().sum::<usize>() + self.around[1]
    }

    fn ld(&self) -> usize {
        self.heads.columns() + self.spare[0]
    }

    fn ldo(&self) -> usize {
        self.heads.queries() + self.spare[1]
    }

    fn starts(&self) -> Vec<u32> {
        starts(self.around[0], &self.lengths)
    }

    fn run(&self, module: &Module, qkv: &Matrix, mode: Mode) -> Result<Left, Fault> {
        let heads = &self.heads;
        let mut tiles = work_tiles(&self.starts());
        tiles.extend([NOTHING, 7].repeat(self.idle));
        let mut memory = Memory::new();
        let out = memory.room::<bf16>(self.rows() * self.ldo());
        let lse = memory.room::<f32>(self.rows() * heads.heads);
        let args: [Arg; 11] = [
            memory.put(&qkv.numbers).into(),
            memory.put(&self.starts()).into(),
            memory.put(&tiles).into(),
            out.into(),
            lse.into(),
            int(self.ld()),
            int(self.ldo()),
            int(heads.heads),
            int(heads.kv_heads),
            int(heads.window.unwrap_or(0)),
            heads.scale.into(),
        ];
        let shared = if heads.head_dim == 64 { 55_296 } else { 69_632 };
        let launch = launch([tiles.len() / 2 * heads.heads, 1, 1], 128, shared);
        let kernel = module.kernel(&format!("attend_{}", heads.head_dim));
        let counts = if tiles.is_empty() {
            Counts::default()
        } else {
            kernel.run(&launch, &args, &mut memory, mode)?
        };
        Ok(Left {
            out: memory.get_raw(out),
            lse: memory.get_raw(lse),
            counts,
        })
    }

    /// The first number that is not what it should be.
    fn verdict(&self, qkv: &Matrix, got: &Left) -> Result<(), String> {
        self.verdict_outside(got)?;
        let heads = &self.heads;
        let (columns, queries) = (heads.columns(), heads.queries());
        let qkv = qkv.dense();
        let batch = Batch {
            starts: self.starts(),
            ..Batch::default()
        };
        let m = self.rows();
        let (mut lse, mut out) = (vec![0.0; m * heads.heads], vec![0.0; m * queries]);
        Plain
            .attend(heads, &batch, &qkv, m, &mut lse, &mut out)
            .unwrap();
        let how = How {
            scale: heads.scale,
            rounded: true,
            shrinks: 0,
        };
        for document in batch.starts.windows(2) {
            for i in document[0] as usize..document[1] as usize {
                let first = heads.window.map_or(0, |w| (i + 1).saturating_sub(w));
                let seen = first.max(document[0] as usize)..i + 1;
                for head in 0..heads.heads {
                    let width = heads.head_dim;
                    let key = queries + head / (heads.heads / heads.kv_heads) * width;
                    let part = |j: usize, column: usize| &qkv[j * columns + column..][..width];
                    let keys: Vec<_> = seen.clone().map(|j| part(j, key)).collect();
                    let value = key + heads.keys();
                    let values: Vec<_> = seen.clone().map(|j| part(j, value)).collect();
                    let answer = attention(part(i, head * width), &keys, &values, how);
                    for c in 0..width {
                        let at = head * width + c;
                        let got = got.out[i * self.ldo() + at]
                            .ok_or_else(|| format!("out[{i}, {at}] was never written"))?;
                        if !near(got, answer.out[c], answer.out_slack[c] + SMALLEST) {
                            let (exact, slack) = (answer.out[c], answer.out_slack[c]);
                            return Err(format!(
                                "out[{i}, {at}] = {got}, not {exact} within {slack:e}"
                            ));
                        }
                        let plain = f64::from(out[i * queries + at]);
                        let slack = answer.out_slack[c] + answer.rounding[c];
                        if !near(got, plain, slack + SMALLEST) {
                            return Err(format!("out[{i}, {at}] = {got}, Plain has {plain}"));
                        }
                    }
                    let (at, plain) = (i * heads.heads + head, lse[i * heads.heads + head]);
                    let got =
                        got.lse[at].ok_or_else(|| format!("lse[{i}, {head}] was never written"))?;
                    let slack = answer.lse_slack;
                    for expected in [answer.lse, f64::from(plain)] {
                        let within = (f64::from(got) - expected).abs() <= slack;
                        if !within {
                            return Err(format!(
                                "lse[{i}, {head}] = {got}, not {expected} within {slack:e}"
                            ));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Rows of no document and spare columns are left alone.
    fn verdict_outside(&self, got: &Left) -> Result<(), String> {
        let rows = self.around[0]..self.rows() - self.around[1];
        for (at, number) in got.out.iter().enumerate() {
            let (row, column) = (at / self.ldo(), at % self.ldo());
            let inside = rows.contains(&row) && column < self.heads.queries();
            if !inside && number.is_some() {
                return Err(format!("out[{row}, {column}] was written"));
            }
        }
        for (at, number) in got.lse.iter().enumerate() {
            let row = at / self.heads.heads;
            if !rows.contains(&row) && number.is_some() {
                return Err(format!("lse of row {row} was written"));
            }
        }
        Ok(())
    }

    /// Everything: four modes, their bits, every number.
    fn judge(&self, module: &Module, seed: u64) -> Result<(), String> {
        let (rows, ld) = (self.rows(), self.ld());
        let chance = &mut Chance::new(seed);
        let mut qkv = Matrix::normal(chance, rows, self.heads.columns(), ld, self.size);
        let [before, after] = self.around;
        qkv.numbers[..before * ld].fill(bf16::NAN);
        qkv.numbers[(rows - after) * ld..].fill(bf16::NAN);
        let left = in_all_modes(|mode| self.run(module, &qkv, mode), Left::bits)?;
        self.verdict(&qkv, &left)
    }
}

fn holds(case: &Case, seed: u64) {
    let module = crate::support::module(FILE);
    if let Err(why) = case.judge(&module, seed) {
        panic!("{why}\nseed {seed}, {case:?}");
    }
}

#[test]
fn tiles_are_the_rows_of_documents_longest_first() {
    let tiles = work_tiles(&[3, 3, 140, 268, 400]);
    assert_eq!(tiles, [1, 131, 3, 396, 1, 3, 2, 140, 3, 268]);
    assert!(work_tiles(&[0]).is_empty());
}

#[test]
fn one_token_attends_to_itself() {
    for width in [64, 128] {
        holds(&case(heads(1, 1, width, None), &[1]), 1);
        holds(&case(heads(4, 2, width, Some(1)), &[1, 0, 1]), 2);
    }
}

#[test]
fn no_token_and_many_heads() {
    for width in [64, 128] {
        holds(&case(heads(2, 1, width, None), &[]), 1);
        holds(&case(heads(64, 8, width, None), &[3, 0, 40]), 2);
    }
}

#[test]
fn lengths_around_the_tiles() {
    for width in [64, 128] {
        for length in [31, 32, 33, 63, 64, 65, 127, 128, 129, 193] {
            holds(&case(heads(2, 1, width, None), &[length]), length as u64);
        }
    }
}

#[test]
fn windows_around_the_tiles() {
    for width in [64, 128] {
        for window in [1, 2, 16, 31, 32, 33, 63, 64, 65, 128, 300, usize::MAX >> 33] {
            let shape = heads(2, 2, width, Some(window));
            holds(&case(shape, &[5, 290]), window as u64);
        }
    }
}

#[test]
fn documents_of_all_kinds_side_by_side() {
    let mut chance = Chance::new(20_251_121);
    for seed in 0..12 {
        let (kv_heads, group) = (1 + chance.below(3), chance.of(&[1, 2, 4, 7]));
        let reach = 1 + chance.below(150);
        let window = chance.of(&[None, None, Some(reach)]);
        let shape = heads(kv_heads * group, kv_heads, chance.of(&[64, 128]), window);
        let count = chance.below(6);
        let lengths: Vec<usize> = (0..count)
            .map(|_| {
                let most = chance.of(&[1, 4, 70, 200]);
                chance.below(most + 1)
            })
            .collect();
        let case = Case {
            around: [chance.below(9), chance.below(140)],
            spare: [8 * chance.below(3), 8 * chance.below(9)],
            idle: chance.below(4),
            size: chance.of(&[0.5, 1.0, 2.0]),
            ..case(shape, &lengths)
        };
        holds(&case, seed);
    }
}

#[test]
fn scores_far_apart_and_far_from_zero() {
    for width in [64, 128] {
        for size in [0.0, 6.0, 16.0] {
            let shape = heads(2, 1, width, None);
            holds(
                &Case {
                    size,
                    ..case(shape, &[150])
                },
                7,
            );
        }
    }
}

#[test]
fn a_document_does_not_depend_on_its_neighbours() {
    let module = crate::support::module(FILE);
    for width in [64, 128] {
        let shape = heads(2, 1, width, Some(100));
        let ld = shape.columns();
        let packed = case(shape, &[77, 170, 30]);
        let qkv = Matrix::normal(&mut Chance::new(5), packed.rows(), ld, ld, 1.0);
        let together = packed.run(&module, &qkv, Mode::ALL[0]).unwrap();
        let own = case(shape, &[170]);
        let alone = own.run(&module, &qkv.part(77..247), Mode::ALL[0]).unwrap();
        let row = shape.queries();
        assert_eq!(together.out[77 * row..247 * row], alone.out);
        assert_eq!(together.lse[77 * 2..247 * 2], alone.lse);
    }
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let (tokens, module) = (1024, crate::support::module(FILE));
    let counted = |width, kernel| {
        let case = case(heads(8, 2, width, None), &[tokens]);
        let ld = case.ld();
        let qkv = Matrix::normal(&mut Chance::new(3), tokens, ld, ld, 1.0);
        let counts = case.run(&module, &qkv, Mode::ALL[0]).unwrap().counts;
        let plan = tokens * ((ld + case.ldo()) * 2 + 8 * 4);
        Counted::new(kernel, "1,024 tokens, 8 heads, 2 of keys", counts, plan)
            .because("keys and values, for each 128 queries of each head")
    };
    vec![counted(64, "attend_64"), counted(128, "attend_128")]
}

/// A bug in the kernel of a case must be found.
fn found(case: &Case, part: Part<'_>, old: &str, new: &str, by: &[&str]) {
    let name = format!("attend_{}", case.heads.head_dim);
    let module = mutant(FILE, &name, |body| replaced_in(body, part, old, new));
    let bug = format!("{name}, {old:?} -> {new:?} in {part:?}");
    must_be_found(&bug, case.judge(&module, 11).err(), by);
}

/// A barrier after the next tile's copies rather than before them: a warp may still read what they overwrite.
#[test]
fn a_barrier_at_the_wrong_place_is_a_race() {
    for width in [64, 128] {
        let name = format!("attend_{width}");
        let commit = "cp.async.commit_group;";
        let after = format!("{commit} cp.async.wait_group 0; bar.sync 0;");
        let module = mutant(FILE, &name, |body| {
            let body = replaced_in(body, Part::All, "bar.sync", "// bar.sync");
            replaced_in(&body, Part::All, commit, &after)
        });
        let case = case(heads(2, 1, width, None), &[200]);
        must_be_found(&name, case.judge(&module, 12).err(), &["race"]);
    }
}

#[test]
fn planted_bugs_are_found() {
    for width in [64, 128] {
        let case = case(heads(2, 1, width, Some(140)), &[150, 210, 40]);
        found(
            &case,
            Part::All,
            "bar.sync",
            "// bar.sync",
            &["never written"],
        );
        // One stage for both tiles.
        found(&case, Part::All, "xor.b32", "and.b32", &["on its way"]);
        found(
            &case,
            Part::All,
            "wait_group 0",
            "wait_group 1",
            &["on its way"],
        );
        // A token that does not see itself; one that sees the token after it.
        let mask = Part::Between("mma.sync", "ex2");
        found(&case, mask, "setp.gt.s32", "setp.ge.s32", &["out["]);
        found(&case, mask, "setp.le.s32", "setp.lt.s32", &["out["]);
        // Rows that are not the tile's are written; sums of half of a row; values not transposed.
        let end = Part::Behind("mma.sync");
        found(
            &case,
            end,
            "setp.ge.s32",
            "setp.gt.s32",
            &["race between blocks"],
        );
        found(&case, end, "shfl.sync.bfly", "shfl.sync.idx", &["out["]);
        found(&case, Part::All, ".x4.trans", ".x4", &["out["]);
        // Sums that shrink only where every row has a new maximum.
        found(
            &case,
            Part::All,
            "vote.sync.any",
            "vote.sync.all",
            &["out["],
        );
    }
}

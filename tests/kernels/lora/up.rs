//! The pass over dY: partial sums of dh and dB against f64 arithmetic, and dh's way into the tail bit by bit.

use crate::counts::Counted;
use crate::lora::THREADS;
use crate::ptx::{Counts, Module};
use crate::support::{Chance, Matrix, int, launch, module, rounding::Sum, run};
use half::bf16;

/// Columns of dY, their rank columns, and where their dB goes.
#[derive(Clone, Copy, Debug)]
struct Segment {
    column: usize,
    columns: usize,
    rank: usize,
    ranks: usize,
    offset: usize,
    ld: usize,
}

/// One of the two kernels.
#[derive(Clone, Copy, Debug)]
struct Kind {
    name: &'static str,
    ranks: usize,
    tile: usize,
    shared: u32,
}

const KINDS: [Kind; 2] = [
    Kind {
        name: "lora_dy_16",
        ranks: 16,
        tile: 512,
        shared: 94_208,
    },
    Kind {
        name: "lora_dy_64",
        ranks: 64,
        tile: 256,
        shared: 79_872,
    },
];

/// Segments side by side, with room between their ranks and their dB.
fn segments(chance: &mut Chance, kind: Kind, columns: &[usize]) -> (Vec<Segment>, usize) {
    let (mut column, mut rank, mut offset) = (0, chance.of(&[0, 16]), 0);
    let mut found = Vec::new();
    for &columns in columns {
        let ranks = chance.between(1, kind.ranks / 16) * 16;
        let ld = ranks + chance.of(&[0, 2]);
        found.push(Segment {
            column,
            columns,
            rank,
            ranks,
            offset,
            ld,
        });
        column += columns;
        rank += ranks + chance.of(&[0, 16]);
        offset += columns * ld + chance.of(&[0, 6]);
    }
    (found, offset)
}

fn table(segments: &[Segment]) -> Vec<i32> {
    let row = |s: &Segment| [s.column, s.columns, s.rank, s.ranks, s.offset, s.ld, 0, 0];
    segments.iter().flat_map(row).map(|n| n as i32).collect()
}

struct Case {
    kind: Kind,
    m: usize,
    rows: usize,
    segments: Vec<Segment>,
    size: usize,
    dy: Matrix,
    sb: Matrix,
    h: Matrix,
}

/// What was written where.
type Partials = (Vec<Option<u32>>, Vec<Option<u32>>);

impl Case {
    fn random(chance: &mut Chance, kind: Kind, m: usize, rows: usize, columns: &[usize]) -> Self {
        let (segments, size) = segments(chance, kind, columns);
        let wide: usize = columns.iter().sum();
        let tail = segments.iter().map(|s| s.rank + s.ranks).max().unwrap_or(0);
        let mut sb = Matrix::random(chance, wide, tail, tail + 72);
        for (n, row) in sb.numbers.chunks_exact_mut(sb.ld).enumerate() {
            for (rank, number) in row.iter_mut().enumerate() {
                let own = |s: &Segment| {
                    (s.column..s.column + s.columns).contains(&n)
                        && (s.rank..s.rank + s.ranks).contains(&rank)
                };
                if !segments.iter().any(own) {
                    *number = bf16::NAN; // of another projection: must not be read
                }
            }
        }
        Self {
            kind,
            m,
            rows,
            segments,
            size,
            dy: Matrix::random(chance, m, wide, wide + 64),
            sb,
            h: Matrix::random(chance, m, tail, tail + 8),
        }
    }

    fn tiles(&self) -> usize {
        let tiles = |s: &Segment| s.columns.div_ceil(self.kind.tile);
        self.segments.iter().map(tiles).sum()
    }

    fn run(&self, module: &Module) -> (Partials, Counts) {
        let (tiles, blocks) = (self.tiles(), self.m.div_ceil(self.rows));
        run(
            module.kernel(self.kind.name),
            &launch([tiles, blocks, 1], THREADS, self.kind.shared),
            |memory| {
                let dh = memory.room::<f32>(tiles * self.m * self.kind.ranks);
                let db = memory.room::<f32>(blocks * self.size);
                let mut args = vec![
                    memory.put(&self.dy.numbers).into(),
                    memory.put(&self.sb.numbers).into(),
                    memory.put(&self.h.numbers).into(),
                    memory.put(&table(&self.segments)).into(),
                    dh.into(),
                    db.into(),
                ];
                let (ldy, ldw, ldh) = (self.dy.ld, self.sb.ld, self.h.ld);
                let count = self.segments.len();
                args.extend([self.m, count, self.rows, ldy, ldw, ldh, self.size].map(int));
                (args, (dh, db))
            },
            |memory, &(dh, db)| (memory.get_raw(dh), memory.get_raw(db)),
        )
        .unwrap()
    }

    fn check_dh(&self, partials: &[Option<u32>]) {
        let mut parts = partials.chunks_exact(self.kind.ranks);
        for segment in &self.segments {
            for from in (0..segment.columns).step_by(self.kind.tile) {
                let columns = from..segment.columns.min(from + self.kind.tile);
                for (row, part) in (&mut parts).take(self.m).enumerate() {
                    for (rank, got) in part.iter().enumerate() {
                        let what =
                            || format!("{:?} dh row {row} {segment:?} from {from}", self.kind);
                        if rank >= segment.ranks {
                            assert_eq!(*got, None, "{}", what());
                            continue;
                        }
                        let product = |n: usize| {
                            let n = segment.column + n;
                            self.dy.at(row, n) * self.sb.at(n, segment.rank + rank)
                        };
                        let got = f32::from_bits(got.expect("written"));
                        Sum::of(columns.clone().map(product)).expect(got, self.kind.tile, what);
                    }
                }
            }
        }
        assert!(parts.next().is_none());
    }

    fn check_db(&self, partials: &[Option<u32>]) {
        for (block, part) in partials.chunks_exact(self.size.max(1)).enumerate() {
            let tokens = block * self.rows..self.m.min((block + 1) * self.rows);
            let mut part = part.to_vec();
            for segment in &self.segments {
                for n in 0..segment.columns {
                    for rank in 0..segment.ranks {
                        let product = |t| {
                            self.dy.at(t, segment.column + n) * self.h.at(t, segment.rank + rank)
                        };
                        let what = || format!("{:?} dB {block} {segment:?} {n} {rank}", self.kind);
                        let got = part[segment.offset + n * segment.ld + rank].take();
                        let got = f32::from_bits(got.unwrap_or_else(|| panic!("{}", what())));
                        Sum::of(tokens.clone().map(product)).expect(got, self.rows + 1, what);
                    }
                }
            }
            assert!(part.iter().all(Option::is_none), "nothing else is written");
        }
    }

    fn check(&self, module: &Module) -> Counts {
        let ((dh, db), counts) = self.run(module);
        self.check_dh(&dh);
        self.check_db(&db);
        counts
    }
}

#[test]
fn partials_of_dh_and_db() {
    let module = module("lora_dy");
    let chance = &mut Chance::new(111);
    let groups: [&[usize]; 5] = [&[8], &[264, 40], &[24, 0, 520], &[256, 64, 64], &[776]];
    for (at, columns) in groups.into_iter().enumerate() {
        for kind in KINDS {
            let m = [1, 32, 33, 70, 100][at] + chance.of(&[0, 64]);
            let rows = chance.of(&[32, 64, 1024]);
            Case::random(chance, kind, m, rows, columns).check(&module);
        }
    }
}

/// The bits of dY's buffer, from its tail on, after `lora_dh`.
fn added_up(
    module: &Module,
    kind: Kind,
    segments: &[Segment],
    partials: &[f32],
    [m, tail, ldy]: [usize; 3],
) -> (Vec<u16>, Counts) {
    run(
        module.kernel("lora_dh"),
        &launch([(m * (tail / 4)).div_ceil(256), 1, 1], THREADS, 0),
        |memory| {
            let dh = memory.writable(&vec![bf16::NAN; m * ldy]);
            let mut args = vec![
                memory.put(partials).into(),
                memory.put(&table(segments)).into(),
                dh.into(),
            ];
            let count = segments.len();
            args.extend([m, count, kind.tile, kind.ranks, ldy, tail].map(int));
            (args, dh)
        },
        |memory, &dh| memory.get::<u16>(dh),
    )
    .unwrap()
}

#[test]
fn dh_is_added_up_into_the_tail() {
    let module = module("lora_dy");
    let chance = &mut Chance::new(112);
    for kind in KINDS {
        for (m, columns) in [(1, &[8][..]), (33, &[600, 0, 1100]), (70, &[24, 520])] {
            let (segments, _) = segments(chance, kind, columns);
            let used = segments.iter().map(|s| s.rank + s.ranks).max().unwrap_or(0);
            let (tail, ldy) = (used.next_multiple_of(64), used.next_multiple_of(64) + 8);
            let tiles = segments.iter().map(|s| s.columns.div_ceil(kind.tile));
            let tiles: Vec<usize> = tiles.collect();
            let len = tiles.iter().sum::<usize>() * m * kind.ranks;
            let partials: Vec<f32> = chance.numbers(len, 1.0);
            let (result, _) = added_up(&module, kind, &segments, &partials, [m, tail, ldy]);
            for (at, got) in result.into_iter().enumerate() {
                let (row, rank) = (at / ldy, at % ldy);
                let mut expected = if rank < tail { 0.0 } else { f32::NAN };
                let mut first = 0;
                for (segment, tiles) in segments.iter().zip(&tiles) {
                    if (segment.rank..segment.rank + segment.ranks).contains(&rank) {
                        let inside = rank - segment.rank;
                        let part = |t| partials[(t * m + row) * kind.ranks + inside];
                        expected = (first..first + tiles).map(part).fold(0.0, |a, b| a + b);
                    }
                    first += tiles;
                }
                let expected = bf16::from_f32(expected).to_bits();
                assert_eq!(got, expected, "{segments:?} row {row} rank {rank}");
            }
        }
    }
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let (m, n, module) = (256, 1024, module("lora_dy"));
    let chance = &mut Chance::new(113);
    let passes = KINDS.map(|kind| {
        let mut case = Case::random(chance, kind, m, m, &[n]);
        let ranks = kind.ranks;
        case.segments = vec![Segment {
            column: 0,
            columns: n,
            rank: 0,
            ranks,
            offset: 0,
            ld: ranks,
        }];
        case.size = n * ranks;
        case.sb = Matrix::random(chance, n, ranks, ranks + 72);
        case.h = Matrix::random(chance, m, ranks, ranks + 8);
        let counts = case.check(&module);
        let of = format!("{m} x 1,024, rank {ranks}");
        let plan = (m * n + n * ranks + 2 * m * ranks) * 2 + n * ranks * 4;
        let because = format!("h and partial sums of dh, for each {} columns", kind.tile);
        Counted::new(kind.name, of, counts, plan).because(because)
    });
    let [narrow, _] = KINDS;
    let (segments, tiles, tail) = (segments(chance, narrow, &[n]).0, n / narrow.tile, 64);
    let partials = chance.numbers(tiles * m * narrow.ranks, 1.0);
    let (_, counts) = added_up(&module, narrow, &segments, &partials, [m, tail, n + tail]);
    let plan = partials.len() * 4 + m * tail * 2 + 32;
    let dh = Counted::new("lora_dh", "256 x 1,024, rank 16", counts, plan)
        .because("the table, by each warp");
    passes.into_iter().chain([dh]).collect()
}

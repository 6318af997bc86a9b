//! A whole projection group with dropout, forward and back through all kernels of the family, against `Plain`.

use crate::lora::{THREADS, batch};
use crate::ptx::{Arg, Launch, Memory, Mode, Module, Pointer};
use crate::support::{Chance, Matrix, in_all_modes, int, launch, module};
use campaignd::{
    lora::{
        backend::{Adapter, Backend, Dropout, Pair, Projection, Use},
        batch::Batch,
        plain::Plain,
    },
    training::philox::step_key,
};
use half::bf16;

const M: usize = 150;
const K: usize = 136;
const OUTPUTS: [usize; 3] = [264, 40, 72];
const RANKS: [usize; 3] = [8, 16, 24];
/// Powers of two, so that s B is exact in bf16 where B is.
const SCALES: [f32; 3] = [2.0, 0.5, 1.0];
const SITE: u32 = 5;
/// p = 1/2 makes 1 / (1 - p) exact, so that dropped x is too.
const DROPOUT: Dropout = Dropout {
    seed: 3,
    step: 17,
    p: 0.5,
};
const ROWS: usize = 64;
const KERNELS: [&str; 6] = [
    "border",
    "lora_down",
    "lora_dy",
    "lora_da",
    "reduce",
    "preload",
];

/// Where a projection is in the group: its columns of y, its rank columns and how many with padding.
#[derive(Clone, Copy)]
struct Place {
    output: usize,
    outputs: usize,
    rank: usize,
    ranks: usize,
    padded: usize,
    scale: f32,
}

fn places() -> Vec<Place> {
    let (mut output, mut rank) = (0, 0);
    let mut found = Vec::new();
    for ((outputs, ranks), scale) in OUTPUTS.into_iter().zip(RANKS).zip(SCALES) {
        let padded = ranks.next_multiple_of(16);
        found.push(Place {
            output,
            outputs,
            rank,
            ranks,
            padded,
            scale,
        });
        output += outputs;
        rank += padded;
    }
    found
}

/// Random numbers that bf16 has.
fn exact(chance: &mut Chance, len: usize) -> Vec<f32> {
    let numbers = chance.halves(len, 1.0);
    numbers.iter().map(|number| number.to_f32()).collect()
}

struct Inputs {
    batch: Batch,
    x: Vec<f32>,
    dy: Vec<f32>,
    adapters: Vec<Adapter>,
}

/// What the kernels made of them: h and dh [M, tail], A's gradient [ranks, K], B's, and the adapters' part of dx [M, K].
struct Outputs {
    h: Vec<bf16>,
    a: Vec<f32>,
    b: Vec<Vec<f32>>,
    dx: Vec<bf16>,
}

impl Outputs {
    fn bits(&self) -> (Vec<u16>, Vec<u32>) {
        let narrow = self.h.iter().chain(&self.dx);
        let wide = self.a.iter().chain(self.b.iter().flatten());
        (
            narrow.map(|number| number.to_bits()).collect(),
            wide.map(|number| number.to_bits()).collect(),
        )
    }
}

/// Loads modules, launches, and keeps the mode.
struct Machine {
    modules: Vec<Module>,
    mode: Mode,
    memory: Memory,
}

impl Machine {
    fn run(&mut self, file: &str, name: &str, launch: Launch, args: Vec<Arg>) {
        let at = KERNELS.iter().position(|k| *k == file).expect("a file");
        self.modules[at]
            .kernel(name)
            .run(&launch, &args, &mut self.memory, self.mode)
            .unwrap_or_else(|fault| panic!("{name} {:?}: {fault}", self.mode));
    }

    fn border(&mut self, to: Pointer, from: Arg, sizes: [usize; 6], scale: f32) {
        let blocks = (sizes[2] * sizes[3]).div_ceil(256);
        let mut args = vec![to.into(), from];
        args.extend(sizes.map(int));
        args.push(scale.into());
        self.run("border", "border", launch([blocks, 1, 1], THREADS, 0), args);
    }

    fn reduce(&mut self, out: Pointer, from: Pointer, sizes: [usize; 4], scale: f32) {
        let blocks = sizes[0].div_ceil(256);
        let mut args = vec![out.into(), from.into()];
        args.extend(sizes.map(int));
        args.push(scale.into());
        self.run("reduce", "reduce", launch([blocks, 1, 1], THREADS, 0), args);
    }
}

fn columns(rows: &[bf16], ld: usize, from: usize, to: usize) -> Vec<bf16> {
    rows.chunks_exact(ld)
        .flat_map(|row| row[from..to].to_vec())
        .collect()
}

/// Sizes of the group.
struct Sizes {
    /// Columns of y.
    n: usize,
    /// Ranks with padding.
    ranks: usize,
    /// Columns of the border.
    tail: usize,
    /// Row blocks of partial sums.
    blocks: usize,
}

impl Sizes {
    fn of(places: &[Place]) -> Self {
        let ranks: usize = places.iter().map(|p| p.padded).sum();
        Self {
            n: OUTPUTS.iter().sum(),
            ranks,
            tail: ranks.next_multiple_of(64),
            blocks: M.div_ceil(ROWS),
        }
    }

    /// Of x's buffer, and of W^.
    fn ldx(&self) -> usize {
        K + self.tail
    }

    fn ldy(&self) -> usize {
        self.n + self.tail
    }
}

/// What lies where.
#[derive(Clone, Copy)]
struct Placed {
    /// W^ in K columns and the border.
    w: Pointer,
    x: Pointer,
    dy: Pointer,
    examples: Pointer,
    positions: Pointer,
}

/// The five arguments of dropout.
fn mask() -> [Arg; 5] {
    let ([k0, k1], p) = (step_key(DROPOUT.seed, DROPOUT.step), DROPOUT.p);
    let keep = 1.0 / (1.0 - p);
    [k0.into(), k1.into(), SITE.into(), p.into(), keep.into()]
}

fn place(machine: &mut Machine, inputs: &Inputs, sizes: &Sizes) -> Placed {
    let (n, ldx) = (sizes.n, sizes.ldx());
    let memory = &mut machine.memory;
    let w = memory.writable(&vec![bf16::NAN; (n + sizes.tail) * ldx]);
    let placed = Placed {
        w,
        x: memory.writable(&Matrix::spread(&inputs.x, K, ldx).numbers),
        dy: memory.writable(&Matrix::spread(&inputs.dy, n, sizes.ldy()).numbers),
        examples: memory.put(&inputs.batch.examples),
        positions: memory.put(&inputs.batch.positions),
    };
    machine.border(
        w.offset(n * ldx, 2),
        Arg::Null,
        [0, 0, sizes.tail, ldx, ldx, 0],
        1.0,
    );
    machine.border(
        w.offset(K, 2),
        Arg::Null,
        [0, 0, n, sizes.tail, ldx, 0],
        1.0,
    );
    for (place, adapter) in places().iter().zip(&inputs.adapters) {
        let Place {
            output,
            outputs,
            rank,
            ranks,
            padded,
            scale,
        } = *place;
        let from = machine.memory.put(&adapter.a).into();
        machine.border(
            w.offset((n + rank) * ldx, 2),
            from,
            [ranks, K, padded, K, ldx, K],
            1.0,
        );
        let from = machine.memory.put(&adapter.b).into();
        let to = w.offset(output * ldx + K + rank, 2);
        machine.border(
            to,
            from,
            [outputs, ranks, outputs, padded, ldx, ranks],
            scale,
        );
    }
    placed
}

fn forward(machine: &mut Machine, at: &Placed, sizes: &Sizes) {
    let &Sizes { n, ranks, tail, .. } = sizes;
    let ldx = sizes.ldx();
    let (a, h) = (at.w.offset(n * ldx, 2), at.x.offset(K, 2));
    let mut args: Vec<Arg> = [at.x, a, h, at.examples, at.positions]
        .map(Arg::from)
        .into();
    args.extend([M, K, ranks, ldx, ldx, ldx, 0, tail].map(int));
    args.extend(mask());
    let grid = [M.div_ceil(64), ranks.div_ceil(64), 1];
    machine.run(
        "lora_down",
        "lora_down_64",
        launch(grid, THREADS, 73_728),
        args,
    );
}

/// dh into the tail of dY; B's gradients, added to 0.25.
fn pass_over_dy(machine: &mut Machine, at: &Placed, sizes: &Sizes) -> Vec<Vec<f32>> {
    let &Sizes {
        n, tail, blocks, ..
    } = sizes;
    let (ldx, ldy, places) = (sizes.ldx(), sizes.ldy(), places());
    let (mut table, mut offsets): (Vec<i32>, Vec<usize>) = Default::default();
    let (mut size, mut tiles) = (0, 0);
    for p in &places {
        let row = [p.output, p.outputs, p.rank, p.padded, size, p.padded, 0, 0];
        table.extend(row.map(|n| n as i32));
        offsets.push(size);
        size += p.outputs * p.padded;
        tiles += p.outputs.div_ceil(256);
    }
    let table = machine.memory.put(&table);
    let dh_partials = machine.memory.room::<f32>(tiles * M * 64);
    let db_partials = machine.memory.room::<f32>(blocks * size);
    let (sb, h, dh) = (at.w.offset(K, 2), at.x.offset(K, 2), at.dy.offset(n, 2));
    let pointers = [at.dy, sb, h, table, dh_partials, db_partials];
    let mut args: Vec<Arg> = pointers.map(Arg::from).into();
    args.extend([M, places.len(), ROWS, ldy, ldx, ldx, size].map(int));
    machine.run(
        "lora_dy",
        "lora_dy_64",
        launch([tiles, blocks, 1], THREADS, 79_872),
        args,
    );
    let mut args: Vec<Arg> = [dh_partials, table, dh].map(Arg::from).into();
    args.extend([M, places.len(), 256, 64, ldy, tail].map(int));
    let grid = [(M * (tail / 4)).div_ceil(256), 1, 1];
    machine.run("lora_dy", "lora_dh", launch(grid, THREADS, 0), args);
    let mut gradients = Vec::new();
    for (place, from) in places.iter().zip(offsets) {
        let len = place.outputs * place.padded;
        let out = machine.memory.writable(&vec![0.25f32; len]);
        machine.reduce(
            out,
            db_partials.offset(from, 4),
            [len, blocks, size, 1],
            place.scale,
        );
        gradients.push(machine.memory.get(out));
    }
    gradients
}

fn gradient_of_a(machine: &mut Machine, at: &Placed, sizes: &Sizes) -> Vec<f32> {
    let &Sizes {
        n, ranks, blocks, ..
    } = sizes;
    let partials = machine.memory.room::<f32>(blocks * ranks * K);
    let pointers = [
        at.dy.offset(n, 2),
        at.x,
        at.examples,
        at.positions,
        partials,
    ];
    let mut args: Vec<Arg> = pointers.map(Arg::from).into();
    args.extend([M, K, ranks, ROWS, sizes.ldy(), sizes.ldx()].map(int));
    args.extend(mask());
    let grid = [K.div_ceil(256), ranks.div_ceil(64), blocks];
    machine.run("lora_da", "lora_da", launch(grid, THREADS, 43_008), args);
    let gradient = machine.memory.room::<f32>(ranks * K);
    machine.reduce(gradient, partials, [ranks * K, blocks, ranks * K, 0], 1.0);
    machine.memory.get(gradient)
}

fn preload(machine: &mut Machine, at: &Placed, sizes: &Sizes) -> Vec<bf16> {
    let &Sizes { n, ranks, .. } = sizes;
    let (ldx, ldy) = (sizes.ldx(), sizes.ldy());
    let dx = machine.memory.room::<bf16>(M * K);
    let (dh, a) = (at.dy.offset(n, 2), at.w.offset(n * ldx, 2));
    let mut args: Vec<Arg> = [dh, a, at.examples, at.positions, dx].map(Arg::from).into();
    args.extend([M, K, ranks, ldy, ldx, K].map(int));
    args.extend(mask());
    let grid = [K.div_ceil(128), M.div_ceil(64), 1];
    machine.run(
        "preload",
        "lora_preload",
        launch(grid, THREADS, 53_248),
        args,
    );
    machine.memory.get(dx)
}

fn kernels(inputs: &Inputs, mode: Mode) -> Outputs {
    let sizes = Sizes::of(&places());
    let modules = KERNELS.map(module).into();
    let mut machine = Machine {
        modules,
        mode,
        memory: Memory::new(),
    };
    let at = place(&mut machine, inputs, &sizes);
    forward(&mut machine, &at, &sizes);
    let b = pass_over_dy(&mut machine, &at, &sizes);
    let a = gradient_of_a(&mut machine, &at, &sizes);
    let dx = preload(&mut machine, &at, &sizes);
    let h = columns(&machine.memory.get(at.x), sizes.ldx(), K, sizes.ldx());
    Outputs { h, a, b, dx }
}

/// Errors relative to the size of all that is added: h and dh were rounded to bf16, sums are of f32.
fn close(got: f64, want: f64, size: f64, what: &str) {
    let error = size * (1.0 / 256.0 + (M + K + 264) as f64 / f64::from(1 << 23));
    assert!(
        (got - want).abs() <= error,
        "{what}: {got} is not {want} within {error}"
    );
}

fn inputs(chance: &mut Chance) -> Inputs {
    let n: usize = OUTPUTS.iter().sum();
    let adapter = |p: &Place, chance: &mut Chance| Adapter {
        rank: p.ranks,
        scale: p.scale,
        a: exact(chance, p.ranks * K),
        b: exact(chance, p.outputs * p.ranks),
    };
    let adapters = places().iter().map(|p| adapter(p, chance)).collect();
    Inputs {
        batch: batch(chance, M),
        x: exact(chance, M * K),
        dy: exact(chance, M * n),
        adapters,
    }
}

/// The same by `Plain`: h [M, all ranks], gradients, dx. The base weights are 0.
struct Expected {
    h: Vec<f32>,
    gradients: Vec<Pair>,
    dx: Vec<f32>,
}

impl Expected {
    fn of(inputs: &Inputs) -> Self {
        let projection = |(p, adapter): (Place, &Adapter)| Projection {
            outputs: p.outputs,
            inputs: K,
            weight: vec![0.0; p.outputs * K],
            bias: None,
            adapters: vec![Some(adapter.clone())],
        };
        let group = places().into_iter().zip(&inputs.adapters).map(projection);
        let mut group = Plain.linear(SITE, group.collect()).expect("a group");
        let (used, batch) = (&[Use::Drop(DROPOUT)], &inputs.batch);
        let (n, all) = (OUTPUTS.iter().sum::<usize>(), RANKS.iter().sum::<usize>());
        let (mut h, mut y, mut dx) = (vec![0.0; M * all], vec![0.0; M * n], vec![0.0; M * K]);
        Plain
            .forward(&group, batch, used, &inputs.x, M, &mut h, false, &mut y)
            .expect("forward");
        let to = Some(&mut dx);
        Plain
            .backward(&mut group, batch, used, &inputs.x, &h, &inputs.dy, M, to)
            .expect("backward");
        let gradients = Plain.gradients(&group, 0).expect("gradients");
        let gradients = gradients
            .into_iter()
            .map(|pair| pair.expect("one each"))
            .collect();
        Self { h, gradients, dx }
    }
}

#[test]
fn a_group_is_that_of_plain() {
    let inputs = inputs(&mut Chance::new(121));
    let result = in_all_modes(|mode| Ok(kernels(&inputs, mode)), Outputs::bits).unwrap();
    let expected = Expected::of(&inputs);
    let mut unpadded = 0;
    for (j, place) in places().iter().enumerate() {
        check_h(&inputs, &result, &expected, place, unpadded);
        check_b(&inputs, &result.b[j], &expected, j, unpadded);
        check_a(&inputs, &result, &expected.gradients[j], place);
        unpadded += place.ranks;
    }
    for (i, got) in result.dx.iter().enumerate() {
        close(
            got.to_f64(),
            f64::from(expected.dx[i]),
            bound_of_dx(&inputs, &places(), i),
            "dx",
        );
    }
}

fn check_h(inputs: &Inputs, result: &Outputs, expected: &Expected, place: &Place, unpadded: usize) {
    let (tail, all) = (result.h.len() / M, RANKS.iter().sum::<usize>());
    for t in 0..M {
        for r in 0..place.padded {
            let got = result.h[t * tail + place.rank + r].to_f64();
            if r >= place.ranks {
                assert_eq!(got, 0.0);
                continue;
            }
            let want = f64::from(expected.h[t * all + unpadded + r]);
            // its own rounding, and sums of f32 of at most 2 |x A| a column
            let x = &inputs.x[t * K..][..K];
            let sums = 2.0 * x.iter().map(|x| f64::from(x.abs())).sum::<f64>();
            close(got, want, want.abs() + 0.01 * sums, "h");
        }
    }
}

fn check_b(inputs: &Inputs, got: &[f32], expected: &Expected, j: usize, unpadded: usize) {
    let (n, all) = (OUTPUTS.iter().sum::<usize>(), RANKS.iter().sum::<usize>());
    let place = places()[j];
    for (i, &got) in got.iter().enumerate() {
        let (output, r) = (i / place.padded, i % place.padded);
        if r >= place.ranks {
            assert_eq!(got, 0.25);
            continue;
        }
        let product = |t: usize| {
            let dy = inputs.dy[t * n + place.output + output];
            f64::from(dy * expected.h[t * all + unpadded + r] * place.scale).abs()
        };
        let size = (0..M).map(product).sum::<f64>() + 0.25;
        let want = f64::from(expected.gradients[j].b[output * place.ranks + r]) + 0.25;
        close(f64::from(got), want, size, "dB");
    }
}

fn check_a(inputs: &Inputs, result: &Outputs, expected: &Pair, place: &Place) {
    for r in 0..place.padded {
        for c in 0..K {
            let got = f64::from(result.a[(place.rank + r) * K + c]);
            if r >= place.ranks {
                assert_eq!(got, 0.0);
                continue;
            }
            let want = f64::from(expected.a[r * K + c]);
            close(got, want, bound_of_da(inputs, place, r, c), "dA");
        }
    }
}

/// |dh| of a token and rank of a projection, and of how much it is a sum.
fn dh(inputs: &Inputs, place: &Place, t: usize, r: usize) -> f64 {
    if r >= place.ranks {
        return 0.0;
    }
    let n: usize = OUTPUTS.iter().sum();
    let adapter = &inputs.adapters[places()
        .iter()
        .position(|p| p.rank == place.rank)
        .unwrap_or(0)];
    let product = |j: usize| {
        let b = adapter.b[j * place.ranks + r];
        f64::from(inputs.dy[t * n + place.output + j] * b * place.scale)
    };
    (0..place.outputs).map(product).sum::<f64>().abs() + 0.01
}

fn bound_of_da(inputs: &Inputs, place: &Place, r: usize, c: usize) -> f64 {
    let product = |t: usize| dh(inputs, place, t, r) * 2.0 * f64::from(inputs.x[t * K + c]).abs();
    (0..M).map(product).sum()
}

/// Twice: dh is rounded, and then dx.
fn bound_of_dx(inputs: &Inputs, places: &[Place], i: usize) -> f64 {
    let (t, c) = (i / K, i % K);
    let one = |place: &Place, r: usize| {
        let adapter = &inputs.adapters[places
            .iter()
            .position(|p| p.rank == place.rank)
            .unwrap_or(0)];
        2.0 * dh(inputs, place, t, r) * f64::from(adapter.a[r * K + c]).abs()
    };
    let of = |p: &Place| (0..p.ranks).map(|r| one(p, r)).sum::<f64>();
    2.0 * places.iter().map(of).sum::<f64>()
}

//! Launches of the kernels.

use crate::back::{exact, most_tiles, problem::Problem, tiles};
use crate::ptx::{Arg, Counts, Fault, Memory, Mode, Module, Pointer};
use crate::support::{int, launch};
use half::bf16;

/// The file of the kernels.
pub const FILE: &str = "attend_back";

/// Threads of a block.
const THREADS: u32 = 256;

/// What all of a backward pass leaves.
pub struct Gradient {
    /// [rows, heads].
    pub delta: Vec<f32>,
    /// [rows, ld]; None: never written.
    pub dqkv: Vec<Option<bf16>>,
    /// Of delta, keys, queries.
    pub counts: Vec<Counts>,
}

impl Gradient {
    /// What is wrong with the first number that is; None: all are right, and no other column was written.
    pub fn wrong(&self, problem: &Problem) -> Option<String> {
        let shape = &problem.shape;
        let columns = shape.heads().columns();
        let deltas = self.delta.iter().zip(exact::delta(problem));
        for (i, (&got, (value, slack))) in deltas.enumerate() {
            let near = (f64::from(got) - value).abs() <= slack;
            if !near {
                return Some(format!("delta {i}: {got}, not {value} within {slack}"));
            }
        }
        let (exact, plain) = (exact::backward(problem), problem.plain());
        let numbers = self.dqkv.iter().enumerate();
        numbers
            .map(|(i, &got)| (i / shape.ld(), i % shape.ld(), got))
            .find_map(|(row, column, got)| {
                let at = row * columns + column;
                match got {
                    None if column >= columns => None,
                    Some(got) if column < columns && exact[at].admits(got, plain[at]) => None,
                    got if column >= columns => {
                        Some(format!("row {row}, column {column}: {got:?}"))
                    }
                    got => Some(format!(
                        "row {row}, column {column}: {got:?}, not {:?}, plain {}",
                        exact[at], plain[at]
                    )),
                }
            })
    }

    /// Its bits, to compare.
    pub fn bits(&self) -> (Vec<u32>, Vec<Option<u16>>) {
        let numbers = self.dqkv.iter().map(|x| x.map(bf16::to_bits));
        (
            self.delta.iter().map(|x| x.to_bits()).collect(),
            numbers.collect(),
        )
    }
}

/// Bytes of shared memory of the kernel of keys or queries.
pub fn shared(name: &str, head_dim: usize) -> u32 {
    let stages = 2 * 128 * (head_dim as u32 + 8) * 2;
    stages + if name == "keys" { 2 * 2 * 64 * 4 } else { 0 }
}

/// delta, then keys and queries, over the tiles of all documents.
pub fn backward(module: &Module, problem: &Problem, mode: Mode) -> Result<Gradient, Fault> {
    let room = most_tiles(problem.shape.rows(), problem.shape.lengths.len());
    let tiles = tiles(&problem.shape.starts(), room);
    backward_over(module, problem, &tiles, mode)
}

/// The same, over these tiles.
pub fn backward_over(
    module: &Module,
    problem: &Problem,
    tiles: &[u32],
    mode: Mode,
) -> Result<Gradient, Fault> {
    let shape = &problem.shape;
    let mut memory = Memory::new();
    let dout = memory.put(&problem.dout.numbers);
    let delta = memory.room::<f32>(shape.rows() * shape.heads);
    let dqkv = memory.room::<bf16>(shape.rows() * shape.ld());
    let mut counts = vec![launch_delta(
        module,
        problem,
        &mut memory,
        dout,
        delta,
        mode,
    )?];
    let inputs = [
        memory.put(&problem.qkv.numbers),
        dout,
        memory.put(&problem.lse),
        delta,
        memory.put(&shape.starts()),
        memory.put(tiles),
        dqkv,
    ];
    for (name, blocks) in [("keys", shape.kv_heads), ("queries", shape.heads)] {
        let launch = launch(
            [tiles.len() / 2, blocks, 1],
            THREADS,
            shared(name, shape.head_dim),
        );
        let mut arguments: Vec<Arg> = inputs.iter().map(|&at| at.into()).collect();
        let (ld, ldo) = (shape.ld(), shape.ldo());
        let numbers = [shape.heads, shape.kv_heads, ld, ldo, ld, shape.window];
        arguments.extend(numbers.map(int));
        arguments.push(shape.heads().scale.into());
        let kernel = module.kernel(&format!("attend_back_{name}_{}", shape.head_dim));
        counts.push(kernel.run(&launch, &arguments, &mut memory, mode)?);
    }
    Ok(Gradient {
        delta: memory.get(delta),
        dqkv: memory.get_raw(dqkv),
        counts,
    })
}

fn launch_delta(
    module: &Module,
    problem: &Problem,
    memory: &mut Memory,
    dout: Pointer,
    delta: Pointer,
    mode: Mode,
) -> Result<Counts, Fault> {
    let shape = &problem.shape;
    let pairs = shape.rows() * shape.heads * shape.head_dim / 8;
    let launch = launch([pairs.div_ceil(THREADS as usize), 1, 1], THREADS, 0);
    let out = memory.put(&problem.out.numbers);
    let numbers = [shape.rows(), shape.heads, shape.ldo(), shape.ldo()];
    let mut arguments: Vec<Arg> = vec![out.into(), dout.into(), delta.into()];
    arguments.extend(numbers.map(int));
    let kernel = module.kernel(&format!("attend_delta_{}", shape.head_dim));
    kernel.run(&launch, &arguments, memory, mode)
}

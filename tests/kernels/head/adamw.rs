//! AdamW over every adapter in one launch: the bits of the CPU's arithmetic, the numbers of `Plain`, and the borders.

use crate::counts::Counted;
use crate::head::tables::{CHUNK, Rule, Tensor, chunks};
use crate::ptx::{Arg, Counts, Memory, Module, Pointer};
use crate::support::{Chance, launch, module, rounding};
use campaignd::lora::{
    backend::{AdamStep, Adapter, Backend, Member, Moments, Pair, Projection, Use},
    batch::{Batch, Span},
    plain::Plain,
};
use half::bf16;

const STEP: AdamStep = AdamStep {
    step: 1,
    learning_rate: 2e-3,
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 1e-8,
    weight_decay: 0.1,
    gradient_scale: 0.7,
};

/// An adapter of a projection, all that is kept of it, and its bordered weight.
#[derive(Clone)]
struct Site {
    inputs: usize,
    outputs: usize,
    rule: usize,
    adapter: Adapter,
    gradient: Pair,
    moments: Moments,
    /// W^, [outputs + padded, inputs + padded].
    border: Vec<bf16>,
}

impl Site {
    fn new(chance: &mut Chance, outputs: usize, inputs: usize, rank: usize, rule: usize) -> Self {
        let pair = |chance: &mut Chance, size: f32| Pair {
            a: chance.numbers(rank * inputs, size),
            b: chance.numbers(outputs * rank, size),
        };
        let positive = |mut pair: Pair| {
            pair.a.iter_mut().chain(&mut pair.b).for_each(|v| *v *= *v);
            pair
        };
        let Pair { a, b } = pair(chance, 0.1);
        let gradient = pair(chance, 0.01);
        let moments = Moments {
            first: pair(chance, 0.01),
            second: positive(pair(chance, 0.01)),
        };
        let scale = 0.25 + chance.unit();
        let mut site = Self {
            inputs,
            outputs,
            rule,
            adapter: Adapter { rank, scale, a, b },
            gradient,
            moments,
            border: Vec::new(),
        };
        let ld = site.border_ld();
        site.border = vec![bf16::ZERO; (outputs + site.padded()) * ld];
        for row in site.border.chunks_exact_mut(ld).take(outputs) {
            row[..inputs].copy_from_slice(&chance.halves(inputs, 1.0));
        }
        site
    }

    fn padded(&self) -> usize {
        self.adapter.rank.next_multiple_of(16)
    }

    fn border_ld(&self) -> usize {
        self.inputs + self.padded()
    }

    /// What the border must be, given the masters.
    fn bordered(&self) -> Vec<u16> {
        let (ld, rank) = (self.border_ld(), self.adapter.rank);
        let mut border = self.border.clone();
        for (j, a) in self.adapter.a.chunks_exact(self.inputs).enumerate() {
            for (border, &a) in border[(self.outputs + j) * ld..].iter_mut().zip(a) {
                *border = bf16::from_f32(a);
            }
        }
        for (i, b) in self.adapter.b.chunks_exact(rank).enumerate() {
            for (border, &b) in border[i * ld + self.inputs..].iter_mut().zip(b) {
                *border = bf16::from_f32(self.adapter.scale * b);
            }
        }
        border.iter().map(|number| number.to_bits()).collect()
    }

    /// One step as the CPU does it, number by number.
    fn apply(&mut self, rule: &Rule, clear: bool) {
        let Moments { first, second } = &mut self.moments;
        let numbers = self.adapter.a.iter_mut().chain(&mut self.adapter.b);
        let gradient = self.gradient.a.iter_mut().chain(&mut self.gradient.b);
        let first = first.a.iter_mut().chain(&mut first.b);
        let second = second.a.iter_mut().chain(&mut second.b);
        for (((p, g), m), v) in numbers.zip(gradient).zip(first).zip(second) {
            [*p, *m, *v] = rule.apply([*p, *m, *v], *g);
            if clear {
                *g = 0.0;
            }
        }
    }
}

/// Where one A or B is.
#[derive(Clone, Copy)]
struct Places {
    master: Pointer,
    gradient: Pointer,
    first: Pointer,
    second: Pointer,
}

/// Where a site is: A, B, W^.
type Placed = (Places, Places, Pointer);

/// Rows of B's gradient as the backward pass leaves them: padded to `ld`, with what must not be touched.
fn padded(numbers: &[f32], columns: usize, ld: usize) -> Vec<f32> {
    let mut rows = vec![7.0; numbers.len() / columns * ld];
    for (to, from) in rows.chunks_exact_mut(ld).zip(numbers.chunks_exact(columns)) {
        to[..columns].copy_from_slice(from);
    }
    rows
}

fn place(memory: &mut Memory, site: &Site) -> Placed {
    let Moments { first, second } = &site.moments;
    let gradient = padded(&site.gradient.b, site.adapter.rank, site.padded());
    let a = Places {
        master: memory.writable(&site.adapter.a),
        gradient: memory.writable(&site.gradient.a),
        first: memory.writable(&first.a),
        second: memory.writable(&second.a),
    };
    let b = Places {
        master: memory.writable(&site.adapter.b),
        gradient: memory.writable(&gradient),
        first: memory.writable(&first.b),
        second: memory.writable(&second.b),
    };
    (a, b, memory.writable(&site.border))
}

/// The rows of the table for a site's A and B.
fn tensors(site: &Site, (a, b, border): &Placed) -> [Tensor; 2] {
    let of = |places: &Places, at: usize, columns, gradient_ld, scale, count| Tensor {
        master: places.master.address(),
        gradient: places.gradient.address(),
        first: places.first.address(),
        second: places.second.address(),
        border: border.address() + 2 * at as u64,
        columns,
        gradient_ld,
        border_ld: site.border_ld(),
        scale,
        rule: site.rule,
        count,
    };
    let Adapter {
        rank,
        scale,
        a: numbers_a,
        b: numbers_b,
    } = &site.adapter;
    let (inputs, below) = (site.inputs, site.outputs * site.border_ld());
    [
        of(a, below, inputs, inputs, 1.0, numbers_a.len()),
        of(b, inputs, *rank, site.padded(), *scale, numbers_b.len()),
    ]
}

/// A, B, gradients, first and second moments of a site as bits, each A then B, and W^.
type Bits = ([[Vec<u32>; 2]; 4], Vec<u16>);

fn read(memory: &Memory, (a, b, border): &Placed) -> Bits {
    let both = |of: fn(&Places) -> Pointer| [memory.get::<u32>(of(a)), memory.get::<u32>(of(b))];
    let numbers = [
        both(|p| p.master),
        both(|p| p.gradient),
        both(|p| p.first),
        both(|p| p.second),
    ];
    (numbers, memory.get::<u16>(*border))
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

/// What [`read`] must find.
fn expected(site: &Site) -> Bits {
    let both = |pair: &Pair| [bits(&pair.a), bits(&pair.b)];
    let gradient = padded(&site.gradient.b, site.adapter.rank, site.padded());
    let numbers = [
        [bits(&site.adapter.a), bits(&site.adapter.b)],
        [bits(&site.gradient.a), bits(&gradient)],
        both(&site.moments.first),
        both(&site.moments.second),
    ];
    (numbers, site.bordered())
}

/// One launch over all sites. `rules` none: the borders alone.
fn run(module: &Module, sites: &[Site], rules: Option<(&[Rule], bool)>) -> (Vec<Bits>, Counts) {
    let counts = |site: &Site| [site.adapter.a.len(), site.adapter.b.len()];
    let chunks = chunks(sites.iter().flat_map(counts));
    let name = if rules.is_some() { "adamw" } else { "borders" };
    crate::support::run(
        module.kernel(name),
        &launch([chunks.len(), 1, 1], 256, 0),
        |memory| {
            let placed: Vec<Placed> = sites.iter().map(|site| place(memory, site)).collect();
            let table = sites.iter().zip(&placed);
            let table = table.flat_map(|(site, placed)| tensors(site, placed));
            let words: Vec<u32> = table.flat_map(|tensor| tensor.words()).collect();
            let mut args = vec![
                memory.put(&words).into(),
                memory.put(chunks.as_flattened()).into(),
            ];
            if let Some((rules, _)) = rules {
                let words: Vec<f32> = rules.iter().flat_map(Rule::words).collect();
                args.push(memory.put(&words).into());
            }
            args.push((chunks.len() as i32).into());
            args.extend(rules.map(|(_, clear)| Arg::I32(clear.into())));
            (args, placed)
        },
        |memory, placed| placed.iter().map(|placed| read(memory, placed)).collect(),
    )
    .unwrap()
}

fn sites(chance: &mut Chance) -> Vec<Site> {
    vec![
        Site::new(chance, 40, 24, 8, 0),
        Site::new(chance, 1, 1, 1, 1),
        Site::new(chance, 700, 1032, 16, 2),
        Site::new(chance, 33, 520, 6, 0),
        Site::new(chance, 300, 65, 33, 1),
    ]
}

fn rules(step: u64) -> [(AdamStep, Rule); 3] {
    let with = |learning_rate, weight_decay, gradient_scale| AdamStep {
        step,
        learning_rate,
        weight_decay,
        gradient_scale,
        ..STEP
    };
    [
        with(2e-3, 0.1, 0.7),
        with(1e-4, 0.0, 1.0),
        with(0.03, 0.01, 0.001),
    ]
    .map(|step| (step, Rule::new(&step)))
}

#[test]
fn three_steps_have_the_bits_of_the_cpu() {
    let module = module("adamw");
    let mut chance = Chance::new(101);
    let mut sites = sites(&mut chance);
    for step in [1, 2, 1000] {
        let rules = rules(step).map(|(_, rule)| rule);
        for clear in [false, true] {
            let (found, counts) = run(&module, &sites, Some((&rules, clear)));
            println!("step {step}, clear {clear}: {counts:?}");
            for (site, found) in sites.iter_mut().zip(found) {
                site.apply(&rules[site.rule], clear);
                assert!(
                    found == expected(site),
                    "{} x {}",
                    site.outputs,
                    site.inputs
                );
                let gradient = &mut site.gradient;
                let numbers = gradient.a.iter_mut().chain(&mut gradient.b);
                numbers.for_each(|g| *g = chance.around(0.05));
            }
        }
    }
}

#[test]
fn borders_alone_touch_nothing_else() {
    let module = module("adamw");
    let mut chance = Chance::new(102);
    let sites = sites(&mut chance);
    let (found, _) = run(&module, &sites, None);
    for (site, found) in sites.iter().zip(found) {
        assert!(
            found == expected(site),
            "{} x {}",
            site.outputs,
            site.inputs
        );
    }
}

/// A member's numbers do not depend on who is packed beside it.
#[test]
fn alone_or_packed() {
    let module = module("adamw");
    let mut chance = Chance::new(103);
    let sites = sites(&mut chance);
    let rules = rules(3).map(|(_, rule)| rule);
    let (packed, _) = run(&module, &sites, Some((&rules, true)));
    for (site, packed) in sites.iter().zip(packed) {
        let (alone, _) = run(&module, std::slice::from_ref(site), Some((&rules, true)));
        assert!(alone[0] == packed);
    }
}

/// A number that was never learned from stays where it is, decay aside, and a rate of 0 changes no master.
#[test]
fn without_gradients_and_without_a_rate() {
    let module = module("adamw");
    let mut chance = Chance::new(104);
    let mut site = Site::new(&mut chance, 20, 30, 4, 0);
    let zeros = Pair {
        a: vec![0.0; 120],
        b: vec![0.0; 80],
    };
    let before = site.adapter.clone();
    let still = AdamStep {
        learning_rate: 0.0,
        ..STEP
    };
    let (found, _) = run(
        &module,
        &[site.clone()],
        Some((&[Rule::new(&still)], false)),
    );
    let [masters, ..] = &found[0].0;
    assert_eq!(*masters, [bits(&before.a), bits(&before.b)]);
    site.gradient = zeros.clone();
    site.moments = Moments {
        first: zeros.clone(),
        second: zeros.clone(),
    };
    let plain = AdamStep {
        weight_decay: 0.0,
        ..STEP
    };
    let (found, _) = run(&module, &[site], Some((&[Rule::new(&plain)], false)));
    let [masters, _, first, second] = &found[0].0;
    assert_eq!(*masters, [bits(&before.a), bits(&before.b)]);
    let zeros = [bits(&zeros.a), bits(&zeros.b)];
    assert_eq!([first, second], [&zeros, &zeros]);
}

/// One step of `Plain` from the same state with the same gradient, which its own way back made.
fn plain(chance: &mut Chance, site: &mut Site, step: &AdamStep) -> (Adapter, Moments) {
    let projection = Projection {
        outputs: site.outputs,
        inputs: site.inputs,
        weight: vec![0.0; site.outputs * site.inputs],
        bias: None,
        adapters: Vec::new(),
    };
    let mut group = Plain.linear(0, vec![projection]).unwrap();
    let member = Member {
        adapters: vec![Some(site.adapter.clone())],
        moments: Some(vec![Some(site.moments.clone())]),
    };
    Plain.equip(&mut group, &[member]).unwrap();
    let mut rows = |columns: usize| chance.numbers(2 * columns, 0.1);
    let (x, h, dy) = (
        rows(site.inputs),
        rows(site.adapter.rank),
        rows(site.outputs),
    );
    let own = Span {
        member: 0,
        first: 0,
        rows: 2,
    };
    let batch = Batch {
        spans: vec![own],
        ..Batch::default()
    };
    Plain
        .backward(&mut group, &batch, &[Use::On], &x, &h, &dy, 2, None)
        .unwrap();
    site.gradient = Plain.gradients(&group, 0).unwrap().remove(0).unwrap();
    Plain.adamw(&mut [&mut group], 0, step).unwrap();
    let adapter = Plain.adapters(&group, 0).unwrap().remove(0).unwrap();
    (
        adapter,
        Plain.moments(&group, 0).unwrap().remove(0).unwrap(),
    )
}

/// A number before and after one step, as `Plain` has it, and its gradient: what the kernel may differ by in p, m, v.
fn allowed(step: &AdamStep, g: f32, [p, m, v]: [f32; 3], [p2, m2, v2]: [f32; 3]) -> [f64; 3] {
    let wide = |number: f32| f64::from(number.abs());
    let g = wide(g) * step.gradient_scale;
    let m_off = rounding::F32 * (5.0 * (1.0 - step.beta1) * (wide(m) + g) + 2.0 * wide(m2));
    let v_off = rounding::F32 * 10.0 * wide(v2).max(wide(v)) + 1e-44;
    let correction = |beta: f64| 1.0 - beta.powf(step.step as f64);
    let root = (wide(v2) / correction(step.beta2)).sqrt() + step.epsilon;
    let size = step.learning_rate / correction(step.beta1) / root;
    let p_off =
        rounding::F32 * (2.0 * wide(p) + 2.0 * wide(p2) + 13.0 * size * wide(m2)) + size * m_off;
    [p_off, m_off, v_off]
}

#[test]
fn one_step_is_that_of_plain() {
    let module = module("adamw");
    let mut chance = Chance::new(105);
    for number in [1, 2, 50] {
        let mut sites = vec![
            Site::new(&mut chance, 40, 24, 8, 0),
            Site::new(&mut chance, 130, 72, 6, 1),
        ];
        let rules = rules(number);
        let befores = sites.clone();
        let mut plains = Vec::new();
        for site in &mut sites {
            plains.push(plain(&mut chance, site, &rules[site.rule].0));
        }
        let (found, _) = run(&module, &sites, Some((&rules.map(|(_, rule)| rule), false)));
        for (((site, before), (adapter, moments)), found) in
            sites.iter().zip(&befores).zip(&plains).zip(&found)
        {
            let [masters, _, first, second] = &found.0;
            let olds = [
                &before.adapter.a,
                &before.moments.first.a,
                &before.moments.second.a,
            ];
            let news = [&adapter.a, &moments.first.a, &moments.second.a];
            let owns = [&masters[0], &first[0], &second[0]];
            let step = &rules[site.rule].0;
            check(step, &site.gradient.a, olds, news, owns);
            let olds = [
                &before.adapter.b,
                &before.moments.first.b,
                &before.moments.second.b,
            ];
            let news = [&adapter.b, &moments.first.b, &moments.second.b];
            let owns = [&masters[1], &first[1], &second[1]];
            check(step, &site.gradient.b, olds, news, owns);
        }
    }
}

fn check(
    step: &AdamStep,
    gradient: &[f32],
    olds: [&Vec<f32>; 3],
    news: [&Vec<f32>; 3],
    owns: [&Vec<u32>; 3],
) {
    for (at, &g) in gradient.iter().enumerate() {
        let (old, new) = (olds.map(|of| of[at]), news.map(|of| of[at]));
        let own = owns.map(|of| f32::from_bits(of[at]));
        for ((own, new), allowed) in own.iter().zip(new).zip(allowed(step, g, old, new)) {
            let off = (f64::from(*own) - f64::from(new)).abs();
            assert!(
                off <= allowed,
                "{own} for {new}, off by {off:e}, allowed {allowed:e}"
            );
        }
    }
}

/// The rows of the table of figures.
pub fn counted() -> Vec<Counted> {
    let module = module("adamw");
    let site = Site::new(&mut Chance::new(106), 1024, 4096, 16, 0);
    let numbers = site.adapter.a.len() + site.adapter.b.len();
    let sites = [site];
    let (_, step) = run(&module, &sites, Some((&[Rule::new(&STEP)], true)));
    let (_, borders) = run(&module, &sites, None);
    let (of, tables) = ("81,920 numbers", 2 * 64 + numbers / CHUNK * 8);
    vec![
        Counted::new("adamw", of, step, 34 * numbers + tables + 32),
        Counted::new("borders", of, borders, 6 * numbers + tables),
    ]
}

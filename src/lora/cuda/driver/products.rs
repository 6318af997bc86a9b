//! Matrix products with the algorithm that was chosen for each: looked up, else tried out, then kept.
//!
//! An algorithm is tried on the very factors of the first product of its key, since a GPU's speed depends on the numbers too. A
//! product that overwrites D is tried into D, which holds the same in the end; one that adds to D needs room of D's size.
//! Beside its time, an algorithm must make the same bytes twice.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use crate::lora::backend::{Done, Trouble};

use crate::lora::cuda::driver::{
    arena::{Arena, Place},
    calls::{Called, Event},
    fault::Fault,
    gemm::{Algorithm, Library, Shape},
    plan::{Key, Plan, Plans, fastest},
    product::Allowed,
};

/// How many algorithms are tried.
const CANDIDATES: usize = 16;
/// How often each is timed; the median counts.
const RUNS: usize = 5;
/// Products between two looks at the clock, so that starting one does not count.
const REPEATS: usize = 4;
/// Bytes of D that are compared between two runs.
const COMPARED: u64 = 1 << 20;

/// Called with all plans whenever one was added.
pub type Record = Box<dyn Fn(&Plans) -> Done>;

/// Products of one stream.
pub struct Products {
    library: Library,
    plans: RefCell<Plans>,
    record: Record,
    ready: RefCell<HashMap<Key, Rc<Ready>>>,
    clock: [Event; 2],
}

struct Ready {
    shape: Shape,
    algorithm: Algorithm,
}

/// A product to try algorithms with.
pub struct Trial<'a> {
    /// It, with a D that may be overwritten.
    pub product: Allowed,
    /// For comparing.
    pub arena: &'a Arena,
}

impl Products {
    /// With the plans that are known; `record` writes down those that are made.
    pub fn new(library: Library, plans: Plans, record: Record) -> Called<Self> {
        let session = library.stream().session().clone();
        Ok(Self {
            clock: [Event::new(&session)?, Event::new(&session)?],
            library,
            plans: RefCell::new(plans),
            record,
            ready: RefCell::default(),
        })
    }

    /// Whether a product of this key can be run without choosing an algorithm.
    pub fn is_ready(&self, key: &Key) -> bool {
        self.ready.borrow().contains_key(key)
    }

    /// Makes products of this key ready with the algorithm that is written down; false where there is none, or none that the
    /// library takes.
    ///
    /// # Errors
    ///
    /// The library fails.
    pub fn adopt(&self, product: &Allowed) -> Done<bool> {
        let key = Key::of(product.gemm());
        let Some(plan) = self.plans.borrow().get(&key).copied() else {
            return Ok(false);
        };
        let shape = shape(product)?;
        let algorithm = self.library.recorded(&shape, plan.algorithm);
        Ok(algorithm
            .map(|algorithm| self.keep(key, shape, algorithm))
            .is_some())
    }

    /// Makes products of this key ready with the fastest algorithm, and writes it down. Without a trial the library's first
    /// proposal is taken.
    ///
    /// # Errors
    ///
    /// The library proposes nothing whose sums have a fixed order, or fails; the plan could not be recorded.
    pub fn choose(&self, product: &Allowed, trial: Option<&Trial>) -> Done {
        let (key, shape) = (Key::of(product.gemm()), shape(product)?);
        let found = self.library.candidates(&shape, CANDIDATES);
        let found = found.map_err(|fault| fault.trouble(&describe(product)))?;
        let best = match trial {
            Some(trial) => self.fastest(&shape, &found, trial)?,
            None => found.first().map(|first| (*first, None)),
        };
        let Some((algorithm, microseconds)) = best else {
            let what = describe(product);
            return Err(Trouble(format!(
                "cuBLASLt has no algorithm with sums of a fixed order for {what}"
            )));
        };
        let plan = Plan {
            algorithm: algorithm.words(),
            microseconds,
        };
        self.plans.borrow_mut().insert(key, plan);
        (self.record)(&self.plans.borrow())?;
        self.keep(key, shape, algorithm);
        Ok(())
    }

    fn keep(&self, key: Key, shape: Shape, algorithm: Algorithm) {
        let ready = Rc::new(Ready { shape, algorithm });
        self.ready.borrow_mut().insert(key, ready);
    }

    fn fastest(
        &self,
        shape: &Shape,
        found: &[Algorithm],
        trial: &Trial,
    ) -> Done<Option<(Algorithm, Option<f32>)>> {
        let times = found.iter().map(|one| self.times(shape, one, trial));
        let best = fastest(&times.collect::<Done<Vec<_>>>()?);
        Ok(best.map(|(best, time)| (found[best], Some(time))))
    }

    /// Microseconds of each run; none at all for an algorithm that would not run, or made other bytes the second time.
    fn times(&self, shape: &Shape, algorithm: &Algorithm, trial: &Trial) -> Done<Vec<f32>> {
        let said =
            |fault: Fault| fault.trouble(&format!("a trial of {}", describe(&trial.product)));
        let sample = trial.sample()?;
        let run = || self.library.run(shape, algorithm, &trial.product);
        let first = match self.once(&run, trial, sample) {
            // Invalid value, GPU too old, not supported: this one is none for the shape after all.
            Err(Fault::Library(7 | 8 | 15)) => return Ok(Vec::new()),
            made => made.map_err(said)?,
        };
        let times = (0..RUNS)
            .map(|_| self.timed(&run))
            .collect::<Called<Vec<f32>>>()
            .map_err(said)?;
        let last = self.once(&run, trial, sample).map_err(said)?;
        Ok(if first == last { times } else { Vec::new() })
    }

    /// Runs from a D of zeros, where D is read, and gives the first bytes of what came out.
    fn once(&self, run: &dyn Fn() -> Called, trial: &Trial, sample: Place) -> Called<Vec<u8>> {
        let stream = self.library.stream();
        if trial.product.gemm().beta != 0.0 {
            stream.zero(trial.product.result())?;
        }
        run()?;
        let mut bytes = vec![0; sample.bytes() as usize];
        stream.download(sample, &mut bytes)?;
        Ok(bytes)
    }

    fn timed(&self, run: &dyn Fn() -> Called) -> Called<f32> {
        let (stream, [begin, end]) = (self.library.stream(), &self.clock);
        stream.mark(begin)?;
        for _ in 0..REPEATS {
            run()?;
        }
        stream.mark(end)?;
        end.wait()?;
        Ok(begin.microseconds_to(end)? / REPEATS as f32)
    }

    /// Runs a product whose key is ready.
    pub fn run(&self, product: &Allowed) -> Called {
        let ready = self.ready.borrow().get(&Key::of(product.gemm())).cloned();
        // Library status 1: not initialised.
        let ready = ready.ok_or(Fault::Library(1))?;
        self.library.run(&ready.shape, &ready.algorithm, product)
    }
}

impl Trial<'_> {
    fn sample(&self) -> Done<Place> {
        let result = self.product.result();
        self.arena
            .place("a trial", result.at(), result.bytes().min(COMPARED))
    }
}

fn shape(product: &Allowed) -> Done<Shape> {
    Shape::of(product).map_err(|fault| fault.trouble(&describe(product)))
}

/// `a 8192 x 4096 x 4160 matrix product`.
pub fn describe(product: &Allowed) -> String {
    let gemm = product.gemm();
    format!("a {} x {} x {} matrix product", gemm.m, gemm.n, gemm.k)
}

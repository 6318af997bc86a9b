//! Which rows each step learns from: a function of the rows' lengths and the settings.
//!
//! Steps are counted as the Hugging Face Trainer counts them: the last batch of an epoch is kept though it may be smaller, and
//! no step takes rows of two epochs. With packing, rows are put into sequences best fit decreasing. How many sequences that
//! makes depends on the lengths alone, so every epoch has as many steps as the first, whatever its order.

use super::{
    order::{Of, order},
    settings::Settings,
    words::Loss,
};
use std::{collections::BTreeMap, sync::Mutex};

/// What packing makes of the rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Packed {
    /// Sequences of an epoch.
    pub sequences: u64,
    /// Tokens of all rows.
    pub tokens: u64,
    /// Tokens that a sequence has room for.
    pub room: u64,
}

impl Packed {
    /// Share of the room that is used, above 0 to 1.
    pub fn efficiency(&self) -> f64 {
        self.tokens as f64 / (self.sequences * self.room) as f64
    }
}

/// Rows by step and micro-batch.
#[derive(Debug)]
pub struct Plan {
    rows: u32,
    seed: u64,
    shuffle: bool,
    batch: usize,
    accumulation: u64,
    steps: u64,
    /// Micro-batches of an epoch.
    batches: u64,
    packing: Option<Packing>,
    /// The epoch that was asked for last, as sequences of rows: the next step is most likely of the same.
    epoch: Mutex<Option<(u64, Vec<Vec<u32>>)>>,
}

#[derive(Debug)]
struct Packing {
    lengths: Vec<u32>,
    packed: Packed,
}

impl Plan {
    /// The plan for rows of these lengths in tokens (of a pair: of both answers).
    ///
    /// # Errors
    /// There is no row, or no step; a pair cannot be packed.
    pub fn new(lengths: &[u32], settings: &Settings) -> Result<Self, String> {
        let rows = u32::try_from(lengths.len())
            .ok()
            .filter(|rows| *rows > 0)
            .ok_or_else(|| format!("{} rows are none to plan with", lengths.len()))?;
        let packing = settings.packing.then(|| Packing::new(lengths, settings));
        if packing.is_some() && settings.loss == Loss::Dpo {
            return Err("packing = true is for loss = \"sft\": pairs are not packed".into());
        }
        let sequences = packing
            .as_ref()
            .map_or(u64::from(rows), |packing| packing.packed.sequences);
        let batch = settings.per_device_train_batch_size.max(1);
        let mut plan = Self {
            rows,
            seed: settings.seed,
            shuffle: settings.shuffle,
            batch: batch as usize,
            accumulation: u64::from(settings.gradient_accumulation_steps.max(1)),
            steps: settings.max_steps,
            batches: sequences.div_ceil(u64::from(batch)),
            packing,
            epoch: Mutex::new(None),
        };
        if plan.steps == 0 {
            let epochs = settings.num_train_epochs;
            let steps = (epochs * plan.steps_per_epoch() as f64).ceil();
            if !(1.0..1e15).contains(&steps) {
                return Err(format!("num_train_epochs = {epochs} makes no steps"));
            }
            plan.steps = steps as u64;
        }
        Ok(plan)
    }

    /// All steps.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Steps of one epoch.
    pub fn steps_per_epoch(&self) -> u64 {
        self.batches.div_ceil(self.accumulation)
    }

    /// Epochs that are over when `steps` steps are done, as the Trainer tells them: by micro-batches.
    pub fn epoch_of(&self, steps: u64) -> f64 {
        let (epochs, step) = (
            steps / self.steps_per_epoch(),
            steps % self.steps_per_epoch(),
        );
        epochs as f64 + (step * self.accumulation) as f64 / self.batches as f64
    }

    /// The rows of a step, counted from 0: its micro-batches, in order. With packing the rows of a micro-batch are those of
    /// its sequences one after the other; each stays a document of its own.
    pub fn step(&self, step: u64) -> Vec<Vec<u32>> {
        let (epoch, step) = (step / self.steps_per_epoch(), step % self.steps_per_epoch());
        // A plan that another thread panicked with is as good as new: the epoch is made anew or whole.
        let mut known = self
            .epoch
            .lock()
            .unwrap_or_else(|broken| broken.into_inner());
        let sequences = match known.as_ref() {
            Some((of, sequences)) if *of == epoch => sequences,
            _ => &known.insert((epoch, self.sequences(epoch))).1,
        };
        sequences
            .chunks(self.batch)
            .skip((step * self.accumulation) as usize)
            .take(self.accumulation as usize)
            .map(<[_]>::concat)
            .collect()
    }

    /// What packing makes of the rows, where it is asked for.
    pub fn packed(&self) -> Option<Packed> {
        self.packing.as_ref().map(|packing| packing.packed)
    }

    /// An epoch: rows by sequence, without packing each alone.
    fn sequences(&self, epoch: u64) -> Vec<Vec<u32>> {
        let rows = order(self.seed, epoch, Of::Rows, self.rows, self.shuffle);
        let Some(packing) = &self.packing else {
            return rows.into_iter().map(|row| vec![row]).collect();
        };
        let mut sequences = packing.pack(&rows);
        let count = sequences.len() as u32;
        order(self.seed, epoch, Of::Sequences, count, self.shuffle)
            .into_iter()
            .map(|at| std::mem::take(&mut sequences[at as usize]))
            .collect()
    }
}

impl Packing {
    fn new(lengths: &[u32], settings: &Settings) -> Self {
        let longest = lengths.iter().copied().max().unwrap_or(0);
        let mut packing = Self {
            lengths: lengths.to_vec(),
            packed: Packed {
                sequences: 0,
                tokens: lengths.iter().map(|&length| u64::from(length)).sum(),
                room: u64::from(longest.max(settings.max_seq_length).max(1)),
            },
        };
        let rows: Vec<u32> = (0..lengths.len() as u32).collect();
        packing.packed.sequences = packing.pack(&rows).len() as u64;
        packing
    }

    /// Best fit decreasing: the longest row first, each into the fullest sequence that has room. `order` decides only among
    /// rows of one length, and where a row stands in its sequence; sequences come in the order of their first rows.
    fn pack(&self, order: &[u32]) -> Vec<Vec<u32>> {
        let length = |place: &u32| self.lengths[order[*place as usize] as usize];
        let mut places: Vec<u32> = (0..order.len() as u32).collect();
        places.sort_by_key(|place| std::cmp::Reverse(length(place)));
        let mut sequences: Vec<Vec<u32>> = Vec::new();
        let mut with_room: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
        for place in places {
            let needed = u64::from(length(&place));
            let fit = with_room.range_mut(needed..).next();
            let (room, at) = match fit.map(|(&room, open)| (room, open.pop(), open.is_empty())) {
                Some((room, Some(at), last)) => {
                    if last {
                        with_room.remove(&room);
                    }
                    (room, at)
                }
                _ => {
                    sequences.push(Vec::new());
                    (self.packed.room, sequences.len() - 1)
                }
            };
            sequences[at].push(place);
            with_room.entry(room - needed).or_default().push(at);
        }
        for sequence in &mut sequences {
            sequence.sort_unstable();
        }
        sequences.sort_unstable_by_key(|sequence| sequence.first().copied());
        let rows = |sequence: Vec<u32>| sequence.iter().map(|at| order[*at as usize]).collect();
        sequences.into_iter().map(rows).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn settings(batch: u32, accumulation: u32, epochs: f64) -> Settings {
        Settings {
            per_device_train_batch_size: batch,
            gradient_accumulation_steps: accumulation,
            num_train_epochs: epochs,
            max_seq_length: 64,
            ..Settings::default()
        }
    }

    fn plan(rows: usize, settings: &Settings) -> Plan {
        Plan::new(&vec![10; rows], settings).unwrap()
    }

    #[test]
    fn steps_are_counted_as_the_trainer_counts_them() {
        // (rows, batch, accumulation, epochs): steps of an epoch, steps. The Trainer's arithmetic:
        // ceil(ceil(rows / batch) / accumulation), ceil(epochs * that).
        let cases = [
            ((10, 2, 1, 3.0), (5, 15)),
            ((11, 2, 1, 3.0), (6, 18)),
            ((11, 2, 4, 3.0), (2, 6)),
            ((3, 8, 4, 2.0), (1, 2)),
            ((10, 2, 2, 0.5), (3, 2)),
            ((100, 8, 1, 1.25), (13, 17)),
        ];
        for ((rows, batch, accumulation, epochs), expected) in cases {
            let plan = plan(rows, &settings(batch, accumulation, epochs));
            assert_eq!(
                (plan.steps_per_epoch(), plan.steps()),
                expected,
                "{rows} rows"
            );
        }
        let some = Settings {
            max_steps: 7,
            ..settings(2, 1, 3.0)
        };
        assert_eq!(plan(10, &some).steps(), 7);
    }

    #[test]
    fn an_epoch_ends_with_what_is_left_and_the_next_begins_anew() {
        let plan = plan(
            11,
            &Settings {
                shuffle: false,
                ..settings(2, 2, 2.0)
            },
        );
        let steps: Vec<_> = (0..plan.steps()).map(|step| plan.step(step)).collect();
        assert_eq!(steps[0], [[0, 1], [2, 3]]);
        assert_eq!(steps[2], [vec![8, 9], vec![10]]);
        assert_eq!(steps[3], [[0, 1], [2, 3]]);
        let epochs: Vec<f64> = (0..=4).map(|done| plan.epoch_of(done)).collect();
        assert_eq!(epochs, [0.0, 2.0 / 6.0, 4.0 / 6.0, 1.0, 1.0 + 2.0 / 6.0]);
    }

    #[test]
    fn every_epoch_has_an_order_of_its_own() {
        for packing in [false, true] {
            let settings = Settings {
                packing,
                ..settings(1, 1, 3.0)
            };
            let plan = plan(60, &settings);
            let epochs = [0, 1, 2].map(|epoch| plan.sequences(epoch));
            assert!(epochs[0] != epochs[1] && epochs[1] != epochs[2] && epochs[0] != epochs[2]);
            let as_they_are = Settings {
                shuffle: false,
                ..settings
            };
            let plan = Plan::new(&[10; 60], &as_they_are).unwrap();
            assert!(plan.sequences(0) == plan.sequences(1) && plan.sequences(0) != epochs[0]);
        }
    }

    #[test]
    fn what_makes_no_steps_is_refused() {
        assert!(
            Plan::new(&[], &settings(2, 1, 1.0))
                .unwrap_err()
                .contains("0 rows")
        );
        for epochs in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = Plan::new(&[3], &settings(2, 1, epochs)).unwrap_err();
            assert!(error.contains("num_train_epochs"), "{error}");
        }
        let dpo = Settings {
            loss: Loss::Dpo,
            packing: true,
            ..settings(2, 1, 1.0)
        };
        assert!(Plan::new(&[3], &dpo).unwrap_err().contains("packing"));
    }

    #[test]
    fn rows_are_packed_best_fit_decreasing() {
        let settings = Settings {
            packing: true,
            shuffle: false,
            max_seq_length: 10,
            ..settings(2, 1, 1.0)
        };
        let plan = Plan::new(&[3, 7, 6, 4, 5], &settings).unwrap();
        // 7+3, 6+4, 5; a micro-batch has two sequences.
        assert_eq!(plan.step(0), [[0, 1, 2, 3]]);
        assert_eq!(plan.step(1), [[4]]);
        let packed = plan.packed().unwrap();
        assert_eq!((packed.sequences, packed.tokens, packed.room), (3, 25, 10));
        assert_eq!(packed.efficiency(), 25.0 / 30.0);
    }

    proptest! {
        #[test]
        fn each_row_is_learned_from_once_an_epoch(
            lengths in prop::collection::vec(1_u32..80, 1..120),
            (batch, accumulation, seed) in (1_u32..6, 1_u32..5, any::<u64>()),
            (packing, shuffle) in any::<(bool, bool)>(),
        ) {
            let settings = Settings { seed, packing, shuffle, ..settings(batch, accumulation, 2.0) };
            let plan = Plan::new(&lengths, &settings).unwrap();
            for epoch in 0..2 {
                let first = epoch * plan.steps_per_epoch();
                let steps: Vec<_> = (first..first + plan.steps_per_epoch()).map(|step| plan.step(step)).collect();
                prop_assert!(steps.iter().all(|step| !step.is_empty() && step.len() <= accumulation as usize));
                let mut rows: Vec<u32> = steps.concat().concat();
                rows.sort_unstable();
                prop_assert!(rows.into_iter().eq(0..lengths.len() as u32));
            }
        }

        #[test]
        fn no_sequence_overflows_and_every_epoch_has_as_many(
            lengths in prop::collection::vec(1_u32..70, 1..200), seed: u64,
        ) {
            let settings = Settings { seed, packing: true, ..settings(1, 1, 3.0) };
            let plan = Plan::new(&lengths, &settings).unwrap();
            let packed = plan.packed().unwrap();
            for epoch in 0..3 {
                let sequences = plan.sequences(epoch);
                prop_assert_eq!(sequences.len() as u64, packed.sequences);
                for sequence in sequences {
                    let tokens: u64 = sequence.iter().map(|row| u64::from(lengths[*row as usize])).sum();
                    prop_assert!(tokens <= packed.room);
                }
            }
        }

        #[test]
        fn a_step_is_the_same_whenever_it_is_asked_for(seed: u64, asked in prop::collection::vec(0_u64..12, 1..30), packing: bool) {
            let settings = Settings { seed, packing, ..settings(3, 2, 6.0) };
            let lengths: Vec<u32> = (1..20).collect();
            let known = Plan::new(&lengths, &settings).unwrap();
            for step in asked {
                let anew = Plan::new(&lengths, &settings).unwrap();
                prop_assert_eq!(known.step(step), anew.step(step));
            }
        }
    }
}

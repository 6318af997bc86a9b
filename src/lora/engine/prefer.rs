//! Direct preference optimisation (Rafailov et al. 2023): the reference is the same model without its adapters.

use super::{
    super::{
        backend::{Backend, Done, Trouble, Use},
        batch::Batch,
    },
    Engine, Pass,
};

/// One pair, looked at. Log-probabilities are in nats, summed over an answer's tokens; a reward is
/// beta * (policy - reference).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preference {
    /// -log sigmoid(reward of the chosen - reward of the rejected).
    pub loss: f64,
    /// Of the chosen answer, with adapters.
    pub chosen: f64,
    /// Of the rejected one, with adapters.
    pub rejected: f64,
    /// Of the chosen one, without.
    pub reference_chosen: f64,
    /// Of the rejected one, without.
    pub reference_rejected: f64,
}

/// How a pair is learned from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stake {
    /// DPO's temperature.
    pub beta: f64,
    /// What its loss is multiplied by.
    pub weight: f64,
}

impl Stake {
    /// Nothing is learned.
    pub const NONE: Self = Self {
        beta: 1.0,
        weight: 0.0,
    };

    /// The same for every pair of a batch.
    pub fn each(self, pairs: &Batch) -> Vec<Self> {
        vec![self; pairs.documents() / 2]
    }
}

impl Preference {
    fn new(beta: f64, policy: [f64; 2], reference: [f64; 2]) -> Self {
        let margin = beta * ((policy[0] - policy[1]) - (reference[0] - reference[1]));
        Self {
            // log(1 + exp(-margin)), without overflow; a NaN stays one.
            loss: (-margin).max(0.0) + (-margin.abs()).exp().ln_1p(),
            chosen: policy[0],
            rejected: policy[1],
            reference_chosen: reference[0],
            reference_rejected: reference[1],
        }
    }

    /// -d loss / d chosen, and d loss / d rejected.
    fn slope(&self, beta: f64) -> f64 {
        let policy = self.chosen - self.rejected;
        let margin = beta * (policy - (self.reference_chosen - self.reference_rejected));
        beta / (1.0 + margin.exp())
    }
}

/// Which document each supervised row is of.
fn owners(batch: &Batch) -> Vec<usize> {
    let of = |row: &u32| batch.starts.partition_point(|start| start <= row) - 1;
    batch.supervised.iter().map(of).collect()
}

/// log p of each document, two by two.
fn sums(batch: &Batch, losses: &[f32]) -> Vec<[f64; 2]> {
    let mut sums = vec![[0.0; 2]; batch.documents() / 2];
    for (document, &loss) in owners(batch).into_iter().zip(losses) {
        sums[document / 2][document % 2] -= f64::from(loss);
    }
    sums
}

impl<B: Backend> Engine<B> {
    /// Learns from pairs: documents are chosen, rejected, chosen, ... Adds the gradient of their losses times their weights to
    /// those of the members whose rows they are; a step's weight is 1 / all its pairs. `used` says by member how it takes part.
    ///
    /// # Errors
    /// An odd number of documents, or not as many stakes as pairs; those of [`learn`](Self::learn).
    pub fn prefer(
        &mut self,
        pairs: &Batch,
        stakes: &[Stake],
        used: &[Use],
    ) -> Done<Vec<Preference>> {
        let reference = self.reference(pairs)?;
        let pass = self.pass(pairs, used)?;
        self.forward(&pass, true)?;
        let found = self.compare(&pass, pairs, stakes, &reference)?;
        let slope = |(pair, stake): (&Preference, &Stake)| stake.weight * pair.slope(stake.beta);
        let slopes: Vec<f64> = found.iter().zip(stakes).map(slope).collect();
        let weigh = |document: usize| match document % 2 {
            0 => slopes[document / 2] as f32,
            _ => -slopes[document / 2] as f32,
        };
        let weights: Vec<f32> = owners(pairs).into_iter().map(weigh).collect();
        self.head(&pass, Some(&weights))?;
        self.backward(&pass)?;
        Ok(found)
    }

    /// The same pairs, only looked at, all with one beta.
    ///
    /// # Errors
    /// Those of [`prefer`](Self::prefer).
    pub fn preferences(&mut self, pairs: &Batch, beta: f64) -> Done<Vec<Preference>> {
        let reference = self.reference(pairs)?;
        let pass = self.pass(pairs, &self.all(Use::On))?;
        self.forward(&pass, false)?;
        let stakes = Stake { beta, weight: 1.0 }.each(pairs);
        self.compare(&pass, pairs, &stakes, &reference)
    }

    /// What the base model gives the answers.
    fn reference(&mut self, pairs: &Batch) -> Done<Vec<[f64; 2]>> {
        if !pairs.documents().is_multiple_of(2) {
            let documents = pairs.documents();
            return Err(Trouble(format!("{documents} documents are no pairs")));
        }
        let losses = self.losses(pairs, Use::Off)?;
        Ok(sums(pairs, &losses))
    }

    fn compare(
        &mut self,
        pass: &Pass<B>,
        pairs: &Batch,
        stakes: &[Stake],
        reference: &[[f64; 2]],
    ) -> Done<Vec<Preference>> {
        if stakes.len() != reference.len() {
            let (given, of) = (stakes.len(), reference.len());
            return Err(Trouble(format!("{of} pairs are given {given} stakes")));
        }
        let losses = self.head(pass, None)?;
        let all = sums(pairs, &losses).into_iter().zip(reference).zip(stakes);
        Ok(all
            .map(|((policy, &reference), stake)| Preference::new(stake.beta, policy, reference))
            .collect())
    }
}

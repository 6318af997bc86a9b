//! A look at the holdout: the mean loss of its learned tokens, or of its pairs.

use super::prepare::Prepared;
use crate::{
    lora::{
        backend::{Backend, Use},
        engine::Engine,
        pack::{Layout, Packed, pack},
        tokens::batch,
    },
    training::{metrics::Rewards, settings::Settings, words::Loss},
    worker::Undone,
};

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Seen {
    /// Mean loss in nats.
    pub loss: f64,
    /// With DPO, the share of pairs that are right.
    pub accuracy: Option<f64>,
}

/// Looks at all rows of the holdout with a member's adapters, in their order; none where there is none.
///
/// # Errors
/// Those of the machine.
pub fn look<B: Backend>(
    engine: &mut Engine<B>,
    member: usize,
    prepared: &Prepared,
    layout: &Layout,
    settings: &Settings,
) -> Result<Option<Seen>, Undone> {
    if prepared.looked.rows.is_empty() {
        return Ok(None);
    }
    let (mut sum, mut count, mut rewards) = (0.0, 0_u64, Rewards::default());
    let size = settings.per_device_train_batch_size.max(1) as usize;
    let numbers: Vec<u32> = (0..prepared.looked.rows.len() as u32).collect();
    for some in numbers.chunks(size) {
        let own = batch(&prepared.looked.rows, some);
        let Packed {
            batch, documents, ..
        } = pack(&[(member, &own)], layout);
        match settings.loss {
            Loss::Sft => {
                let losses = engine.losses(&batch, Use::On)?;
                count += losses.len() as u64;
                sum += losses.iter().map(|loss| f64::from(*loss)).sum::<f64>();
            }
            Loss::Dpo => {
                let pairs = documents[0].start / 2..documents[0].end / 2;
                for pair in &engine.preferences(&batch, settings.beta)?[pairs] {
                    count += 1;
                    sum += pair.loss;
                    rewards.add(
                        settings.beta * (pair.chosen - pair.reference_chosen),
                        settings.beta * (pair.rejected - pair.reference_rejected),
                    );
                }
            }
        }
    }
    if count == 0 {
        return Err("the holdout has no token to learn".to_string().into());
    }
    Ok(Some(Seen {
        loss: sum / count as f64,
        accuracy: rewards.accuracy(),
    }))
}

//! The Validator: reads the pilot's samples and has the gate judge them.

use super::{Perform, Surroundings, now, performer};
use crate::{
    evaluation::{Evidence, EvidenceSource, judge},
    machines::{effect::Effect, event::Event, job::Phase, spec::EvidenceKind},
};

performer! {
    /// The actor.
    Validator, perform
}

async fn perform(here: Surroundings, perform: Perform) {
    let Effect::JudgePilot { look } = perform.effect else {
        return;
    };
    let effect = perform.id.clone();
    let id = perform.id.campaign.clone();
    let read = {
        let here = here.clone();
        tokio::task::spawn_blocking(move || evidence(&here, &perform)).await
    };
    let event = match read {
        Ok(Ok((evidence, criteria))) => Event::PilotJudged {
            effect,
            verdict: judge(&evidence, &criteria, look),
        },
        Ok(Err(text)) => Event::EffectFailed { effect, text },
        Err(panicked) => Event::EffectFailed {
            effect,
            text: format!("reading the pilot failed: {panicked}"),
        },
    };
    here.report(&id, event);
}

/// What the pilot shows: the samples on disk, or the generator's log where the campaign says so.
fn evidence(
    here: &Surroundings,
    perform: &Perform,
) -> Result<(Evidence, crate::evaluation::Criteria), String> {
    let campaign = &perform.tree.campaign;
    let file = here
        .state
        .campaign(&campaign.id)
        .shard(Phase::Pilot.name(), 0);
    here.seen
        .look(&campaign.id, Phase::Pilot, 0, &file, now())
        .map_err(|error| {
            format!(
                "the pilot's samples cannot be read: {}: {error}",
                file.display()
            )
        })?;
    let tally = here.seen.tally(&campaign.id, Phase::Pilot);
    let from_log = campaign.spec.generator.evidence == EvidenceKind::Log;
    let criteria = campaign.spec.criteria.clone();
    let evidence = Evidence {
        scores: if from_log { Vec::new() } else { tally.scores() },
        asked: criteria.asked_at(campaign.look),
        distinct: tally.distinct(),
        invalid: tally.invalid(),
        duplicates: tally.duplicates(),
        source: if from_log {
            EvidenceSource::Log
        } else {
            EvidenceSource::Samples
        },
        logged_quality: if from_log {
            here.seen.logged_quality(&campaign.id, Phase::Pilot)
        } else {
            None
        },
    };
    Ok((evidence, criteria))
}

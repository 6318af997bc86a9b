//! The Validator: reads the pilot's samples and has the gate judge them.

use super::{Perform, Surroundings, now, patience::patiently, performer};
use crate::{
    artifacts::{is_starved, named},
    evaluation::{Criteria, Evidence, EvidenceSource, judge},
    machines::{effect::Effect, event::Event, job::Phase, spec::EvidenceKind},
};
use std::io;

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
    let read = patiently(&here, &effect, is_starved, || read(&here, &perform)).await;
    let event = match read {
        Ok(None) => return,
        Ok(Some((evidence, criteria))) => Event::PilotJudged {
            effect,
            verdict: judge(&evidence, &criteria, look),
        },
        Err(error) => Event::EffectFailed {
            effect,
            text: format!("the pilot's samples cannot be read: {error}"),
        },
    };
    here.report(&id, event);
}

async fn read(here: &Surroundings, perform: &Perform) -> io::Result<(Evidence, Criteria)> {
    let (here, perform) = (here.clone(), perform.clone());
    let read = tokio::task::spawn_blocking(move || evidence(&here, &perform));
    read.await
        .unwrap_or_else(|panicked| Err(io::Error::other(panicked)))
}

/// What the pilot shows: the samples on disk, or the generator's log where the campaign says so.
fn evidence(here: &Surroundings, perform: &Perform) -> io::Result<(Evidence, Criteria)> {
    let campaign = &perform.tree.campaign;
    let file = here
        .state
        .campaign(&campaign.id)
        .shard(Phase::Pilot.name(), 0);
    here.seen
        .look(&campaign.id, Phase::Pilot, 0, &file, now())
        .map_err(|error| named(error, "read", &file))?;
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

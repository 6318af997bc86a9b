//! What to do about a diagnosed error.

use serde::{Deserialize, Serialize};

use super::catalogue::{Remedy, When, entry};
use super::diagnosis::Diagnosis;
use super::slots::{Situation, Slots};

/// A change that should help; the field names are those of the error-recovery data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resolution {
    /// Name of the action, such as `increase_memory`.
    pub action: String,
    /// The value that is new, such as `48 GB`.
    pub new_value: Option<String>,
    /// Lines for `nextflow.config`; none where code or data change.
    pub config_change: Option<String>,
}

/// What helps against an error in a situation. A kind that the catalogue does not know is for a person to look at.
pub fn resolve(diagnosis: &Diagnosis, situation: &Situation) -> Resolution {
    let remedies = entry(&diagnosis.kind).map_or(&[][..], |entry| &entry.resolutions);
    let fits = |remedy: &&Remedy| {
        let when = remedy.when.as_ref();
        when.is_none_or(|when| holds(when, diagnosis, situation))
    };
    let slots = Slots::of(situation).and_diagnosis(diagnosis);
    match remedies.iter().find(fits) {
        Some(remedy) => filled(remedy, &slots),
        None => Resolution {
            action: "inspect_task".into(),
            new_value: None,
            config_change: None,
        },
    }
}

fn holds(when: &When, diagnosis: &Diagnosis, situation: &Situation) -> bool {
    let also = |kind: &String| diagnosis.also.contains(kind);
    let says = |words: &String| diagnosis.message.contains(words.as_str());
    when.also.as_ref().is_none_or(also)
        && when.message.as_ref().is_none_or(says)
        && (!when.at_memory_limit || situation.more_memory_gb() <= situation.memory_gb)
        && (!when.at_time_limit || situation.more_time_h() <= situation.time_h)
}

/// A remedy with its slots filled.
pub(super) fn filled(remedy: &Remedy, slots: &Slots) -> Resolution {
    Resolution {
        action: remedy.action.clone(),
        new_value: slots.fill_known(&remedy.new_value),
        config_change: slots.fill_known(&remedy.config_change),
    }
}

//! The names of things: campaigns, effects, journal entries.
//!
//! A campaign's id is its name, and an effect's id is that name and a number, so one word leads from the file a person
//! wrote through the journal and the screen to the scheduler's queue.

use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The longest campaign name: it must fit, with a number and a store id, into a SLURM job name and a file name.
pub const MAX_NAME: usize = 64;

/// A campaign's name: 1 to [`MAX_NAME`] ASCII letters, digits, `-` or `_`, beginning with a letter or digit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CampaignId(String);

impl CampaignId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The effect of this campaign with the given number.
    pub fn effect(&self, number: u64) -> EffectId {
        EffectId {
            campaign: self.clone(),
            number,
        }
    }
}

impl FromStr for CampaignId {
    type Err = String;

    /// Errors with a sentence that says what a name may be.
    fn from_str(text: &str) -> Result<Self, String> {
        let word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if text.is_empty() || text.len() > MAX_NAME || !text.chars().all(word) {
            return Err(format!(
                "a campaign name has 1 to {MAX_NAME} letters, digits, - and _"
            ));
        }
        if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err("a campaign name begins with a letter or a digit".into());
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for CampaignId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<CampaignId> for String {
    fn from(id: CampaignId) -> Self {
        id.0
    }
}

impl fmt::Display for CampaignId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// One effect of a campaign, `alttp-12`. A job bears the id of the effect that launches it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EffectId {
    /// Whose effect it is.
    pub campaign: CampaignId,
    /// Counts the campaign's effects from 1; never used twice.
    pub number: u64,
}

impl EffectId {
    /// The name a scheduler knows the job by. It holds the store's random id, so that two stores never meet in one queue.
    pub fn scheduler_name(&self, store_id: &str) -> String {
        format!("{self}.{store_id}")
    }
}

impl FromStr for EffectId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is no job id: NAME-NUMBER");
        let (campaign, number) = text.rsplit_once('-').ok_or_else(wrong)?;
        let id = Self {
            campaign: campaign.parse()?,
            number: number.parse().map_err(|_| wrong())?,
        };
        // `x-07` and `x-+7` would be further keys of the same job.
        if id.to_string() != text {
            return Err(wrong());
        }
        Ok(id)
    }
}

impl TryFrom<String> for EffectId {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<EffectId> for String {
    fn from(id: EffectId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for EffectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.campaign, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain_words() {
        for good in ["alttp", "a", "9lives", "rnaseq-lora_2"] {
            assert_eq!(good.parse::<CampaignId>().unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a b", "../x", "a/b", "é", &"a".repeat(65)] {
            assert!(bad.parse::<CampaignId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn effect_ids_read_back_even_when_the_name_has_dashes() {
        let id: EffectId = "rnaseq-lora-30".parse().unwrap();
        assert_eq!((id.campaign.as_str(), id.number), ("rnaseq-lora", 30));
        assert_eq!(id.to_string(), "rnaseq-lora-30");
        assert!("x-".parse::<EffectId>().is_err());
        assert!("7".parse::<EffectId>().is_err());
    }
}

//! Every path of a state directory and of a campaign, known before anything runs. Builds paths, opens none.

mod run;

pub use run::{
    FirstStage, LaterStage, MixedData, RUN_MANIFEST, RunManifest, RunMetadata, StageFiles,
};

use crate::ids::{CampaignId, EffectId};
use std::path::{Path, PathBuf};

/// The state directory: what one daemon owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateDir {
    root: PathBuf,
}

impl StateDir {
    /// The state directory at `root`, which should be absolute: jobs run in other working directories.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The control socket, unless a setting puts it elsewhere.
    pub fn socket(&self) -> PathBuf {
        self.root.join("control.sock")
    }

    /// The daemon's PID file; information for people, never the lock.
    pub fn pid_file(&self) -> PathBuf {
        self.root.join("campaignd.pid")
    }

    /// The daemon's own log, when it has neither a terminal nor a journal.
    pub fn log_file(&self) -> PathBuf {
        self.root.join("campaignd.log")
    }

    /// All job directories.
    pub fn jobs(&self) -> PathBuf {
        self.root.join("jobs")
    }

    /// The job directory of one attempt.
    pub fn job(&self, id: &EffectId) -> PathBuf {
        self.jobs().join(id.to_string())
    }

    /// `training_history.json`, over all campaigns of this daemon.
    pub fn training_history(&self) -> PathBuf {
        self.root.join("training_history.json")
    }

    /// Files of campaigns that have no record any more: each in a directory of its own.
    pub fn left(&self) -> PathBuf {
        self.root.join("left")
    }

    /// The paths of one campaign.
    pub fn campaign(&self, id: &CampaignId) -> CampaignManifest {
        CampaignManifest {
            root: self.root.join("campaigns").join(id.as_str()),
        }
    }
}

/// The paths of one campaign: its file, samples, data set, training runs and mirror.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignManifest {
    root: PathBuf,
}

impl CampaignManifest {
    /// The campaign's directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The campaign file as it was resolved and frozen.
    pub fn campaign_file(&self) -> PathBuf {
        self.root.join("campaign.toml")
    }

    /// The shards of a phase.
    pub fn data(&self, phase: &str) -> PathBuf {
        self.root.join("data").join(phase)
    }

    /// The samples that one shard of a phase appends to.
    pub fn shard(&self, phase: &str, shard: u32) -> PathBuf {
        self.data(phase).join(format!("shard-{shard}.jsonl"))
    }

    /// What people say of the samples, a line each time.
    pub fn feedback(&self) -> PathBuf {
        self.root.join("feedback.jsonl")
    }

    /// What one shard of a phase learned; exists only when the shard is complete.
    pub fn experience(&self, phase: &str, shard: u32) -> PathBuf {
        self.root
            .join("data")
            .join(phase)
            .join(format!("experience-{shard}.json"))
    }

    /// What one shard of a phase asked of models, the answers, and what they cost.
    pub fn ledger(&self, phase: &str, shard: u32) -> PathBuf {
        self.root
            .join("data")
            .join(phase)
            .join(format!("ledger-{shard}.jsonl"))
    }

    /// What one shard of the execution comes to; exists only when all its workflows have run.
    pub fn execution_summary(&self, shard: u32) -> PathBuf {
        self.data("execute").join(format!("summary-{shard}.json"))
    }

    /// The directories in which workflows are run, each named by its trajectory's id.
    pub fn executions(&self) -> PathBuf {
        self.root.join("executions")
    }

    /// The curated data set; exists only when complete.
    pub fn dataset(&self) -> PathBuf {
        self.root.join("dataset")
    }

    /// All training runs.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// What one training run of a campaign that plans was configured to: `config.yaml` and `config.json`.
    pub fn experiment(&self, run: &str) -> PathBuf {
        self.root.join("experiments").join(run)
    }

    /// The directory of one evaluation; exists only when complete.
    pub fn evaluation(&self, name: &str) -> PathBuf {
        self.root.join("evaluation").join(name)
    }

    /// The model that is made on the spot for one training run: an input of the run, and so beside it.
    pub fn base_model(&self, run: &str) -> PathBuf {
        self.root.join("base").join(run)
    }

    /// The directory of one training run.
    pub fn run(&self, run: &str) -> PathBuf {
        self.runs().join(run)
    }

    /// The status files and logs for other programs; written by rename, never read back.
    pub fn mirror(&self) -> PathBuf {
        self.root.join("mirror")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_lies_inside_the_state_directory() {
        let state = StateDir::new("/s");
        let id: CampaignId = "alttp".parse().unwrap();
        let campaign = state.campaign(&id);
        let all = [
            state.socket(),
            state.job(&id.effect(3)),
            campaign.shard("pilot", 0),
            campaign.dataset(),
            campaign.feedback(),
            campaign.mirror(),
        ];
        assert!(all.iter().all(|path| path.starts_with("/s")), "{all:?}");
        assert_eq!(all[1], Path::new("/s/jobs/alttp-3"));
        assert_eq!(
            all[2],
            Path::new("/s/campaigns/alttp/data/pilot/shard-0.jsonl")
        );
    }
}

//! The daemon's settings.

use super::{keys, layers::Layers, problem::Problem, slurm};
use crate::machines::{
    admission::Limits,
    spec::{RetryTimes, SlurmSpec},
};
use std::{path::Path, time::Duration};

/// `campaignd.toml`, over the defaults.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The state directory; empty: the user's.
    pub state_dir: String,
    /// The control socket; empty: in the state directory.
    pub socket: String,
    /// The group whose members may change things; empty: none.
    pub socket_group: String,
    /// Who may read over the socket beside them.
    pub socket_readers: String,
    /// The pilot is looked at this often at the latest.
    pub pilot_interval: Duration,
    /// Everything else is looked at this often at the latest.
    pub campaign_interval: Duration,
    /// A job without progress for this long is flagged.
    pub silent_after: Duration,
    /// Limits over all campaigns.
    pub limits: Limits,
    /// How often jobs are started again.
    pub retry: RetryTimes,
    /// What the site's jobs ask of SLURM where a campaign leaves it open.
    pub slurm: SlurmSpec,
    /// One squeue for all jobs.
    pub poll_interval: Duration,
    /// Calls of SLURM's programs at once.
    pub calls_burst: u32,
    /// Calls that come back in a minute.
    pub calls_per_minute: u32,
}

impl Settings {
    /// Reads a file over the defaults.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn load(file: Option<&Path>) -> Result<Settings, Vec<Problem>> {
        let mut layers = Layers::new(keys::DAEMON);
        if let Some(file) = file {
            layers.file(file, &[]);
        }
        let here = file.and_then(Path::parent).map(Path::to_path_buf);
        let here = std::path::absolute(here.unwrap_or_default()).unwrap_or_default();
        let settings = Self::of(&mut layers, &here);
        if layers.problems.is_empty() {
            Ok(settings)
        } else {
            Err(layers.problems)
        }
    }

    fn of(layers: &mut Layers, here: &Path) -> Settings {
        let mut site = slurm::resources(layers, "", here);
        for problem in site.problems() {
            layers.complain("slurm.extra", problem, None);
        }
        let grow = layers.number("retry.grow");
        if grow <= 1.0 {
            let right = Some("more than 1".into());
            layers.complain("retry.grow", "retry.grow does not grow".into(), right);
        }
        site.grow_percent = ((grow - 1.0) * 100.0).clamp(1.0, 900.0).round() as u32;
        let small = |name: &str| u32::try_from(layers.whole(name)).unwrap_or(u32::MAX);
        let time = |name: &str| layers.duration(name).unwrap_or(Duration::from_secs(60));
        Settings {
            state_dir: layers.string("state_dir"),
            socket: layers.string("socket"),
            socket_group: layers.string("socket_group"),
            socket_readers: layers.string("socket_readers"),
            pilot_interval: time("check_interval.pilot"),
            campaign_interval: time("check_interval.campaign"),
            silent_after: time("silent_after"),
            limits: Limits {
                max_concurrent_jobs: small("limits.max_concurrent_jobs"),
                max_training_jobs: small("limits.max_training_jobs"),
                max_jobs_per_hour: small("limits.max_jobs_per_hour"),
                max_array_size: small("slurm.max_array_size"),
                local_slots: u32::MAX,
                local_training: u32::MAX,
            },
            retry: RetryTimes {
                transient: small("retry.times.transient"),
                lost: small("retry.times.lost"),
            },
            slurm: site,
            poll_interval: time("slurm.poll_interval"),
            calls_burst: small("slurm.calls.burst"),
            calls_per_minute: small("slurm.calls.per_minute"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_a_site_with_slurm_says_what_the_specification_says() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/slurm.toml");
        let settings = Settings::load(Some(&path)).unwrap();
        let slurm = &settings.slurm;
        assert_eq!(
            (slurm.partition.as_str(), slurm.account.as_str()),
            ("main", "biopipelines")
        );
        assert_eq!(
            (slurm.time_seconds, slurm.mem_mib),
            (Some(14_400), Some(32_768))
        );
        assert_eq!(slurm.work_base_dir, "/scratch/biopipelines/training");
        assert!(slurm.log_dir.ends_with("logs/training_runs"));
        assert_eq!(slurm.grow_percent, 50);
        let limits = settings.limits;
        assert_eq!(
            (limits.max_concurrent_jobs, limits.max_jobs_per_hour),
            (50, 100)
        );
        assert_eq!((settings.calls_burst, settings.calls_per_minute), (40, 4));
        let built_in = Settings::load(None).unwrap();
        assert_eq!(
            built_in.slurm.account, "",
            "no site's account is ours to say"
        );
        assert_eq!((built_in.calls_burst, built_in.calls_per_minute), (40, 4));
        assert_eq!(built_in.limits.max_array_size, 1000);
    }

    #[test]
    fn the_shipped_file_is_the_defaults_and_names_every_key() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/campaignd.toml");
        assert_eq!(
            Settings::load(Some(&path)).unwrap(),
            Settings::load(None).unwrap()
        );
        let mut layers = Layers::new(keys::DAEMON);
        layers.file(&path, &[]);
        for (key, set) in layers.all() {
            assert_ne!(
                set.from, "default",
                "{} is not in the shipped file",
                key.name
            );
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for key in keys::DAEMON {
            assert!(
                text.contains(key.sentence),
                "the sentence of {} is not there: {}",
                key.name,
                key.sentence
            );
        }
    }
}

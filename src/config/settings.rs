//! The daemon's settings.

use super::{keys, layers::Layers, problem::Problem};
use crate::machines::{admission::Limits, spec::RetryTimes};
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
        if layers.problems.is_empty() {
            Ok(Self::of(&layers))
        } else {
            Err(layers.problems)
        }
    }

    fn of(layers: &Layers) -> Settings {
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
            },
            retry: RetryTimes {
                transient: small("retry.times.transient"),
                lost: small("retry.times.lost"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

//! Flags that several verbs share, and what they mean.

use super::fail::Fail;
use crate::{
    config::{
        Env, Overrides, Settings, Source, load_campaign, read_campaign, resolve_socket,
        resolve_state_dir,
    },
    machines::spec::CampaignSpec,
};
use clap::Args;
use std::path::{Path, PathBuf};

/// Where the daemon is.
#[derive(Args, Clone, Debug, Default)]
pub struct Place {
    /// State directory [default: CAMPAIGND_STATE_DIR, then the user's]
    #[arg(long, global = true, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
    /// Control socket [default: control.sock in the state directory]
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
}

impl Place {
    /// The state directory and the socket.
    pub fn resolve(&self, env: &Env, settings: &Settings) -> Result<(PathBuf, PathBuf), Fail> {
        let (state_dir, _) = resolve_state_dir(self.state_dir.as_deref(), env, &settings.state_dir);
        let socket = resolve_socket(self.socket.as_deref(), env, &settings.socket, &state_dir)?;
        Ok((state_dir, socket))
    }

    /// The socket to ask: where nobody named one and the user has no daemon of their own, the service's.
    pub fn socket_to_ask(&self, env: &Env, settings: &Settings) -> Result<PathBuf, Fail> {
        let (_, socket) = self.resolve(env, settings)?;
        let named = self.socket.is_some()
            || self.state_dir.is_some()
            || env.get("CAMPAIGND_SOCKET").is_some()
            || env.get("CAMPAIGND_STATE_DIR").is_some();
        let service = Path::new(SERVICE_SOCKET);
        if !named && !socket.exists() && service.exists() {
            return Ok(service.into());
        }
        Ok(socket)
    }
}

/// Where the shipped unit has its socket.
const SERVICE_SOCKET: &str = "/run/campaignd/control.sock";

/// How answers look.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Shape {
    /// One JSON value on stdout (followers: one a line)
    #[arg(long, global = true)]
    pub json: bool,
    /// Times as RFC 3339 in UTC
    #[arg(long, global = true)]
    pub utc: bool,
    /// Colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,
    /// Say less
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

/// When to colour.
#[derive(clap::ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// A campaign and the flags over it.
#[derive(Args, Clone, Debug, Default)]
pub struct SpecFlags {
    /// Quality that the pilot must reach, 0 to 1
    #[arg(long, value_name = "X")]
    pub quality_threshold: Option<f64>,
    /// Samples of the full generation
    #[arg(long, value_name = "N")]
    pub campaign_target: Option<u64>,
    /// With fewer pilot samples nothing is approved
    #[arg(long, value_name = "N")]
    pub min_pilot_samples: Option<u64>,
    /// Wait for campaignctl approve before the full generation
    #[arg(long)]
    pub no_auto_launch: bool,
    /// "confidence" or "point"
    #[arg(long, value_name = "GATE")]
    pub gate: Option<String>,
    /// Root of all randomness
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Another name for the campaign, its id
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// Rounds of training; each further one tries what the planning table proposes
    #[arg(long, value_name = "N")]
    pub cycles: Option<u64>,
}

impl SpecFlags {
    /// The campaign of a file, or the embedded one.
    pub fn read(
        &self,
        file: Option<&Path>,
        env: &Env,
        settings: &Settings,
    ) -> Result<CampaignSpec, Fail> {
        let (source, flags, here) = self.asked(file);
        Ok(load_campaign(&source, &flags, env, settings, &here)?)
    }

    /// The campaign of a file, whether or not the models and rows that it names are there.
    pub fn read_unseen(
        &self,
        file: &Path,
        env: &Env,
        settings: &Settings,
    ) -> Result<CampaignSpec, Fail> {
        let (source, flags, here) = self.asked(Some(file));
        Ok(read_campaign(&source, &flags, env, settings, &here)?)
    }

    fn asked(&self, file: Option<&Path>) -> (Source, Overrides, PathBuf) {
        let flags = Overrides {
            quality_threshold: self.quality_threshold,
            campaign_target: self.campaign_target,
            min_pilot_samples: self.min_pilot_samples,
            no_auto_launch: self.no_auto_launch,
            gate: self.gate.clone(),
            seed: self.seed,
            name: self.name.clone(),
            cycles: self.cycles,
        };
        let source = file.map_or(Source::Embedded, |file| Source::File(file.into()));
        let here = std::env::current_dir().unwrap_or_else(|_| "/".into());
        (source, flags, here)
    }
}

//! How an attempt is ended that a person wants no longer, and what it was until then.

use super::hands::{ELSEWHERE, Hands, Live, Seen, away, from, on};
use crate::executor::{
    identity::Identity,
    local::{Local, Observed},
    slurm::{look::look, words::Meaning},
};
use std::{io, time::Duration};

/// How long a job that is asked to end may take before it is made to.
const GRACE: Duration = Duration::from_secs(10);

impl Hands {
    /// Looks at an attempt that is about to be ended. Of one that began elsewhere the scheduler is asked: it may have ended by
    /// itself while nobody followed it, and of what, its job directory alone does not say.
    ///
    /// # Errors
    /// The job directory cannot be read; the program that batch scripts start cannot be laid down.
    pub async fn look_first(&self, live: &mut Live) -> io::Result<Seen> {
        let began = matches!(
            look(&live.dir, 0),
            Observed::Running(_) | Observed::Ended(_)
        );
        if let Some(clusters) = live.clusters().map(String::from)
            && began
            && live.dir.handle().exists()
        {
            self.launch(live).await?;
            while !self.is_clear(live, &clusters).await {
                self.slurm.turn(&clusters, ELSEWHERE).await?;
            }
        }
        Ok(self.look(live).await)
    }

    /// Whether the scheduler has said of an attempt that began what there is to say: how it ended, or that it goes on.
    async fn is_clear(&self, live: &mut Live, clusters: &str) -> bool {
        match self.look_elsewhere(live, clusters).await {
            Seen::Running => {
                let state = self.slurm.task(clusters, &live.id, 0);
                let state = state.and_then(|view| view.state);
                // Called over, it may still say so itself; else the scheduler's word is written down for it.
                state.is_some_and(|state| !matches!(state.meaning(), Meaning::Over(_)))
            }
            // What cannot be read stays so, however long the scheduler is asked.
            Seen::Unknown(_) => matches!(look(&live.dir, 0), Observed::Unknown { .. }),
            _ => true,
        }
    }

    /// Ends an attempt: not begun, it will never begin; running, it is asked to end, then made to.
    ///
    /// # Errors
    /// It could not be claimed, looked at or signalled: it may still run, and this is to be called again.
    pub async fn end(&self, live: &mut Live) -> io::Result<Seen> {
        let Some(clusters) = live.clusters().map(String::from) else {
            if let Some(host) = away(&live.dir) {
                return Err(io::Error::other(format!("{}: {}", live.id, on(&host))));
            }
            let ends = Local.end(&live.dir, &[0], GRACE).await?;
            let seen = ends.into_iter().next().map(|(_, seen)| seen);
            return Ok(seen.map_or(Seen::Cancelled, from));
        };
        live.dir.take_claim(0, Identity::own()?, "canceller")?;
        live.launched = true;
        if live.dir.handle().exists() {
            self.slurm.take(&live.submission(&clusters)).await?;
            self.slurm.end(&clusters, &live.id).await?;
            while !self.slurm.is_ended(&clusters, &live.id).await? {
                self.slurm.turn(&clusters, ELSEWHERE).await?;
            }
            self.look_elsewhere(live, &clusters).await;
        }
        self.slurm.forget(&clusters, &live.id, true).await?;
        Ok(from(look(&live.dir, 0)))
    }
}

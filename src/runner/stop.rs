//! The end of everything that has not ended, on request.

use super::{
    Runner, follow,
    hands::{Live, Seen},
    judge,
};
use crate::executor::job_dir::JobDir;
use std::io;

impl Runner<'_> {
    /// Ends everything that has not ended, of whatever plan. How many that were.
    ///
    /// # Errors
    /// Something could not be ended: this is to be called again.
    pub async fn stop(&mut self) -> io::Result<usize> {
        let mut ending: Vec<(Option<usize>, Live)> = Vec::new();
        for (at, one) in self.all.iter().enumerate() {
            ending.extend(one.live.clone().map(|live| (Some(at), live)));
        }
        for id in self.strangers.clone() {
            let dir: JobDir = self.place.job(&id);
            let request = dir.read_request()?;
            ending.push((None, follow::live(id, dir, request)));
        }
        let hands = &self.hands;
        let each = ending.iter_mut().map(|(_, live)| async move {
            // A scheduler's number is known from a look, and whether it had ended by itself; of what, is not asked again.
            let before = hands.look_first(live).await?;
            let by_itself = matches!(before, Seen::Ended(_) | Seen::Lost(_));
            let after = hands.end(live).await?;
            let seen = if by_itself { before } else { after };
            Ok::<_, io::Error>((by_itself, seen))
        });
        let seen = futures_util::future::join_all(each).await;
        // One that cannot be ended does not keep the others from being written down.
        let (mut count, mut failed) = (0, None);
        for ((at, live), seen) in ending.into_iter().zip(seen) {
            let stopped = match seen {
                Ok(seen) => self.stopped(at, live, seen).await,
                Err(error) => Err(error),
            };
            match stopped {
                Ok(()) => count += 1,
                Err(error) => _ = failed.get_or_insert(error),
            }
        }
        failed.map_or(Ok(count), Err)
    }

    /// Writes down how an attempt ended: by itself, or since it was asked to.
    async fn stopped(
        &mut self,
        at: Option<usize>,
        live: Live,
        (by_itself, seen): (bool, Seen),
    ) -> io::Result<()> {
        let missing = at.and_then(|at| {
            let item = &self.all[at].item;
            item.unproved(self.place.dir(), live.began)
        });
        let ended = judge::judge(&live, &seen, missing);
        let mut ended =
            ended.ok_or_else(|| io::Error::other(format!("{} does not end", live.id)))?;
        if !by_itself && !ended.done {
            // Whatever its command made of the signal.
            (ended.state, ended.out_of_memory) = ("CANCELLED".into(), false);
            ended.note = "ended on request".into();
        }
        match at {
            Some(at) => {
                self.all[at].live = Some(live);
                self.conclude(at, ended).await
            }
            None => self.place.write_ended(&live.id, &ended),
        }
    }
}

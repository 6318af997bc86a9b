//! What a runner does while the machine lacks something for now, room on its disk most of all: it says so once, and goes on when
//! there is room. Jobs that run are none of the lack's business.

use super::{Left, Runner, follow, follow::Followed};
use crate::{artifacts::is_starved, points};
use std::{
    future::Future,
    io::{self, ErrorKind},
    time::Duration,
};

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

/// What a test makes of the disk: no room, where it says so.
pub(super) fn room() -> io::Result<()> {
    match points::number("run.full") {
        None => Ok(()),
        Some(_) => Err(ErrorKind::StorageFull.into()),
    }
}

impl Runner<'_> {
    /// Does a step, again and again while the machine lacks what it takes, unless it is asked to leave meanwhile.
    ///
    /// # Errors
    /// Every other error of the step.
    pub(super) async fn with_room(
        &mut self,
        asked: &mut (dyn Future<Output = ()> + Unpin),
        mut step: impl FnMut(&mut Self) -> io::Result<()>,
    ) -> io::Result<Left> {
        loop {
            match step(self) {
                Err(error) if is_starved(&error) => {
                    if self.pause(&error, asked).await == Left::Detached {
                        return Ok(Left::Detached);
                    }
                }
                done => return done.map(|()| Left::Done),
            }
        }
    }

    /// After a pass that ended in the middle, for want of something: once it is there, what is known is read anew.
    ///
    /// # Errors
    /// The pass ended of something else; the job directories cannot be read.
    pub(super) async fn recover(
        &mut self,
        error: io::Error,
        asked: &mut (dyn Future<Output = ()> + Unpin),
    ) -> io::Result<Left> {
        if !is_starved(&error) {
            return Err(error);
        }
        match self.pause(&error, asked).await {
            Left::Done => self.with_room(asked, Self::read_anew).await,
            left => Ok(left),
        }
    }

    /// Says once what is lacking, and waits a moment.
    async fn pause(
        &mut self,
        error: &io::Error,
        asked: &mut (dyn Future<Output = ()> + Unpin),
    ) -> Left {
        if !std::mem::replace(&mut self.short, true) {
            let text = format!("{error}; it goes on when there is room");
            self.watcher.say(&text);
        }
        tokio::select! {
            biased;
            () = asked => Left::Detached,
            () = tokio::time::sleep(PAUSE) => Left::Done,
        }
    }

    /// What is known of every item, as its job directories say it now: a pass may have ended between any two of its steps.
    fn read_anew(&mut self) -> io::Result<()> {
        // The rows here may be ahead of those on the disk.
        self.keep()?;
        let (all, strangers) =
            follow::all(&self.place, &self.tables, self.words, self.terms.again)?;
        let old = std::mem::replace(&mut self.all, all);
        for (new, old) in self.all.iter_mut().zip(old) {
            new.remember(old);
        }
        self.strangers = strangers;
        Ok(())
    }
}

impl Followed {
    /// What this process knew of the same item, and no job directory says.
    fn remember(&mut self, old: Followed) {
        // What was asked for once more has had that once an attempt was launched.
        self.again &= old.again;
        self.settled = old.settled;
        self.unshown = old.unshown;
        if let (Some(live), Some(known)) = (&mut self.live, old.live)
            && live.id == known.id
        {
            *live = known;
            (self.begun, self.told) = (old.begun, old.told);
        }
    }
}

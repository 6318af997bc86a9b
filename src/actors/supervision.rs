//! Supervision that survives a panic. actix drops an actor that panicked and closes its mailbox for good; a guard inside
//! the actor notices being dropped, and its supervisor starts a new one after a pause, siblings untouched.
//!
//! An actor that crashes again and again cannot be helped from inside: after more than [`MOST`] crashes in [`WINDOW`] the
//! process ends with [`CRASH_LOOP`], and systemd starts it again.

use super::{
    Perform, Surroundings,
    coordinator::{Coordinator, PerformerUp},
};
use crate::machines::effect::Performer;
use actix::prelude::*;
use std::{
    collections::{HashMap, VecDeque},
    time::{Duration, Instant},
};

/// The exit status after a crash loop.
pub const CRASH_LOOP: i32 = 70;
/// More crashes of one actor than this within [`WINDOW`] end the process.
pub const MOST: usize = 5;
/// The time over which crashes are counted.
pub const WINDOW: Duration = Duration::from_secs(10);
/// The pause before the first restart; doubles with each crash in the window.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// A question that only a living actor answers.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Beat;

/// Lives inside an actor. Being dropped outside an orderly end means that the actor's task panicked.
pub struct Guard {
    performer: Performer,
    to: Recipient<Died>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.to.do_send(Died {
            performer: self.performer,
        });
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Died {
    performer: Performer,
}

/// Starts a performer and gives where it takes effects.
pub type Start = fn(&Surroundings, Guard) -> Recipient<Perform>;

/// The supervisor of the performers.
pub struct Supervisor {
    starts: HashMap<Performer, Start>,
    crashes: HashMap<Performer, VecDeque<Instant>>,
    surroundings: Surroundings,
    coordinator: Addr<Coordinator>,
}

impl Supervisor {
    /// A supervisor of the given performers; they start with it.
    pub fn new(
        starts: HashMap<Performer, Start>,
        surroundings: Surroundings,
        coordinator: Addr<Coordinator>,
    ) -> Self {
        Self {
            starts,
            crashes: HashMap::new(),
            surroundings,
            coordinator,
        }
    }

    fn launch(&self, performer: Performer, ctx: &mut Context<Self>) {
        let Some(start) = self.starts.get(&performer) else {
            return;
        };
        let guard = Guard {
            performer,
            to: ctx.address().recipient(),
        };
        let to = start(&self.surroundings, guard);
        self.coordinator.do_send(PerformerUp { performer, to });
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        for performer in Performer::ALL {
            self.launch(*performer, ctx);
        }
    }
}

impl Handler<Died> for Supervisor {
    type Result = ();

    fn handle(&mut self, died: Died, ctx: &mut Context<Self>) {
        let at = Instant::now();
        let crashes = self.crashes.entry(died.performer).or_default();
        crashes.push_back(at);
        while crashes.front().is_some_and(|first| at - *first > WINDOW) {
            crashes.pop_front();
        }
        let count = crashes.len();
        if count > MOST {
            tracing::error!(
                "{} crashed {count} times in {WINDOW:?}; ending",
                died.performer
            );
            System::current().stop_with_code(CRASH_LOOP);
            return;
        }
        let pause = FIRST_PAUSE * 2_u32.pow(u32::try_from(count - 1).unwrap_or(0));
        tracing::error!("{} crashed; it starts again in {pause:?}", died.performer);
        ctx.run_later(pause, move |actor, ctx| actor.launch(died.performer, ctx));
    }
}

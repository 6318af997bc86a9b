//! Supervision that survives a panic. actix drops an actor that panicked and closes its mailbox for good; a guard inside
//! the actor notices being dropped, and the supervisor starts a new one after a pause, siblings untouched. What the actor
//! owed is handed out again by the coordinator; what the coordinator knew is read again from the store.
//!
//! An actor that crashes again and again cannot be helped from inside: after more than [`MOST`] crashes in [`WINDOW`] the
//! process ends with [`CRASH_LOOP`], and systemd starts it again. An actor that hangs answers no [`Beat`]: then the
//! watchdog gets no sign of life, and systemd does the same.

use super::{
    Perform, Surroundings,
    coordinator::{Coordinator, Lines, PerformerUp, Trees},
    desk::Desk,
    journal_writer::{Load, Order, Orders, Waiting},
    mirror_writer::MirrorWriter,
};
use crate::machines::effect::Performer;
use actix::prelude::*;
use futures_util::future::join_all;
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    time::{Duration, Instant},
};
use tokio::sync::{mpsc, oneshot};

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

/// Who is supervised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Member {
    /// The sole writer.
    Coordinator,
    /// Who keeps the mirror files.
    MirrorWriter,
    /// The thread that makes decisions durable. It is no actor: its end is the end of the process.
    Journal,
    /// One of those who act.
    Performer(Performer),
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Member::Coordinator => f.write_str("Coordinator"),
            Member::MirrorWriter => f.write_str("MirrorWriter"),
            Member::Journal => f.write_str("journal writer"),
            Member::Performer(performer) => performer.fmt(f),
        }
    }
}

/// Lives inside an actor. Being dropped outside an orderly end means that the actor's task panicked.
pub struct Guard {
    member: Member,
    to: Recipient<Died>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.to.do_send(Died {
            member: self.member,
        });
    }
}

#[cfg(test)]
impl Guard {
    /// A guard whose word reaches nobody.
    pub(super) fn of_nobody() -> Self {
        struct Nobody;

        impl Actor for Nobody {
            type Context = Context<Self>;
        }

        impl Handler<Died> for Nobody {
            type Result = ();

            fn handle(&mut self, _: Died, _: &mut Context<Self>) {}
        }

        Self {
            member: Member::Coordinator,
            to: Nobody.start().recipient(),
        }
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct Died {
    member: Member,
}

/// A started performer.
#[derive(Clone)]
pub struct Up {
    /// Where it takes effects.
    pub performs: Recipient<Perform>,
    /// Where it says that it lives.
    pub beats: Recipient<Beat>,
}

/// Starts a performer.
pub type Start = fn(&Surroundings, Guard) -> Up;
/// Makes a coordinator over what is durable.
pub type Seat = Box<dyn Fn(Trees, Guard) -> Coordinator>;

/// What the supervisor keeps alive, and how.
pub struct Plan {
    /// The performers.
    pub starts: HashMap<Performer, Start>,
    /// The coordinator.
    pub seat: Seat,
    /// What all of them need.
    pub surroundings: Surroundings,
    /// Where durable records are read again.
    pub orders: Orders,
    /// Whether who reads them waits for room.
    pub waiting: Waiting,
    /// Committed events, for the mirror.
    pub lines: Lines,
    /// Told of a crash loop: the process has to end.
    pub fatal: mpsc::UnboundedSender<Fatal>,
}

/// Why the process has to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fatal {
    /// The exit status.
    pub status: i32,
    /// A sentence.
    pub why: String,
}

/// The supervisor.
pub struct Supervisor {
    plan: Plan,
    up: HashMap<Performer, Up>,
    mirror: Option<Recipient<Beat>>,
    crashes: HashMap<Member, VecDeque<Instant>>,
}

impl Supervisor {
    /// Starts everybody: the coordinator over `trees`, which are durable, then all others. `plan` is given the seat back,
    /// and the desk where the coordinator now sits.
    pub fn begin(
        trees: Trees,
        seat: Seat,
        plan: impl FnOnce(Seat, Desk) -> Plan,
    ) -> (Addr<Supervisor>, Desk) {
        let ctx = Context::new();
        let guard = Guard {
            member: Member::Coordinator,
            to: ctx.address().recipient(),
        };
        let desk = Desk::new(seat(trees, guard).start());
        let supervisor = ctx.run(Self {
            plan: plan(seat, desk.clone()),
            up: HashMap::new(),
            mirror: None,
            crashes: HashMap::new(),
        });
        (supervisor, desk)
    }

    fn launch(&mut self, member: Member, ctx: &mut Context<Self>) {
        let guard = guard(member, ctx);
        match member {
            Member::Coordinator => self.reseat(guard, ctx),
            Member::MirrorWriter => {
                let writer = MirrorWriter::new(&self.plan.surroundings, &self.plan.lines, guard);
                self.mirror = Some(writer.start().recipient());
            }
            // Not started here, and guarded by nobody.
            Member::Journal => {}
            Member::Performer(performer) => {
                let Some(start) = self.plan.starts.get(&performer) else {
                    return;
                };
                let up = start(&self.plan.surroundings, guard);
                self.plan.surroundings.desk.tell(PerformerUp {
                    performer,
                    to: up.performs.clone(),
                });
                self.up.insert(performer, up);
            }
        }
    }

    /// A new coordinator over what the store holds, after everything that the old one had decided.
    fn reseat(&self, guard: Guard, ctx: &mut Context<Self>) {
        let (reply, loaded) = oneshot::channel();
        // A writer that has gone has told why and is ending the process.
        let _ = self.plan.orders.send(Load { reply }.into());
        let seated = loaded.into_actor(self).map(|trees, actor, _| {
            let Ok(trees) = trees else {
                // The writer is gone, as above.
                return;
            };
            let desk = &actor.plan.surroundings.desk;
            desk.seat((actor.plan.seat)(trees, guard).start());
            for (performer, up) in &actor.up {
                desk.tell(PerformerUp {
                    performer: *performer,
                    to: up.performs.clone(),
                });
            }
        });
        ctx.spawn(seated);
    }
}

fn guard(member: Member, ctx: &Context<Supervisor>) -> Guard {
    Guard {
        member,
        to: ctx.address().recipient(),
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        let performers = Performer::ALL.iter().copied().map(Member::Performer);
        for member in performers.chain([Member::MirrorWriter]) {
            self.launch(member, ctx);
        }
    }
}

impl Handler<Died> for Supervisor {
    type Result = ();

    fn handle(&mut self, died: Died, ctx: &mut Context<Self>) {
        let at = Instant::now();
        let crashes = self.crashes.entry(died.member).or_default();
        crashes.push_back(at);
        while crashes.front().is_some_and(|first| at - *first > WINDOW) {
            crashes.pop_front();
        }
        let count = crashes.len();
        if count > MOST {
            let why = format!("the {} crashed {count} times in {WINDOW:?}", died.member);
            let status = CRASH_LOOP;
            // Nobody listens only when the process is ending.
            let _ = self.plan.fatal.send(Fatal { status, why });
            return;
        }
        let pause = FIRST_PAUSE * 2_u32.pow(u32::try_from(count - 1).unwrap_or(0));
        tracing::error!("the {} crashed; it starts again in {pause:?}", died.member);
        ctx.run_later(pause, move |actor, ctx| actor.launch(died.member, ctx));
    }
}

/// Asks every actor, and the thread behind them, for a sign of life; gives those that give none in time.
#[derive(Message)]
#[rtype(result = "Vec<Member>")]
pub struct Pulse {
    /// How long an answer may take.
    pub within: Duration,
}

impl Handler<Pulse> for Supervisor {
    type Result = ResponseFuture<Vec<Member>>;

    fn handle(&mut self, pulse: Pulse, _: &mut Context<Self>) -> Self::Result {
        let mut asked: Vec<(Member, Recipient<Beat>)> = self
            .up
            .iter()
            .map(|(performer, up)| (Member::Performer(*performer), up.beats.clone()))
            .collect();
        asked.extend(
            self.mirror
                .clone()
                .map(|beats| (Member::MirrorWriter, beats)),
        );
        let desk = self.plan.surroundings.desk.clone();
        let waiting = self.plan.waiting.clone();
        let (alive, answered) = oneshot::channel();
        // One that has gone is ending the process, which is not to be kept up by pings.
        let _ = self.plan.orders.send(Order::Beat(alive));
        let journal = async move {
            let beat = tokio::time::timeout(pulse.within, answered).await;
            let silent = !matches!(beat, Ok(Ok(()))) && !waiting.now();
            silent.then_some(Member::Journal)
        };
        Box::pin(async move {
            let coordinator = async {
                let beat = tokio::time::timeout(pulse.within, desk.ask(Beat)).await;
                beat.is_err().then_some(Member::Coordinator)
            };
            let others = join_all(asked.into_iter().map(|(member, beats)| async move {
                // One that crashed is not hanging: it is being started again.
                let beat = tokio::time::timeout(pulse.within, beats.send(Beat)).await;
                beat.is_err().then_some(member)
            }));
            let (first, journal, others) = tokio::join!(coordinator, journal, others);
            first
                .into_iter()
                .chain(journal)
                .chain(others.into_iter().flatten())
                .collect()
        })
    }
}

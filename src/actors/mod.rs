//! The actors: one that decides and writes, six that act, and one that listens.
//!
//! Two message types carry everything between them: [`Perform`] goes from the coordinator to whoever performs an effect,
//! [`Report`] comes back with what happened. No actor but the coordinator changes a state, and it does so only through
//! `machines::step` and the store. Actors hold no durable state: a restarted one is asked to perform again what is owed.

pub mod access;
pub mod campaign_monitor;
mod configs;
pub mod control_server;
pub mod coordinator;
pub mod desk;
pub mod historian;
pub mod launcher;
pub mod memory;
pub mod mirror_writer;
pub mod pilot_monitor;
mod planned;
pub mod seen;
pub mod supervision;
pub mod trainer;
pub mod tuning;
pub mod validator;

pub mod journal_writer;

mod body;
mod explain;
mod fine_tunes;
mod outcome;
mod patience;
mod reported;
mod requests;
mod results;
mod routes;
mod slices;
mod slurm;
mod slurm_view;
mod streams;
mod view;
mod watch;

use crate::{
    executor::{handles::Handles, slurm::desk::Slurm},
    ids::{CampaignId, EffectId},
    machines::{effect::Effect, event::Event, step::Refused, tree::CampaignTree},
    manifest::StateDir,
    time::Timestamp,
};
use actix::prelude::*;
use std::{sync::Arc, time::Duration, time::SystemTime};

/// The wall clock; only shells read it.
pub fn now() -> Timestamp {
    SystemTime::now().into()
}

/// An effect to perform. Asking twice is normal: after a restart of the daemon or of the actor.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Perform {
    /// The obligation's id.
    pub id: EffectId,
    /// What is to be done.
    pub effect: Effect,
    /// The campaign as it was when the obligation was handed out.
    pub tree: Arc<CampaignTree>,
}

/// What happened.
#[derive(Message, Clone, Debug)]
#[rtype(result = "()")]
pub struct Report {
    /// Whose event it is.
    pub campaign: CampaignId,
    /// The event.
    pub event: Event,
}

/// What a person asks for; answered when it is durable.
#[derive(Message, Clone, Debug)]
#[rtype(result = "Result<Answer, Refused>")]
pub struct Ask {
    /// Whose event it is.
    pub campaign: CampaignId,
    /// The event.
    pub event: Event,
    /// The user who asks.
    pub uid: Option<u32>,
}

/// The answer to an [`Ask`]: it is durable.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The journal entry.
    pub seq: u64,
    /// The campaign as it is now.
    pub tree: Arc<CampaignTree>,
    /// What came of it, one sentence.
    pub what: String,
}

/// Settings that the actors act by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pace {
    /// The pilot is looked at this often at the latest.
    pub pilot: Duration,
    /// Everything else is looked at this often at the latest.
    pub campaign: Duration,
    /// A job without progress for this long is flagged.
    pub silent_after: Duration,
}

/// What every performer needs to know.
#[derive(Clone)]
pub struct Surroundings {
    /// Where everything lies.
    pub state: StateDir,
    /// The store's random id, part of a job's scheduler name.
    pub store_id: String,
    /// How often to look, and what else a reload may change.
    pub tuning: tuning::Tuning,
    /// Where reports go.
    pub desk: desk::Desk,
    /// What the monitors see, for screens; volatile.
    pub seen: Arc<seen::Seen>,
    /// The handles of running tasks that systemd keeps.
    pub handles: Arc<Handles>,
    /// Jobs on SLURM.
    pub slurm: Arc<Slurm>,
    /// What came of every experiment.
    pub memory: Arc<memory::Memory>,
}

impl Surroundings {
    /// Hands in a report. The coordinator may be gone only when the whole process is ending.
    pub fn report(&self, campaign: &CampaignId, event: Event) {
        self.desk.tell(Report {
            campaign: campaign.clone(),
            event,
        });
    }

    /// Whether an effect is still to be performed, by what is durable. No answer is taken for yes: performing twice is
    /// harmless, not performing is not.
    pub async fn owed(&self, id: &EffectId) -> bool {
        match self.desk.ask(coordinator::Snapshot).await {
            Ok(trees) => trees
                .get(&id.campaign)
                .is_some_and(|tree| tree.outbox.contains_key(id)),
            Err(_) => true,
        }
    }
}

/// Declares a performer: an actor that runs an async function for each effect it is handed, as part of itself, so that a
/// panic in one is a crash of the actor and is noticed.
macro_rules! performer {
    ($(#[$meta:meta])* $Name:ident, $perform:path) => {
        $(#[$meta])*
        pub struct $Name {
            surroundings: $crate::actors::Surroundings,
            _guard: $crate::actors::supervision::Guard,
        }

        impl $Name {
            /// Starts it; gives where it takes effects and answers beats.
            pub fn start_it(
                surroundings: &$crate::actors::Surroundings,
                guard: $crate::actors::supervision::Guard,
            ) -> $crate::actors::supervision::Up {
                let actor = $Name { surroundings: surroundings.clone(), _guard: guard };
                let address = actix::Actor::start(actor);
                $crate::actors::supervision::Up {
                    performs: address.clone().recipient(),
                    beats: address.recipient(),
                }
            }
        }

        impl actix::Actor for $Name {
            type Context = actix::Context<Self>;
        }

        impl actix::Handler<$crate::actors::Perform> for $Name {
            type Result = ();

            fn handle(&mut self, perform: $crate::actors::Perform, ctx: &mut actix::Context<Self>) {
                use actix::{AsyncContext, WrapFuture};
                let surroundings = self.surroundings.clone();
                let work = async move {
                    $crate::points::panic_point!(concat!("actor.", stringify!($Name)));
                    $perform(surroundings, perform).await;
                };
                ctx.spawn(work.into_actor(self));
            }
        }

        impl actix::Handler<$crate::actors::supervision::Beat> for $Name {
            type Result = ();

            fn handle(&mut self, _: $crate::actors::supervision::Beat, _: &mut actix::Context<Self>) {}
        }
    };
}

use performer;

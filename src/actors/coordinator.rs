//! The coordinator: sole writer. Receives events, lets `step` decide, has the decision made durable, and only then lets
//! the performers act and answers who asked.

use super::{
    Answer, Ask, Perform, Report,
    journal_writer::{Decision, Orders},
    memory::Memory,
    now,
    seen::Seen,
    supervision::{Beat, Guard},
    tuning::Tuning,
};
use crate::{
    ids::{CampaignId, EffectId},
    machines::{
        admission, budget,
        effect::{Obligation, Performer},
        event::Event,
        step::{Refused, step},
        tree::CampaignTree,
    },
    points::{panic_point, point},
    time::Timestamp,
};
use actix::prelude::*;
use futures_util::{StreamExt, stream};
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};
use tokio::sync::{broadcast, mpsc, oneshot};

/// How often deadlines and limits are looked at.
const TICK: Duration = Duration::from_millis(500);

/// Every campaign, as it is durable.
pub type Trees = BTreeMap<CampaignId, Arc<CampaignTree>>;

/// Where committed events are published.
pub type Lines = broadcast::Sender<Arc<Line>>;

/// One committed event, for those who follow.
#[derive(Clone, Debug)]
pub struct Line {
    /// The journal entry.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who asked, if a person did.
    pub uid: Option<u32>,
    /// Whose.
    pub campaign: CampaignId,
    /// The event's name.
    pub event: String,
    /// The job that it is about.
    pub job: Option<EffectId>,
    /// One sentence.
    pub what: String,
    /// The campaign as it is now.
    pub tree: Arc<CampaignTree>,
}

/// A decision that the writer has in hand.
struct Awaited {
    /// Yields the entry's number; closed, the writer stopped, nothing was acknowledged, and the process is ending.
    durable: oneshot::Receiver<u64>,
    decided: Decided,
}

/// A decision, for when it is durable.
struct Decided {
    line: Line,
    /// It removes its campaign.
    removal: bool,
    answer: oneshot::Sender<Answer>,
}

/// The actor.
pub struct Coordinator {
    /// As decided; may be ahead of the disk by what the writer has in hand.
    decided: Trees,
    /// As committed.
    durable: Trees,
    /// Effects handed to a performer.
    begun: BTreeSet<EffectId>,
    performers: HashMap<Performer, Recipient<Perform>>,
    orders: Orders,
    /// Where what the writer was given is waited for, in that order.
    awaited: mpsc::UnboundedSender<Awaited>,
    /// The other end of it, until the actor starts.
    queue: Option<mpsc::UnboundedReceiver<Awaited>>,
    lines: Lines,
    tuning: Tuning,
    seen: Arc<Seen>,
    memory: Arc<Memory>,
    draining: bool,
    _guard: Guard,
}

impl Coordinator {
    /// A coordinator over what the store held.
    pub fn new(
        durable: Trees,
        orders: Orders,
        lines: Lines,
        tuning: Tuning,
        seen: Arc<Seen>,
        memory: Arc<Memory>,
        guard: Guard,
    ) -> Self {
        let (awaited, queue) = mpsc::unbounded_channel();
        Self {
            decided: durable.clone(),
            durable,
            begun: BTreeSet::new(),
            performers: HashMap::new(),
            orders,
            awaited,
            queue: Some(queue),
            lines,
            tuning,
            seen,
            memory,
            draining: false,
            _guard: guard,
        }
    }

    /// Decides and hands the decision to the writer. The receiver yields the entry's number once it is durable.
    fn decide(
        &mut self,
        id: &CampaignId,
        event: &Event,
        uid: Option<u32>,
    ) -> Result<oneshot::Receiver<Answer>, Refused> {
        let at = now();
        let before = self.decided.get(id).cloned();
        let outcome = step(before.as_deref(), event, at)?;
        let after = Arc::new(outcome.tree);
        self.decided.insert(id.clone(), Arc::clone(&after));
        let line = Line {
            seq: 0,
            at,
            uid,
            campaign: id.clone(),
            event: event.name().into(),
            job: event.job().cloned(),
            what: outcome.what,
            tree: after,
        };
        Ok(self.write(line, Some(event.clone()), before))
    }

    fn write(
        &self,
        line: Line,
        event: Option<Event>,
        before: Option<Arc<CampaignTree>>,
    ) -> oneshot::Receiver<Answer> {
        let (told, durable) = oneshot::channel();
        let (answer, answered) = oneshot::channel();
        let removal = event.is_none();
        let decision = Decision {
            at: line.at,
            uid: line.uid,
            campaign: line.campaign.clone(),
            event,
            what: line.what.clone(),
            before,
            after: Arc::clone(&line.tree),
            durable: told,
        };
        // A writer that has gone has told why and is ending the process.
        let _ = self.orders.send(decision.into());
        let decided = Decided {
            line,
            removal,
            answer,
        };
        // The other end is the actor's own for as long as it lives.
        let _ = self.awaited.send(Awaited { durable, decided });
        answered
    }

    /// What was decided is durable: publish it, act on it, answer.
    fn committed(&mut self, decided: Decided) {
        let Decided {
            line,
            removal,
            answer,
        } = decided;
        if removal {
            self.durable.remove(&line.campaign);
            self.seen.forget(&line.campaign);
            self.memory.forget(&line.campaign);
        } else {
            self.memory.keep(&line.tree, line.event == "recorded");
            self.durable
                .insert(line.campaign.clone(), Arc::clone(&line.tree));
        }
        point!("commit.answered");
        let _ = answer.send(Answer {
            seq: line.seq,
            tree: Arc::clone(&line.tree),
            what: line.what.clone(),
        });
        let job = line.job.as_ref().map(tracing::field::display);
        tracing::info!(campaign = %line.campaign, seq = line.seq, event = %line.event, job, "{}", line.what);
        // Nobody may be following.
        let _ = self.lines.send(Arc::new(line));
        self.dispatch();
    }

    /// Hands every durable, admitted obligation to its performer, once.
    fn dispatch(&mut self) {
        let owed = |id: &EffectId| {
            self.durable
                .get(&id.campaign)
                .is_some_and(|tree| tree.outbox.contains_key(id))
        };
        self.begun.retain(owed);
        if self.draining {
            return;
        }
        let trees = self.durable.values().map(Arc::as_ref);
        let limits = self.tuning.get().limits;
        let held: BTreeSet<EffectId> =
            admission::held(trees, |id| self.begun.contains(id), limits, now())
                .into_iter()
                .collect();
        let mut ready = Vec::new();
        let at = now();
        for (id, tree) in &self.durable {
            // Such launches wait until the next tick ends their waiting.
            let launching = |(id, owed): &(&EffectId, &Obligation)| {
                owed.effect.launches() && self.begun.contains(*id)
            };
            let mut begun = tree.outbox.iter().filter(launching).count() as u64;
            for (effect, owed) in &tree.outbox {
                if owed.effect.launches() && budget::exhausted_beside(tree, begun, at).is_some() {
                    continue;
                }
                let wanted = self
                    .decided
                    .get(id)
                    .is_some_and(|tree| tree.outbox.contains_key(effect));
                if wanted && !held.contains(effect) && !self.begun.contains(effect) {
                    begun += u64::from(owed.effect.launches());
                    ready.push(Perform {
                        id: effect.clone(),
                        effect: owed.effect.clone(),
                        tree: Arc::clone(tree),
                    });
                }
            }
        }
        for perform in ready {
            point!("effect.handed");
            if let Some(performer) = self.performers.get(&perform.effect.performer()) {
                self.begun.insert(perform.id.clone());
                performer.do_send(perform);
            }
        }
    }

    /// Ends the waiting of launches that a budget forbids: asked before each of them.
    fn keep_budgets(&mut self) {
        let at = now();
        let waits = |tree: &CampaignTree| {
            let mut owed = tree.outbox.iter();
            let waits = |(id, owed): (&EffectId, &Obligation)| {
                owed.effect.launches() && !self.begun.contains(id)
            };
            tree.campaign.spec.budget.is_some() && owed.any(waits)
        };
        let spent: Vec<(CampaignId, String)> = self
            .decided
            .iter()
            .filter(|(_, tree)| waits(tree))
            .filter_map(|(id, tree)| Some((id.clone(), budget::exhausted(tree, at)?)))
            .collect();
        for (id, text) in spent {
            if let Err(refused) = self.decide(&id, &Event::BudgetSpent { text }, None) {
                tracing::debug!(campaign = %id, "budget: {refused}");
            }
        }
    }

    fn pass_deadlines(&mut self) {
        let at = now();
        let due = |tree: &CampaignTree| {
            tree.campaign.paused_at.is_none()
                && tree.campaign.deadline_at.is_some_and(|limit| limit <= at)
        };
        let ids: Vec<CampaignId> = self
            .decided
            .iter()
            .filter(|(_, tree)| due(tree))
            .map(|(id, _)| id.clone())
            .collect();
        for id in ids {
            if let Err(refused) = self.decide(&id, &Event::DeadlinePassed {}, None) {
                tracing::debug!(campaign = %id, "deadline: {refused}");
            }
        }
    }
}

impl Actor for Coordinator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        // A burst of reports is normal; none of them may be dropped.
        ctx.set_mailbox_capacity(4096);
        ctx.run_interval(TICK, |actor, _| {
            actor.pass_deadlines();
            actor.keep_budgets();
            actor.dispatch();
        });
        if let Some(mut queue) = self.queue.take() {
            // One after the other: futures of their own that are ready at once would be run in any order, and an older
            // tree would take the place of a newer one, with what that owes.
            let durable = |Awaited { durable, decided }| async move {
                let seq = durable.await.ok()?;
                let line = Line {
                    seq,
                    ..decided.line
                };
                Some(Decided { line, ..decided })
            };
            ctx.add_stream(stream::poll_fn(move |cx| queue.poll_recv(cx)).filter_map(durable));
        }
    }
}

impl StreamHandler<Decided> for Coordinator {
    fn handle(&mut self, decided: Decided, _: &mut Context<Self>) {
        self.committed(decided);
    }
}

impl Handler<Report> for Coordinator {
    type Result = ();

    fn handle(&mut self, report: Report, _: &mut Context<Self>) {
        point!("report.received");
        panic_point!("actor.Coordinator");
        match self.decide(&report.campaign, &report.event, None) {
            // Nobody waits for the answer to a report.
            Ok(_) => {}
            Err(Refused::Late) => {
                tracing::debug!(campaign = %report.campaign, "late: {}", report.event.name())
            }
            Err(refused) => {
                tracing::warn!(campaign = %report.campaign, "{}: {refused}", report.event.name())
            }
        }
    }
}

impl Handler<Ask> for Coordinator {
    type Result = ResponseFuture<Result<Answer, Refused>>;

    fn handle(&mut self, ask: Ask, _: &mut Context<Self>) -> Self::Result {
        let decided = self.decide(&ask.campaign, &ask.event, ask.uid);
        Box::pin(async move { wait_for(decided?).await })
    }
}

async fn wait_for(answered: oneshot::Receiver<Answer>) -> Result<Answer, Refused> {
    answered.await.map_err(|_| {
        Refused::Pointless(
            "campaignd is ending and has not acknowledged it; look again when it runs".into(),
        )
    })
}

/// A performer is up, for the first time or again after a crash: it is asked for everything it owes.
#[derive(Message)]
#[rtype(result = "()")]
pub struct PerformerUp {
    /// Who.
    pub performer: Performer,
    /// Where it takes effects.
    pub to: Recipient<Perform>,
}

impl Handler<PerformerUp> for Coordinator {
    type Result = ();

    fn handle(&mut self, up: PerformerUp, _: &mut Context<Self>) {
        let theirs = |id: &EffectId| {
            let owed = self
                .durable
                .get(&id.campaign)
                .and_then(|tree| tree.outbox.get(id));
            owed.is_some_and(|owed| owed.effect.performer() == up.performer)
        };
        let again: Vec<EffectId> = self.begun.iter().filter(|id| theirs(id)).cloned().collect();
        for id in again {
            self.begun.remove(&id);
        }
        self.performers.insert(up.performer, up.to);
        self.dispatch();
    }
}

/// Everything that is durable.
#[derive(Message)]
#[rtype(result = "Trees")]
pub struct Snapshot;

impl Handler<Snapshot> for Coordinator {
    type Result = MessageResult<Snapshot>;

    fn handle(&mut self, _: Snapshot, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.durable.clone())
    }
}

/// Forget an ended campaign. Its files are removed by who asks.
#[derive(Message)]
#[rtype(result = "Result<Answer, Refused>")]
pub struct Clean {
    /// Which.
    pub campaign: CampaignId,
    /// Who asks.
    pub uid: Option<u32>,
}

impl Handler<Clean> for Coordinator {
    type Result = ResponseFuture<Result<Answer, Refused>>;

    fn handle(&mut self, clean: Clean, _: &mut Context<Self>) -> Self::Result {
        let written = match self.decided.get(&clean.campaign).cloned() {
            None => Err(Refused::Unknown),
            Some(tree) if !tree.campaign.state.ended() || !tree.outbox.is_empty() => Err(
                Refused::Pointless(format!("it is {} and not over", tree.campaign.state)),
            ),
            Some(tree) => {
                self.decided.remove(&clean.campaign);
                let line = Line {
                    seq: 0,
                    at: now(),
                    uid: clean.uid,
                    campaign: clean.campaign,
                    event: "cleaned".into(),
                    job: None,
                    what: "its record and files are removed".into(),
                    tree,
                };
                Ok(self.write(line, None, None))
            }
        };
        Box::pin(async move { wait_for(written?).await })
    }
}

/// Nothing more is handed to performers. With `interrupt`, local jobs are about to be ended on purpose.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Drain {
    /// Whether running jobs are to be ended, to be started again by the next daemon.
    pub interrupt: bool,
}

impl Handler<Drain> for Coordinator {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, drain: Drain, _: &mut Context<Self>) -> Self::Result {
        self.draining = true;
        let mut waits = Vec::new();
        if drain.interrupt {
            let ids: Vec<CampaignId> = self.decided.keys().cloned().collect();
            for id in ids {
                // A campaign without a live job has nothing to interrupt.
                waits.extend(self.decide(&id, &Event::Interrupted {}, None));
            }
        }
        Box::pin(async move {
            for wait in waits {
                let _ = wait.await;
            }
        })
    }
}

impl Handler<Beat> for Coordinator {
    type Result = ();

    fn handle(&mut self, _: Beat, _: &mut Context<Self>) {}
}

#[cfg(test)]
mod tests;

//! How the program decides: one external event, run to completion through the campaign, its runs and its jobs.
//!
//! [`step`] is pure. It gives the next tree, whose outbox says what is owed to the world, or a [`Refused`]; an event that
//! does not fit is a value and never a panic. What comes of an event inside a child machine (a job's last task, a run's
//! last stage) reaches the parent within the same step, so one commit holds it all.

mod cycles;
mod fold;
mod retry;
mod runs;
mod work;

use super::{
    campaign::{self, Campaign, State, TRAIL, Transition},
    effect::{Effect, Obligation},
    event::Event,
    table::{Entry, EventName, tables},
    tree::CampaignTree,
};
use crate::{ids::EffectId, time::Timestamp};
use std::fmt;

/// What an event led to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// The campaign as it is now.
    pub tree: CampaignTree,
    /// One sentence for the journal.
    pub what: String,
}

/// An event that does not fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such campaign.
    Unknown,
    /// There is one already.
    Exists,
    /// A report on an effect that is no longer owed: late, or said twice. Normal.
    Late,
    /// The state does not take the event.
    Illegal {
        /// The state.
        state: String,
        /// The event.
        event: String,
        /// What the state takes.
        expected: Vec<String>,
    },
    /// It would change nothing, or not what may be changed; a sentence.
    Pointless(String),
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refused::Unknown => f.write_str("there is no such campaign"),
            Refused::Exists => f.write_str("campaign already running"),
            Refused::Late => f.write_str("the effect is not owed any more"),
            Refused::Illegal {
                state,
                event,
                expected,
            } => {
                write!(
                    f,
                    "{event} does not fit: it is {state}, which takes {}",
                    expected.join(", ")
                )
            }
            Refused::Pointless(text) => f.write_str(text),
        }
    }
}

/// Decides.
///
/// `tree` is the campaign as it was, none before it is submitted; `now` is when the event happened.
///
/// # Errors
/// [`Refused`], and nothing has changed.
pub fn step(
    tree: Option<&CampaignTree>,
    event: &Event,
    now: Timestamp,
) -> Result<Outcome, Refused> {
    let mut stepper = match (tree, event) {
        (None, Event::Submitted { spec, parts }) => {
            if let Some(problem) = spec.problems().into_iter().next() {
                return Err(Refused::Pointless(problem));
            }
            let draft = Campaign::draft((**spec).clone(), *parts, now);
            Stepper::new(CampaignTree::new(draft), now)
        }
        (None, _) => return Err(Refused::Unknown),
        (Some(_), Event::Submitted { .. }) => return Err(Refused::Exists),
        (Some(tree), _) => Stepper::new(tree.clone(), now),
    };
    if let Some(effect) = event.effect()
        && !stepper.tree.outbox.contains_key(effect)
    {
        return Err(Refused::Late);
    }
    stepper.fold(event)?;
    debug_assert_eq!(
        stepper.tree.check(),
        Vec::<String>::new(),
        "after {}",
        event.name()
    );
    Ok(Outcome {
        what: stepper.said.join("; "),
        tree: stepper.tree,
    })
}

/// One step under way.
struct Stepper {
    tree: CampaignTree,
    now: Timestamp,
    /// What happened, for the journal.
    said: Vec<String>,
}

impl Stepper {
    fn new(tree: CampaignTree, now: Timestamp) -> Self {
        Self {
            tree,
            now,
            said: Vec::new(),
        }
    }

    fn say(&mut self, text: impl Into<String>) {
        self.said.push(text.into());
    }

    /// The next effect of this campaign goes into the outbox; gives its id.
    fn owe(&mut self, effect: Effect) -> EffectId {
        let campaign = &mut self.tree.campaign;
        let id = campaign.id.effect(campaign.next_number);
        campaign.next_number += 1;
        self.tree.outbox.insert(
            id.clone(),
            Obligation {
                effect,
                since: self.now,
            },
        );
        id
    }

    /// The campaign takes an event: the route of its table, then the new state's entry effects.
    fn fire(&mut self, event: EventName, text: &str) -> Result<(), Refused> {
        let tree = &self.tree;
        let table = &tables().campaign;
        let state = tree.campaign.state.name();
        let to = table
            .route(state, event, |guard| tree.holds(guard))
            .ok_or_else(|| self.illegal(event))?;
        self.enter(to, event, text)
    }

    fn illegal(&self, event: EventName) -> Refused {
        let state = self.tree.campaign.state.name();
        let expected = tables().campaign.expected(state);
        Refused::Illegal {
            state: state.into(),
            event: event.name().into(),
            expected: expected.iter().map(|event| event.name().into()).collect(),
        }
    }

    /// Enters the first state from `to` on that is not passed over.
    fn enter(&mut self, to: &str, event: EventName, text: &str) -> Result<(), Refused> {
        let table = &tables().campaign;
        let mut name = to;
        loop {
            let row = table.row(name);
            match (row.only_if, &row.otherwise) {
                (Some(guard), Some(next)) if !self.tree.holds(guard) => name = next,
                _ => break,
            }
        }
        let state: State = name
            .parse()
            .expect("the table's states are the enum's: tests/machines.rs");
        let row = table.row(name);
        self.leave(state, event);
        let now = self.now;
        let campaign = &mut self.tree.campaign;
        if campaign.state != state {
            campaign.state_since = now;
        }
        campaign.state = state;
        campaign.deadline_at = row.deadline().map(|limit| now.after(limit));
        campaign.ended_at = row.ends.then_some(now);
        campaign.trail.push(Transition {
            at: now,
            event: event.name().into(),
            to: state,
            text: text.into(),
        });
        let surplus = campaign.trail.len().saturating_sub(TRAIL);
        campaign.trail.drain(..surplus);
        self.tree
            .outbox
            .retain(|_, owed| !owed.effect.belongs_to_state());
        self.say(format!("{name}: {text}"));
        self.time_stages(state);
        row.entry
            .iter()
            .try_for_each(|entry| self.perform_entry(*entry))
    }

    /// What leaving the present state changes in the record.
    fn leave(&mut self, to: State, event: EventName) {
        let campaign = &mut self.tree.campaign;
        if to == State::Failed {
            campaign.failed_in = Some(campaign.state);
        } else if event == EventName::RetryAsked {
            campaign.failed_in = None;
            campaign.cause = None;
            campaign.stopped = None;
            campaign.forgiven = self.tree.experiments.len() as u64;
        }
        // A jump past the gate needs somebody who answers for it.
        if to == State::Launching && campaign.approval.is_none() {
            let by = match event {
                EventName::ApprovalGranted => "person",
                EventName::PilotJudged => "gate",
                _ => "skip_pilot",
            };
            campaign.approval = Some(campaign::Approval {
                by: by.into(),
                at: self.now,
            });
        }
    }

    fn time_stages(&mut self, state: State) {
        let now = self.now;
        let stages = &mut self.tree.campaign.stages;
        let current = state.stage();
        for timed in stages
            .iter_mut()
            .filter(|timed| Some(timed.stage) != current)
        {
            timed.ended_at.get_or_insert(now);
        }
        let Some(stage) = current else { return };
        match stages.iter_mut().find(|timed| timed.stage == stage) {
            Some(timed) => timed.ended_at = None,
            None => stages.push(campaign::StageTime {
                stage,
                started_at: now,
                ended_at: None,
            }),
        }
    }

    fn perform_entry(&mut self, entry: Entry) -> Result<(), Refused> {
        use super::job::Phase;
        match entry {
            Entry::RunPilot => self.run_phase(Phase::Pilot),
            Entry::RunGeneration => self.run_phase(Phase::Generate),
            Entry::RunExecution => self.run_phase(Phase::Execute),
            Entry::RunCuration => self.run_phase(Phase::Curate),
            Entry::RunEvaluation => self.run_phase(Phase::Evaluate),
            Entry::StartTraining => self.start_training()?,
            Entry::JudgePilot => {
                let look = self.tree.campaign.look;
                self.owe(Effect::JudgePilot { look });
            }
            Entry::WriteRecord => {
                let cycle = self.tree.campaign.cycle;
                self.owe(Effect::WriteRecord { cycle });
            }
            Entry::KeepResults if self.tree.has_unkept_results() => {
                let cycle = self.tree.campaign.cycle;
                self.owe(Effect::KeepResults { cycle });
            }
            Entry::PlanNext => {
                let cycle = self.tree.campaign.cycle;
                self.owe(Effect::PlanNext { cycle });
            }
            Entry::EndJobs => self.end_jobs(),
            // Entries of the other machines; a test keeps them out of the campaign's table.
            _ => {}
        }
        Ok(())
    }
}

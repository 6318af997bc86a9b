//! The campaign's record: where it is, and the facts beside that.

use super::{
    job::Phase,
    spec::{CampaignSpec, Parts},
    table::Guard,
};
use crate::{
    evaluation::{Decision, Verdict},
    history::constraints::Ruling,
    ids::CampaignId,
    time::Timestamp,
    words::words,
};
use serde::{Deserialize, Serialize};

words! {
    /// The states of `state-machines/campaign.toml`.
    pub enum State {
        /// Handed in.
        Drafted = "drafted",
        /// Pilot samples are made.
        Piloting = "piloting",
        /// The pilot is judged.
        Validating = "validating",
        /// The part that was asked for is done.
        Halted = "halted",
        /// The gate approved; a person is asked.
        AwaitingApproval = "awaiting_approval",
        /// The gate, or a person, said no.
        Rejected = "rejected",
        /// The full generation is started.
        Launching = "launching",
        /// The full generation runs.
        Generating = "generating",
        /// Generated workflows are run.
        Executing = "executing",
        /// Samples become a data set.
        Curating = "curating",
        /// An adapter is trained.
        Training = "training",
        /// The adapter is measured.
        Evaluating = "evaluating",
        /// The result is written into the history.
        Recording = "recording",
        /// The next cycle is planned.
        Planning = "planning",
        /// Proposals wait for a person.
        AwaitingDecision = "awaiting_decision",
        /// Everything asked for is done.
        Completed = "completed",
        /// A person ended it.
        Cancelled = "cancelled",
        /// It cannot go on by itself.
        Failed = "failed",
    }
}

impl State {
    /// Whether the campaign is over, until a person retries a failed one.
    pub fn ended(self) -> bool {
        matches!(self, State::Completed | State::Cancelled | State::Failed)
    }

    /// The step of a campaign that a state belongs to, as shown to people.
    pub fn stage(self) -> Option<Stage> {
        Some(match self {
            State::Piloting => Stage::Pilot,
            State::Validating | State::AwaitingApproval => Stage::Gate,
            State::Launching | State::Generating => Stage::Generate,
            State::Executing => Stage::Execute,
            State::Curating => Stage::Curate,
            State::Training => Stage::Train,
            State::Evaluating => Stage::Evaluate,
            State::Recording => Stage::Record,
            State::Planning | State::AwaitingDecision => Stage::Plan,
            _ => return None,
        })
    }

    /// What the specification's status files call it (specification 3, "phase").
    pub fn spoken(self, verdict: Option<Decision>) -> &'static str {
        match self {
            State::Drafted | State::Piloting => "monitoring_pilot",
            State::Validating => "validating_pilot",
            State::Rejected => "validation_failed",
            State::Halted if verdict.is_none() => "monitoring_pilot",
            State::Halted | State::AwaitingApproval => "validation_complete",
            State::Failed => "launch_failed",
            State::Completed => "campaign_complete",
            _ => "campaign_launched",
        }
    }
}

words! {
    /// The steps of a campaign that a screen lists.
    pub enum Stage {
        /// Pilot samples.
        Pilot = "pilot",
        /// The quality gate.
        Gate = "gate",
        /// The full generation.
        Generate = "generate",
        /// Running generated workflows.
        Execute = "execute",
        /// Samples to a data set.
        Curate = "curate",
        /// Training.
        Train = "train",
        /// Evaluation.
        Evaluate = "evaluate",
        /// History.
        Record = "record",
        /// The next proposals.
        Plan = "plan",
    }
}

/// When a step began and ended, over all its attempts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTime {
    /// Which step.
    pub stage: Stage,
    /// When it was first entered.
    pub started_at: Timestamp,
    /// When it was left for good.
    pub ended_at: Option<Timestamp>,
}

/// Who launched the full generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// `gate`, `person`, or `skip_pilot`.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

words! {
    /// What ends the cycles of a campaign.
    pub enum StopCause {
        /// As many as were asked for are done.
        Cycles = "cycles",
        /// A result is good enough.
        Goal = "goal",
        /// The budget is spent.
        Budget = "budget",
        /// Too many experiments failed one after the other.
        Failures = "failures",
        /// Nothing is left to try, or nothing that may be.
        Nothing = "nothing",
    }
}

/// Why there is no further cycle.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// What ended them.
    pub by: StopCause,
    /// One sentence with the evidence.
    pub text: String,
}

/// One transition, for `explain`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transition {
    /// When.
    pub at: Timestamp,
    /// The event's name.
    pub event: String,
    /// The state it led to.
    pub to: State,
    /// One sentence with the evidence.
    pub text: String,
}

/// How many transitions a record keeps; the journal keeps all.
pub const TRAIL: usize = 24;

/// The record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// What is asked for, frozen but for an amended gate.
    pub spec: CampaignSpec,
    /// Which part is asked for.
    pub parts: Parts,
    /// Where it is in `state-machines/campaign.toml`.
    pub state: State,
    /// Since when.
    pub state_since: Timestamp,
    /// When the state has lasted too long.
    pub deadline_at: Option<Timestamp>,
    /// Since when nothing new starts.
    pub paused_at: Option<Timestamp>,
    /// When it was handed in.
    pub created_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Which look at the pilot, from 1.
    pub look: u32,
    /// The last verdict.
    pub verdict: Option<Verdict>,
    /// When it was given.
    pub judged_at: Option<Timestamp>,
    /// Who launched the full generation.
    pub approval: Option<Approval>,
    /// Which cycle of training, from 1.
    pub cycle: u32,
    /// The number the next proposal gets.
    pub next_proposal: u64,
    /// Why there is no further cycle.
    pub stopped: Option<Stopped>,
    /// Experiments that had failed when a person let the campaign go on: they do not count towards `planning.failures`.
    pub forgiven: u64,
    /// What persons ruled about constraints, in order.
    pub rulings: Vec<Ruling>,
    /// The steps it has been through.
    pub stages: Vec<StageTime>,
    /// Why it failed, was rejected or cancelled.
    pub cause: Option<String>,
    /// The state it failed in.
    pub failed_in: Option<State>,
    /// The number the next effect gets.
    pub next_number: u64,
    /// The latest transitions.
    pub trail: Vec<Transition>,
}

impl Campaign {
    /// A campaign as it is handed in.
    pub fn draft(spec: CampaignSpec, parts: Parts, now: Timestamp) -> Self {
        Self {
            id: spec.name.clone(),
            spec,
            parts,
            state: State::Drafted,
            state_since: now,
            deadline_at: None,
            paused_at: None,
            created_at: now,
            ended_at: None,
            look: 1,
            verdict: None,
            judged_at: None,
            approval: None,
            cycle: 1,
            next_proposal: 1,
            stopped: None,
            forgiven: 0,
            rulings: Vec::new(),
            stages: Vec::new(),
            cause: None,
            failed_in: None,
            next_number: 1,
            trail: Vec::new(),
        }
    }

    /// Whether it asks for further cycles than the present one.
    pub fn has_cycles_left(&self) -> bool {
        let plan = self.spec.planning.as_ref();
        plan.is_some_and(|plan| self.cycle < plan.cycles)
    }

    /// Whether a route's condition holds.
    pub fn holds(&self, guard: Guard) -> bool {
        let decision = self.verdict.as_ref().map(|verdict| verdict.decision);
        let failed = |states: &[State]| self.failed_in.is_some_and(|state| states.contains(&state));
        match guard {
            Guard::SkipPilot => self.parts == Parts::SkipPilot,
            Guard::OnlyPilot => self.parts == Parts::OnlyPilot,
            Guard::OnlyValidate => self.parts == Parts::OnlyValidate,
            Guard::VerdictExtend => decision == Some(Decision::Extend),
            // No verdict is no approval.
            Guard::VerdictReject => matches!(decision, None | Some(Decision::Reject)),
            Guard::AutoLaunch => self.spec.auto_launch,
            Guard::HasExecution => self.spec.execution.is_some(),
            Guard::HasCuration => self.spec.curation.is_some(),
            Guard::HasTraining => self.spec.training.is_some(),
            Guard::HasEvaluation => self.spec.evaluation.is_some(),
            Guard::CyclesLeft => self.stopped.is_none() && self.has_cycles_left(),
            Guard::BreakerOpen => self
                .stopped
                .as_ref()
                .is_some_and(|stopped| stopped.by == StopCause::Failures),
            Guard::ResultsAreKept => self.spec.planning.is_some(),
            Guard::StoppedInPilot => failed(&[State::Drafted, State::Piloting]),
            Guard::StoppedInGate => failed(&[State::Validating]),
            Guard::StoppedInGeneration => failed(&[State::Launching, State::Generating]),
            Guard::StoppedInExecution => failed(&[State::Executing]),
            Guard::StoppedInCuration => failed(&[State::Curating]),
            Guard::StoppedInTraining => failed(&[State::Training]),
            Guard::StoppedInPlanning => failed(&[State::Planning, State::AwaitingDecision]),
            Guard::StoppedInEvaluation => failed(&[State::Evaluating]),
            // Those of the other machines.
            _ => false,
        }
    }

    /// Samples that a phase is asked for in its present round.
    pub fn target(&self, phase: Phase) -> u64 {
        match phase {
            Phase::Pilot => self.spec.criteria.asked_at(self.look),
            Phase::Generate => self.spec.campaign_target,
            _ => 0,
        }
    }

    /// The round of a phase: the look of a pilot, the cycle of a training or evaluation.
    pub fn round(&self, phase: Phase) -> u32 {
        match phase {
            Phase::Pilot => self.look,
            Phase::Train | Phase::Evaluate => self.cycle,
            _ => 1,
        }
    }

    /// The exit status of `run` and `wait` for its state; none while it goes on by itself.
    pub fn exit_status(&self) -> Option<u8> {
        Some(match self.state {
            State::Completed | State::Halted => 0,
            State::Rejected => 3,
            State::Failed => 4,
            State::Cancelled => 5,
            State::AwaitingApproval | State::AwaitingDecision => 6,
            _ => return None,
        })
    }

    /// Sentences about facts that cannot be; empty for a sound record.
    pub fn check(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut say = |wrong: bool, what: &str| {
            if wrong {
                found.push(format!("campaign {} is {}: {what}", self.id, self.state));
            }
        };
        let approved = self.verdict.as_ref().is_some_and(Verdict::approved);
        let launched = !matches!(
            self.state,
            State::Drafted
                | State::Piloting
                | State::Validating
                | State::Halted
                | State::AwaitingApproval
                | State::Rejected
                | State::Cancelled
                | State::Failed
        );
        say(
            launched && self.approval.is_none(),
            "nobody approved the launch",
        );
        let gate = self
            .approval
            .as_ref()
            .is_some_and(|approval| approval.by == "gate");
        say(
            launched && gate && !approved,
            "the gate launched without an approving verdict",
        );
        say(
            self.state == State::AwaitingApproval && !approved,
            "asks for approval of nothing",
        );
        say(
            self.state.ended() != self.ended_at.is_some(),
            "ended without a time, or the reverse",
        );
        say(
            self.state == State::Failed && self.cause.is_none(),
            "failed without a cause",
        );
        say(
            self.look == 0 || self.look > self.spec.criteria.looks(),
            "counts an impossible look",
        );
        say(
            self.state.ended() && self.deadline_at.is_some(),
            "has ended and has a deadline",
        );
        found
    }
}

//! From one cycle to the next: results are kept, proposals are decided, and something says when it is enough.

use super::{Refused, Stepper};
use crate::{
    history::{Experiment, History, Status},
    ids::EffectId,
    machines::{
        campaign::{State, StopCause, Stopped},
        effect::Effect,
        job::State as JobState,
        plan,
        proposal::{Proposal, State as ProposalState},
        table::EventName,
        training_run::State as RunState,
    },
    planning::approval::{Check, CheckName},
};
use std::{collections::BTreeMap, sync::Arc};

impl Stepper {
    /// Results enter the history once, by their ids; then something may say that it is enough.
    pub(super) fn recorded(
        &mut self,
        effect: &EffectId,
        experiments: &[Experiment],
    ) -> Result<(), Refused> {
        let owed = self.tree.outbox.remove(effect);
        let known = Arc::make_mut(&mut self.tree.experiments);
        for one in experiments {
            known.insert(one.experiment_id.clone(), one.clone());
        }
        // The campaign has ended, or was begun again and records the cycle when it is done.
        if let Some(Effect::KeepResults { cycle }) = owed.map(|owed| owed.effect) {
            let count = experiments.len();
            self.say(format!("{count} results of cycle {cycle} are kept"));
            return Ok(());
        }
        let cycle = self.tree.campaign.cycle;
        let tried = Arc::make_mut(&mut self.tree.proposals).values_mut();
        for proposal in tried.filter(|proposal| proposal.cycle == Some(cycle)) {
            proposal.state = ProposalState::Tried;
        }
        self.stop_if_enough();
        let stopped = self.tree.campaign.stopped.clone();
        let text = match &stopped {
            Some(stopped) => format!("the result is in the history; {}", stopped.text),
            None => "the result is in the history".into(),
        };
        self.fire(EventName::Recorded, &text)?;
        if self.tree.campaign.state == State::Failed {
            self.tree.campaign.cause = stopped.map(|stopped| stopped.text);
        }
        Ok(())
    }

    fn stop_if_enough(&mut self) {
        let campaign = &self.tree.campaign;
        let Some(plan) = campaign.spec.planning.as_ref() else {
            return;
        };
        if campaign.stopped.is_some() {
            return;
        }
        let completed = self.tree.experiments.values();
        let mut completed = completed.filter(|one| one.status == Status::Completed);
        let goal = plan.stop_when.as_ref();
        let reached = goal.and_then(|goal| {
            let found = completed.find(|one| goal.reached(&one.metrics))?;
            Some(format!(
                "{goal} is reached: {} by {}",
                found.metrics.get(&goal.metric).copied().unwrap_or_default(),
                found.experiment_id
            ))
        });
        let failures = self.tree.failures_in_a_row();
        let stopped = if let Some(text) = reached {
            Some((StopCause::Goal, text))
        } else if failures >= u64::from(plan.failures) {
            let text = format!(
                "{failures} experiments failed one after the other (planning.failures = {})",
                plan.failures
            );
            Some((StopCause::Failures, text))
        } else if campaign.cycle >= plan.cycles {
            let text = match plan.cycles {
                1 => "its one cycle is done".into(),
                cycles => format!("all {cycles} cycles are done"),
            };
            Some((StopCause::Cycles, text))
        } else {
            None
        };
        self.tree.campaign.stopped = stopped.map(|(by, text)| Stopped { by, text });
    }

    /// What was planned: each proposal is approved by its checks, or refused by one, or waits for a person.
    pub(super) fn planned(
        &mut self,
        effect: &EffectId,
        proposals: &[Proposal],
        why: &str,
    ) -> Result<(), Refused> {
        self.tree.outbox.remove(effect);
        let up_to = self.tree.campaign.spec.planning.as_ref();
        let up_to = up_to.and_then(|plan| plan.approval);
        let mut counts = [0; 3];
        let mut fresh = Vec::new();
        for proposal in proposals {
            let mut proposal = proposal.clone();
            let automatic = up_to.is_some_and(|risk| proposal.risk <= risk);
            let (place, state) = match proposal.refusal() {
                Some(_) => (2, ProposalState::Refused),
                None if automatic => (0, ProposalState::Approved),
                None => (1, ProposalState::Waiting),
            };
            counts[place] += 1;
            proposal.state = state;
            if state != ProposalState::Waiting {
                proposal.decided_by = "checks".into();
                proposal.decided_at = Some(self.now);
            }
            fresh.push(self.keep(proposal));
        }
        let [approved, waiting, refused] = counts;
        let mut text = format!("{approved} proposals approved, {waiting} wait, {refused} refused");
        if !why.is_empty() {
            text += &format!("; {why}");
        }
        self.take_approved(&fresh);
        if !self.tree.has_proposal() && !self.tree.proposal_waits() {
            let cycle = self.tree.campaign.cycle;
            let refused = self.tree.proposals.values();
            let now = |one: &&Proposal| one.decided_at == Some(self.now);
            let refusals = refused.filter(now).filter_map(Proposal::refusal);
            let mut refusals: Vec<String> = refusals
                .map(|check| format!("{}: {}", check.name, check.reason))
                .collect();
            refusals.dedup();
            let text = match refusals.as_slice() {
                [] => format!("nothing is proposed after cycle {cycle}: {why}"),
                all => format!("every proposal is refused: {}", all.join("; ")),
            };
            self.tree.campaign.stopped = Some(Stopped {
                by: StopCause::Nothing,
                text,
            });
        }
        self.fire(EventName::Planned, &text)
    }

    /// A proposal gets its id, and its fine-tune with it.
    fn keep(&mut self, mut proposal: Proposal) -> String {
        let campaign = &mut self.tree.campaign;
        let id = format!("p{}", campaign.next_proposal);
        campaign.next_proposal += 1;
        proposal.id.clone_from(&id);
        proposal.run.name.clone_from(&id);
        proposal.cycle = None;
        proposal.created_at = self.now;
        Arc::make_mut(&mut self.tree.proposals).insert(id.clone(), proposal);
        id
    }

    /// What is approved is tried in the next cycle, which begins with that; but for what breaks a constraint learned since.
    /// Those that are `fresh` were held by the planner to everything that is known.
    fn take_approved(&mut self, fresh: &[String]) {
        let next = self.tree.campaign.cycle + 1;
        let open = |one: &&Proposal| one.state == ProposalState::Approved && one.cycle.is_none();
        let approved = self.tree.proposals.values().filter(open);
        let approved: Vec<String> = approved.map(|one| one.id.clone()).collect();
        let older = approved.iter().filter(|id| !fresh.contains(id));
        let broken = self.broken(&older.cloned().collect::<Vec<String>>());
        for id in &approved {
            if let Some(reason) = broken.get(id) {
                self.refuse(id, reason);
            } else if let Some(proposal) = Arc::make_mut(&mut self.tree.proposals).get_mut(id) {
                proposal.cycle = Some(next);
            }
        }
        if broken.len() < approved.len() {
            self.tree.campaign.cycle = next;
        }
    }

    /// A proposal is refused for a constraint.
    fn refuse(&mut self, id: &str, reason: &str) {
        let Some(proposal) = Arc::make_mut(&mut self.tree.proposals).get_mut(id) else {
            return;
        };
        proposal.state = ProposalState::Refused;
        proposal.decided_by = "checks".into();
        proposal.decided_at = Some(self.now);
        proposal.checks.push(Check {
            name: CheckName::Constraints,
            passed: false,
            reason: reason.into(),
        });
        self.said.push(format!("{id} is refused: {reason}"));
    }

    /// A person wants something tried: the next cycle does.
    pub(super) fn proposed(&mut self, proposal: &Proposal) -> Result<(), Refused> {
        let campaign = &self.tree.campaign;
        if campaign.spec.planning.is_none() {
            let text = "it has no [planning]: nothing would try it";
            return Err(Refused::Pointless(text.into()));
        }
        let more = campaign.stopped.is_none() && campaign.has_cycles_left();
        if campaign.state.ended() || !(more || self.waits_for_decision()) {
            return Err(Refused::Pointless("it has no further cycle".into()));
        }
        if let Some(check) = proposal.refusal() {
            let text = format!("{}: {}", check.name, check.reason);
            return Err(Refused::Pointless(text));
        }
        let approved = Proposal {
            state: ProposalState::Approved,
            decided_at: Some(self.now),
            ..proposal.clone()
        };
        let id = self.keep(approved);
        self.say(format!("{id} is proposed by a person"));
        self.go_on_if_decided()
    }

    fn waits_for_decision(&self) -> bool {
        self.tree.campaign.state == State::AwaitingDecision
    }

    /// A person's word on proposals that wait.
    pub(super) fn proposals_decided(
        &mut self,
        ids: &[String],
        approve: bool,
        by: &str,
    ) -> Result<(), Refused> {
        let state = self.tree.campaign.state;
        if state.ended() && state != State::Failed {
            return Err(Refused::Pointless(format!("it is {state} already")));
        }
        let waits = |id: &&String| {
            let proposal = self.tree.proposals.get(*id);
            proposal.is_some_and(|one| one.state == ProposalState::Waiting)
        };
        if let Some(other) = ids.iter().find(|id| !waits(id)) {
            let text = match self.tree.proposals.get(other) {
                Some(one) => format!("proposal {other} is {} already", one.state),
                None => format!("there is no proposal {other}"),
            };
            return Err(Refused::Pointless(text));
        }
        if ids.is_empty() {
            return Err(Refused::Pointless("no proposal waits".into()));
        }
        // What was learned since it was proposed holds for it, too.
        let broken = match approve {
            true => self.broken(ids),
            false => BTreeMap::new(),
        };
        for id in ids {
            let Some(proposal) = Arc::make_mut(&mut self.tree.proposals).get_mut(id) else {
                continue;
            };
            proposal.decided_by = by.into();
            proposal.decided_at = Some(self.now);
            proposal.state = match approve {
                true => ProposalState::Approved,
                false => ProposalState::Refused,
            };
            if let Some(reason) = broken.get(id) {
                self.refuse(id, reason);
            }
        }
        let verb = if approve { "approved" } else { "refused" };
        self.say(format!("{} {verb} by {by}", ids.join(", ")));
        self.go_on_if_decided()
    }

    /// Of these proposals, those that break a hard constraint of what the campaign itself has learned, with a sentence.
    fn broken(&self, ids: &[String]) -> BTreeMap<String, String> {
        if ids.is_empty() {
            return BTreeMap::new();
        }
        let history = History::new(self.tree.experiments.values().cloned().collect());
        plan::broken(&self.tree, &history, ids, self.now)
    }

    fn go_on_if_decided(&mut self) -> Result<(), Refused> {
        if !self.waits_for_decision() {
            return Ok(());
        }
        self.take_approved(&[]);
        if !self.tree.has_proposal() && !self.tree.proposal_waits() {
            self.tree.campaign.stopped = Some(Stopped {
                by: StopCause::Nothing,
                text: "every proposal is refused".into(),
            });
        }
        self.fire(EventName::ProposalsDecided, "a person decided")
    }

    /// Nothing more is launched. What runs goes on to its end, and what it teaches is kept.
    pub(super) fn budget_spent(&mut self, text: &str) -> Result<(), Refused> {
        let waiting = |state: JobState| state == JobState::Waiting;
        let jobs = self.tree.jobs.values();
        let waiting: Vec<EffectId> = jobs
            .filter(|job| waiting(job.state))
            .map(|job| job.id.clone())
            .collect();
        if waiting.is_empty() {
            return Err(Refused::Late);
        }
        self.say(text);
        self.tree.campaign.stopped = Some(Stopped {
            by: StopCause::Budget,
            text: text.into(),
        });
        if self.tree.campaign.state != State::Training {
            self.fire(EventName::BudgetSpent, text)?;
            if self.tree.campaign.state == State::Failed {
                self.tree.campaign.cause = Some(text.into());
            }
            // A campaign that records what it has fails nothing, and would leave them waiting for ever.
            for id in waiting {
                self.end_job(&id);
            }
            return Ok(());
        }
        let mut runs = Vec::new();
        for id in waiting {
            runs.extend(self.tree.jobs.get(&id).and_then(|job| job.run.clone()));
            self.end_job(&id);
        }
        self.tree.campaign.cause = Some(text.into());
        for key in runs {
            if let Some(run) = self.tree.runs.get_mut(&key) {
                run.state = RunState::Cancelled;
                run.ended_at = Some(self.now);
            }
        }
        self.close_training_if_over()
    }
}

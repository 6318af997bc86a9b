//! What each external event changes in the records, before the tables say where that leads.

use super::{Refused, Stepper};
use crate::{
    evaluation::{Criteria, Decision, Verdict},
    ids::EffectId,
    machines::{
        budget,
        campaign::{State, StopCause},
        effect::Effect,
        event::Event,
        job::TaskEnd,
        spec::{BudgetSpec, Parts},
        table::EventName,
    },
};

impl Stepper {
    /// One match over everything that can happen.
    pub(super) fn fold(&mut self, event: &Event) -> Result<(), Refused> {
        match event {
            Event::Submitted { spec, .. } => {
                let text = format!("{} samples, then the gate", spec.criteria.pilot_target);
                self.fire(EventName::Submitted, &text)
            }
            Event::Continued { parts } => self.continued(*parts),
            Event::ApprovalGranted {} => self.fire(EventName::ApprovalGranted, "a person approved"),
            Event::ApprovalDenied { why } => {
                self.fire(EventName::ApprovalDenied, why)?;
                self.tree.campaign.cause = Some(format!("a person rejected it: {why}"));
                Ok(())
            }
            Event::CriteriaAmended { criteria } => self.amended(criteria),
            Event::BudgetAmended { budget } => self.budget_amended(budget),
            Event::PauseAsked {} => self.paused(),
            Event::ResumeAsked {} => self.resumed(),
            Event::CancelAsked { why } => {
                self.fire(
                    EventName::CancelAsked,
                    if why.is_empty() {
                        "a person cancelled it"
                    } else {
                        why
                    },
                )?;
                self.tree.campaign.cause = Some(format!("cancelled {why}").trim_end().into());
                Ok(())
            }
            Event::RetryAsked {} => self.retried(),
            Event::DeadlinePassed {} => self.deadline_passed(),
            Event::Interrupted {} => self.interrupted(),
            Event::JobLaunched {
                effect,
                adopted,
                gpus,
            } => self.job_launched(effect, *adopted, *gpus),
            Event::LaunchFailed {
                effect,
                cause,
                text,
            } => self.launch_failed(effect, *cause, text),
            Event::TaskEnded {
                job, shard, end, ..
            } => self.task_ended(job, *shard, end),
            Event::TasksEnded { job, ends, .. } => self.tasks_ended(job, ends),
            Event::JobEnded { job, ends, .. } => self.job_ended(job, ends),
            Event::JobSilent { job, seconds } => self.silence(job, Some(*seconds)),
            Event::JobSpoke { job } => self.silence(job, None),
            Event::PilotJudged { effect, verdict } => self.judged(effect, verdict),
            Event::Recorded {
                effect,
                experiments,
            } => self.recorded(effect, experiments),
            Event::Planned {
                effect,
                proposals,
                why,
            } => self.planned(effect, proposals, why),
            Event::Proposed { proposal } => self.proposed(proposal),
            Event::ProposalsDecided { ids, approve, by } => {
                self.proposals_decided(ids, *approve, by)
            }
            Event::ConstraintRuled { ruling } => {
                self.say(ruling.to_string());
                self.tree.campaign.rulings.push((**ruling).clone());
                Ok(())
            }
            Event::BudgetSpent { text } => self.budget_spent(text),
            Event::EffectFailed { effect, text } => {
                let owed = self.tree.outbox.remove(effect);
                match owed.map(|owed| owed.effect) {
                    // Nothing of the campaign waits for that.
                    Some(Effect::KeepResults { .. }) => {
                        self.say(text);
                        Ok(())
                    }
                    _ => self.fail(text),
                }
            }
        }
    }

    /// The campaign's phase cannot be done.
    pub(super) fn fail(&mut self, cause: &str) -> Result<(), Refused> {
        self.fire(EventName::WorkFailed, cause)?;
        self.tree.campaign.cause = Some(cause.into());
        Ok(())
    }

    /// What is still being ended must be gone before the same work is begun again beside it.
    fn retried(&mut self) -> Result<(), Refused> {
        let live = self.tree.jobs.values().filter(|job| !job.state.ended());
        match live.count() {
            0 => self.fire(EventName::RetryAsked, "a person retried it"),
            live if self.tree.campaign.state == State::Failed => Err(Refused::Pointless(format!(
                "{live} of its jobs are still ending: retry in a moment"
            ))),
            _ => Err(self.illegal(EventName::RetryAsked)),
        }
    }

    fn continued(&mut self, parts: Parts) -> Result<(), Refused> {
        if self.tree.campaign.parts == parts {
            return Err(Refused::Pointless("that part is done already".into()));
        }
        self.tree.campaign.parts = parts;
        self.fire(
            EventName::Continued,
            &format!("a person asked for: {parts}"),
        )
    }

    /// The gate's bar may move; the number of samples that it looks at may not, for they are made already.
    fn amended(&mut self, criteria: &Criteria) -> Result<(), Refused> {
        let old = &self.tree.campaign.spec.criteria;
        if old == criteria {
            return Err(Refused::Pointless("these are the criteria already".into()));
        }
        if old.pilot_target != criteria.pilot_target || self.tree.campaign.look > criteria.looks() {
            return Err(Refused::Pointless(
                "pilot_target is frozen, its samples are made".into(),
            ));
        }
        if let Some(problem) = criteria.problems().into_iter().next() {
            return Err(Refused::Pointless(problem));
        }
        let text = format!(
            "quality_threshold {} -> {}",
            old.quality_threshold, criteria.quality_threshold
        );
        self.fire(EventName::CriteriaAmended, &text)?;
        self.tree.campaign.spec.criteria = criteria.clone();
        self.tree.campaign.cause = None;
        Ok(())
    }

    /// The budget may change at any time until the campaign is over for good. Tasks that run keep the slices they were
    /// dealt; what is dealt from now on is of the new budget.
    fn budget_amended(&mut self, asked: &BudgetSpec) -> Result<(), Refused> {
        let campaign = &mut self.tree.campaign;
        if matches!(campaign.state, State::Completed | State::Cancelled) {
            return Err(Refused::Pointless(format!(
                "it is {} already",
                campaign.state
            )));
        }
        let old = campaign.spec.budget.clone().unwrap_or_default();
        let budget = BudgetSpec {
            usd: asked.usd.or(old.usd),
            tokens: asked.tokens.or(old.tokens),
            gpu_hours: asked.gpu_hours.or(old.gpu_hours),
            gpu_hour_usd: asked.gpu_hour_usd.or(old.gpu_hour_usd),
            wall_seconds: asked.wall_seconds.or(old.wall_seconds),
            jobs: asked.jobs.or(old.jobs),
        };
        if budget == old {
            return Err(Refused::Pointless("this is the budget already".into()));
        }
        let is_wrong = |(_, amount): &(_, f64)| !(*amount >= 0.0 && amount.is_finite());
        if let Some((key, amount)) = budget.amounts().find(is_wrong) {
            return Err(Refused::Pointless(format!("{key} = {amount} is no amount")));
        }
        let text = budget.to_string();
        campaign.spec.budget = Some(budget);
        let stopped = campaign.stopped.as_ref().map(|stopped| stopped.by);
        if stopped == Some(StopCause::Budget) && budget::exhausted(&self.tree, self.now).is_none() {
            self.tree.campaign.stopped = None;
        }
        self.say(format!("budget: {text}"));
        Ok(())
    }

    fn paused(&mut self) -> Result<(), Refused> {
        let now = self.now;
        let campaign = &mut self.tree.campaign;
        if campaign.state.ended() {
            return Err(Refused::Pointless(format!(
                "it is {} already",
                campaign.state
            )));
        }
        if campaign.paused_at.is_some() {
            return Err(Refused::Pointless("it is paused already".into()));
        }
        campaign.paused_at = Some(now);
        self.say("paused: nothing new starts");
        Ok(())
    }

    fn resumed(&mut self) -> Result<(), Refused> {
        let now = self.now;
        let campaign = &mut self.tree.campaign;
        let Some(since) = campaign.paused_at.take() else {
            return Err(Refused::Pointless("it is not paused".into()));
        };
        // A pause is not held against the state's deadline.
        campaign.deadline_at = campaign.deadline_at.map(|at| at.after(now.since(since)));
        self.say("resumed");
        Ok(())
    }

    fn deadline_passed(&mut self) -> Result<(), Refused> {
        let campaign = &self.tree.campaign;
        let due = campaign.deadline_at.is_some_and(|at| at <= self.now);
        if !due || campaign.paused_at.is_some() {
            return Err(Refused::Late);
        }
        let cause = format!("{} lasted longer than its deadline allows", campaign.state);
        self.fire(EventName::DeadlinePassed, &cause)?;
        self.tree.campaign.cause = Some(cause);
        Ok(())
    }

    fn interrupted(&mut self) -> Result<(), Refused> {
        let live = self
            .tree
            .jobs
            .values_mut()
            .filter(|job| !job.state.ended() && !job.interrupted && job.slurm.is_none());
        let count = live.map(|job| job.interrupted = true).count();
        if count == 0 {
            return Err(Refused::Pointless("no job runs".into()));
        }
        self.say(format!("{count} jobs are ended, to be started again"));
        Ok(())
    }

    fn silence(&mut self, job: &EffectId, seconds: Option<u64>) -> Result<(), Refused> {
        let now = self.now;
        let job = self.tree.jobs.get_mut(job).ok_or(Refused::Late)?;
        if job.state.ended() || job.silent_since.is_some() == seconds.is_some() {
            return Err(Refused::Late);
        }
        job.silent_since = seconds.map(|_| now);
        let text = match seconds {
            Some(seconds) => format!("job {} is alive but silent for {seconds} s", job.id),
            None => format!("job {} makes progress again", job.id),
        };
        self.say(text);
        Ok(())
    }

    fn judged(&mut self, effect: &EffectId, verdict: &Verdict) -> Result<(), Refused> {
        self.tree.outbox.remove(effect);
        let campaign = &mut self.tree.campaign;
        campaign.verdict = Some(verdict.clone());
        campaign.judged_at = Some(self.now);
        if verdict.decision == Decision::Extend {
            campaign.look += 1;
        }
        let word = match verdict.decision {
            Decision::Approve => "APPROVE",
            Decision::Reject => "REJECT",
            Decision::Extend => "EXTEND",
        };
        self.fire(
            EventName::PilotJudged,
            &format!("{word} {}", verdict.reason),
        )?;
        if self.tree.campaign.state == State::Rejected {
            self.tree.campaign.cause = Some(verdict.reason.clone());
        }
        Ok(())
    }

    fn job_ended(&mut self, job: &EffectId, ends: &[(u32, TaskEnd)]) -> Result<(), Refused> {
        self.said.push(match ends.len() {
            0 => format!("nothing of job {job} was left to end"),
            1 => format!("job {job}: {}", ends[0].1.text),
            several => format!("job {job}: {several} tasks ended on request"),
        });
        for (shard, end) in ends {
            let record = self.tree.jobs.get_mut(job).ok_or(Refused::Late)?;
            if let Some(task) = record.tasks.iter_mut().find(|task| task.shard == *shard) {
                task.end.get_or_insert_with(|| end.clone());
            }
        }
        self.close_job_if_over(job)
    }
}

//! The play: events in virtual time, each decided by the machine, effects admitted as the coordinator admits them.

use super::{
    Assumptions, Rehearsed,
    bounds::{Bound, bounds_of},
    chance::Chance,
    objective::Field,
    record::Notes,
    world::World,
};
use crate::{
    ids::EffectId,
    machines::{
        admission::{self, Limits},
        budget,
        campaign::State,
        event::Event,
        proposal::State as ProposalState,
        spec::{CampaignSpec, Parts},
        step::{Refused, step},
        tree::CampaignTree,
    },
    time::Timestamp,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    iter,
    time::Duration,
};

/// When every rehearsal begins; any time is as good.
const START: Timestamp = Timestamp(1_767_225_600_000);
/// How often the coordinator looks at deadlines, limits and budgets, in milliseconds.
const TICK: i64 = 500;
/// How long a launch counts towards the limit of an hour.
const HOUR: Duration = Duration::from_secs(3600);
/// What a person takes to answer.
const ANSWER: Duration = Duration::from_secs(1);
/// How far ahead is looked for a tick that matters: the longest deadline is shorter.
const AHEAD: i64 = 400 * 86_400_000;

struct Play<'a> {
    assumed: &'a Assumptions,
    limits: Limits,
    world: World<'a>,
    tree: CampaignTree,
    now: Timestamp,
    begun: BTreeSet<EffectId>,
    due: BTreeMap<(Timestamp, u64), Event>,
    asked: u64,
    events: u64,
    bounds: Vec<Bound>,
    notes: Notes,
}

/// Rehearses a campaign until it ends or waits for a person.
///
/// # Errors
/// Assumptions that are none, a campaign that nobody would take, more events than assumed, or nothing left to wait for: a
/// sentence.
pub fn rehearse(
    spec: &CampaignSpec,
    limits: Limits,
    assumed: &Assumptions,
) -> Result<Rehearsed, String> {
    let field = Field::new(
        &assumed.objective,
        spec.planning.as_ref(),
        Chance(assumed.seed),
    );
    if let Some(problem) = assumed.problem().or(field.problem()) {
        return Err(problem);
    }
    let submitted = Event::Submitted {
        spec: Box::new(spec.clone()),
        parts: Parts::Whole,
    };
    let tree = step(None, &submitted, START).map_err(|refused| refused.to_string())?;
    let mut play = Play {
        assumed,
        limits,
        world: World::new(assumed, limits, field),
        tree: tree.tree,
        now: START,
        begun: BTreeSet::new(),
        due: BTreeMap::new(),
        asked: 0,
        events: 1,
        bounds: bounds_of(spec.budget.as_ref()),
        notes: Notes::default(),
    };
    play.run()?;
    let bounds = play
        .bounds
        .iter()
        .map(|bound| bound.sum(&play.tree, play.now));
    let bounds = bounds.collect();
    Ok(play.notes.sum(play.tree, play.now, play.events, bounds))
}

impl Play<'_> {
    fn run(&mut self) -> Result<(), String> {
        self.dispatch();
        while !self.is_over() {
            if self.events >= self.assumed.most_events {
                return Err(format!(
                    "the rehearsal was given up after {} events, the campaign being {} in cycle {}",
                    self.events, self.tree.campaign.state, self.tree.campaign.cycle
                ));
            }
            let next = self.due.first_key_value().map(|((at, _), _)| *at);
            match (next, self.next_tick(next)) {
                (next, Some(tick)) if next.is_none_or(|next| tick <= next) => self.tick(tick)?,
                (Some(_), _) => self.next_event()?,
                (None, _) => {
                    return Err(format!(
                        "the campaign is {} and nothing is under way",
                        self.tree.campaign.state
                    ));
                }
            }
        }
        Ok(())
    }

    /// Whether nothing more comes by itself: what ends, ends its jobs first.
    fn is_over(&mut self) -> bool {
        let campaign = &self.tree.campaign;
        if campaign.exit_status().is_none() || !self.tree.outbox.is_empty() {
            return false;
        }
        let waits = matches!(
            campaign.state,
            State::AwaitingApproval | State::AwaitingDecision
        );
        let is_new = waits && self.notes.asked_now(&self.tree);
        if !(waits && self.assumed.approve) {
            return true;
        }
        if let Some(answer) = self.answer().filter(|_| is_new) {
            self.queue(self.now.after(ANSWER), answer);
        }
        false
    }

    /// What the person says who says yes.
    fn answer(&self) -> Option<Event> {
        match self.tree.campaign.state {
            State::AwaitingApproval => Some(Event::ApprovalGranted {}),
            State::AwaitingDecision => {
                let waiting = self.tree.proposals.values();
                let waiting = waiting.filter(|one| one.state == ProposalState::Waiting);
                Some(Event::ProposalsDecided {
                    ids: waiting.map(|one| one.id.clone()).collect(),
                    approve: true,
                    by: "the person of the rehearsal".into(),
                })
            }
            _ => None,
        }
    }

    fn queue(&mut self, at: Timestamp, event: Event) {
        self.asked += 1;
        self.due.insert((at, self.asked), event);
    }

    fn next_event(&mut self) -> Result<(), String> {
        if let Some(((at, _), event)) = self.due.pop_first() {
            self.now = self.now.max(at);
            self.take(&event)?;
            self.dispatch();
        }
        Ok(())
    }

    /// The machine decides. A late report changes nothing, as ever.
    fn take(&mut self, event: &Event) -> Result<(), String> {
        self.events += 1;
        let after = match step(Some(&self.tree), event, self.now) {
            Ok(outcome) => outcome.tree,
            Err(Refused::Late) => return Ok(()),
            Err(refused) => return Err(format!("{}: {refused}", event.name())),
        };
        let times = (self.notes.looked_at.unwrap_or(START), self.now);
        for bound in &mut self.bounds {
            bound.look(&self.tree, &after, &self.begun, times);
        }
        self.notes.look(&self.tree, &after, event, self.now);
        self.tree = after;
        Ok(())
    }

    /// As the coordinator hands out what is owed.
    fn dispatch(&mut self) {
        let tree = &self.tree;
        self.begun.retain(|id| tree.outbox.contains_key(id));
        let held = self.held();
        let spent = budget::exhausted(tree, self.now).is_some();
        let ready = tree.outbox.iter().filter(|(id, owed)| {
            let forbidden = spent && owed.effect.launches();
            let waits = held.contains(id) || forbidden;
            !(waits || self.begun.contains(*id))
        });
        let ready: Vec<_> = ready
            .map(|(id, owed)| (id.clone(), owed.effect.clone()))
            .collect();
        for (id, effect) in ready {
            let reports = self.world.perform(&self.tree, &id, &effect, self.now);
            self.begun.insert(id);
            for (at, event) in reports {
                self.queue(at, event);
            }
        }
    }

    fn held(&self) -> Vec<EffectId> {
        let begun = |id: &EffectId| self.begun.contains(id);
        admission::held(iter::once(&self.tree), begun, self.limits, self.now)
    }

    /// Whether a launch waits that the budget may forbid.
    fn launch_waits(&self) -> bool {
        let mut owed = self.tree.outbox.iter();
        owed.any(|(id, owed)| owed.effect.launches() && !self.begun.contains(id))
    }

    /// The first look of the coordinator, up to `until`, that changes something.
    fn next_tick(&self, until: Option<Timestamp>) -> Option<Timestamp> {
        let campaign = &self.tree.campaign;
        let first = (self.now.0 - START.0).div_euclid(TICK) + 1;
        let number = |at: Timestamp| {
            let after = at.0 - START.0;
            (after.div_euclid(TICK) + i64::from(after.rem_euclid(TICK) > 0)).max(first)
        };
        let mut ticks: Vec<i64> = campaign.deadline_at.map(number).into_iter().collect();
        if self.launch_waits() {
            let launched = self.tree.jobs.values().filter_map(|job| job.launched_at);
            let opens = launched
                .map(|at| at.after(HOUR))
                .filter(|at| *at > self.now);
            ticks.extend(opens.min().map(number));
            let horizon = until.map_or(self.now.0.saturating_add(AHEAD), |at| at.0);
            ticks.extend(self.spent_at(first, number(Timestamp(horizon))));
        }
        let first = ticks.into_iter().min()?;
        Some(Timestamp(START.0 + first * TICK))
    }

    /// The first of these ticks at which the budget is spent if nothing happens before.
    fn spent_at(&self, first: i64, last: i64) -> Option<i64> {
        let spent = |tick: i64| {
            let at = Timestamp(START.0 + tick * TICK);
            budget::exhausted(&self.tree, at).is_some()
        };
        if !spent(last) {
            return None;
        }
        let (mut low, mut high) = (first - 1, last);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            match spent(middle) {
                true => high = middle,
                false => low = middle,
            }
        }
        Some(high)
    }

    /// As the coordinator looks at the clock: deadlines, budgets, launches.
    fn tick(&mut self, at: Timestamp) -> Result<(), String> {
        self.now = at;
        self.events += 1;
        let campaign = &self.tree.campaign;
        if campaign.paused_at.is_none() && campaign.deadline_at.is_some_and(|limit| limit <= at) {
            self.take(&Event::DeadlinePassed {})?;
        }
        if self.launch_waits()
            && let Some(text) = budget::exhausted(&self.tree, at)
        {
            self.take(&Event::BudgetSpent { text })?;
        }
        self.dispatch();
        Ok(())
    }
}

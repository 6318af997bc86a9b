//! What is to be tried in the next cycle: the campaign's results in, proposals with their reasons out.
//!
//! Pure: the same tree and the same history give the same proposals, so that an effect performed twice proposes nothing else.

mod config;
mod costs;
mod rules;
mod trials;

pub use config::{REFUSED_BY, config};
pub use rules::{broken, constraints, schema};
pub use trials::{best, settings};

use super::{
    proposal::{Prediction, Proposal, State},
    spec::{PlanningSpec, RunSpec},
    tree::CampaignTree,
};
use crate::{
    history::{
        History, Status,
        constraints::{Bound, Constraint, Strength, check},
        smaller_is_better,
    },
    parameters::Assignment,
    planning::{
        Answer, Ask, Candidate, Space, Trial,
        approval::{Approval, Evidence},
        director::{Direction, Rules, direct},
        propose::{enough, propose},
    },
    time::Timestamp,
};

/// What was planned.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// The proposals; the machine gives them their ids.
    pub proposals: Vec<Proposal>,
    /// How they were chosen, or why there are none.
    pub why: String,
}

impl Plan {
    fn none(why: String) -> Self {
        Self {
            proposals: Vec::new(),
            why,
        }
    }
}

/// Everything that proposals of a campaign are judged by.
struct Known<'a> {
    tree: &'a CampaignTree,
    plan: &'a PlanningSpec,
    /// The fine-tune that proposals change.
    base: &'a RunSpec,
    /// Its settings, and its model.
    settings: Assignment,
    space: Space,
    observed: Vec<Trial>,
    /// The experiments that those are.
    evidence: Vec<String>,
    pending: Vec<Assignment>,
    constraints: Vec<Constraint>,
    now: Timestamp,
}

/// Plans the next cycle of a campaign.
pub fn plan(tree: &CampaignTree, history: &History, now: Timestamp) -> Plan {
    let known = match Known::of(tree, history, now) {
        Ok(known) => known,
        Err(why) => return Plan::none(why),
    };
    known.plan().unwrap_or_else(Plan::none)
}

/// What a person proposes, with the checks that are asked of every proposal; named by `by`.
///
/// # Errors
/// A sentence: nothing is planned, or the settings are none.
pub fn of_person(
    tree: &CampaignTree,
    history: &History,
    values: Assignment,
    why: &str,
    by: &str,
    now: Timestamp,
) -> Result<Proposal, String> {
    let known = Known::of(tree, history, now)?;
    // A run of these values is one of the whole setting: what is not named is as in the baseline.
    let run = known.base.with("", &values)?;
    let varied = trials::varied(known.plan, &settings(&run));
    let inside = varied
        .clone()
        .filter(|varied| known.space.encode(varied).is_ok());
    let near = inside
        .as_ref()
        .map_or((1.0, false), |varied| known.nearest(varied));
    let ahead = costs::ahead(tree);
    let evidence = known.evidence_for(&settings(&run), near, None, None, (0.0, ahead));
    let approval = Approval::of(&evidence);
    Ok(Proposal {
        kind: "person".into(),
        why: match why {
            "" => "a person wants it tried".into(),
            why => why.into(),
        },
        decided_by: by.into(),
        ..known.proposal(run, values, &approval)
    })
}

impl<'a> Known<'a> {
    fn of(tree: &'a CampaignTree, history: &History, now: Timestamp) -> Result<Self, String> {
        let spec = &tree.campaign.spec;
        let plan = spec.planning.as_ref().ok_or("it has no [planning]")?;
        let base = spec.training.iter().flat_map(|training| &training.runs);
        let base = base.into_iter().next().ok_or("it has no [training]")?;
        let parameters = plan.vary.iter();
        let parameters = parameters.map(|(name, domain)| (name.clone(), domain.clone()));
        let space = Space::new(parameters.collect()).map_err(|fault| fault.message)?;
        let trials = trials::trials(tree, plan);
        let pending = trials::pending(tree, plan, trials.iter().map(|(_, trial)| trial));
        Ok(Self {
            tree,
            plan,
            base,
            settings: settings(base),
            space,
            evidence: trials
                .iter()
                .map(|(one, _)| one.experiment_id.clone())
                .collect(),
            observed: trials.into_iter().map(|(_, trial)| trial).collect(),
            pending,
            constraints: constraints(tree, history, now),
            now,
        })
    }

    fn plan(&self) -> Result<Plan, String> {
        let plan = self.plan;
        self.check_metric()?;
        let values: Vec<f64> = self.observed.iter().filter_map(|one| one.value).collect();
        let smaller = smaller_is_better(&plan.metric);
        let direction = direct(
            &values,
            smaller,
            enough(self.space.dims()),
            Rules::default(),
        )?;
        let hard = self.hard();
        let breaks = |values: &Assignment, bounds: &[&Bound]| {
            bounds.iter().all(|bound| bound.broken_in(values))
        };
        let allowed = |values: &Assignment| !hard.iter().any(|one| breaks(values, one));
        let allowed: &dyn Fn(&Assignment) -> bool = &allowed;
        let answer = propose(&Ask {
            space: &self.space,
            observed: &self.observed,
            pending: &self.pending,
            count: plan.proposals as usize,
            smaller_is_better: smaller,
            acquisition: plan.acquisition,
            mode: direction.mode,
            allowed: (!hard.is_empty()).then_some(allowed),
            seed: self.seed(),
            warm: None,
        })
        .map_err(|fault| fault.message)?;
        let mut proposals: Vec<Proposal> = Vec::new();
        let mut ahead = costs::ahead(self.tree);
        for candidate in &answer.candidates {
            let proposal = self.judged(candidate, &answer, &direction, ahead)?;
            ahead += usize::from(proposal.refusal().is_none());
            proposals.push(proposal);
        }
        let mut why = format!("{}: {}", direction.mode, direction.reason);
        if let Some(calibration) = &answer.calibration {
            why += &format!(
                "; of {} results left out in turn {:.0} % lie in their 80 % interval",
                calibration.n,
                calibration.inside_80 * 100.0
            );
        }
        if let Some(short) = &answer.short {
            why += &format!("; {short}");
        }
        Ok(Plan { proposals, why })
    }

    /// A metric that no run has cannot be made better.
    fn check_metric(&self) -> Result<(), String> {
        let metric = &self.plan.metric;
        let experiments = self.tree.experiments.values();
        let completed = experiments.filter(|one| one.status == Status::Completed);
        let mut names: Vec<&str> = completed
            .flat_map(|one| one.metrics.keys())
            .map(String::as_str)
            .collect();
        names.sort_unstable();
        names.dedup();
        if names.is_empty() || names.contains(&metric.as_str()) {
            return Ok(());
        }
        Err(format!(
            "no experiment has the metric {metric} (planning.metric); they have {}",
            names.join(", ")
        ))
    }

    /// Another plan in each cycle, and again the same one for the same cycle.
    fn seed(&self) -> u64 {
        let campaign = &self.tree.campaign;
        campaign.spec.seed.wrapping_mul(1_000_003) ^ u64::from(campaign.cycle)
    }

    fn model(&self) -> &str {
        &self.base.model
    }

    /// The hard constraints as they bear on what is varied, with everything else as in the baseline: of each that the baseline
    /// does not keep already, the bounds that varied values may keep. Thousands of settings are asked of in one plan.
    fn hard(&self) -> Vec<Vec<&Bound>> {
        let varied = |bound: &&Bound| self.plan.vary.contains_key(&bound.parameter);
        let open = |one: &'_ Constraint| {
            let mut fixed = one.bounds.iter().filter(|bound| !varied(bound));
            !one.bounds.is_empty() && fixed.all(|bound| bound.broken_in(&self.settings))
        };
        let all = self.constraints.iter();
        all.filter(|one| one.strength == Strength::Hard && one.is_for(self.model()) && open(one))
            .map(|one| one.bounds.iter().filter(varied).collect())
            .collect()
    }

    /// The hard constraints that values break, with everything else as in the baseline.
    fn violations(&self, values: &Assignment) -> Vec<String> {
        let mut all = self.settings.clone();
        all.extend(values.clone());
        let broken = check(&self.constraints, &all, self.model()).into_iter();
        broken
            .filter(|one| one.strength == Strength::Hard)
            .map(|one| one.text)
            .collect()
    }

    /// How far the nearest setting lies that was tried or is pending (1 where there is none), and whether it is nearly the same.
    fn nearest(&self, values: &Assignment) -> (f64, bool) {
        let tried = self.observed.iter().map(|trial| &trial.values);
        let inside = |other: &&Assignment| self.space.encode(other).is_ok();
        let others = tried.chain(&self.pending).filter(inside);
        self.space.nearest(values, others).unwrap_or((1.0, false))
    }

    fn judged(
        &self,
        candidate: &Candidate,
        answer: &Answer,
        direction: &Direction,
        ahead: usize,
    ) -> Result<Proposal, String> {
        let run = self.base.with("", &candidate.values)?;
        let evidence = self.evidence_for(
            &settings(&run),
            self.nearest(&candidate.values),
            candidate.prediction,
            answer.incumbent,
            (candidate.failing, ahead),
        );
        let approval = Approval::of(&evidence);
        let mut why = format!("{}: {}", direction.mode, direction.reason);
        if let Some(worth) = candidate.acquisition {
            why += &format!("; {} {worth:.6}", self.plan.acquisition);
        }
        Ok(Proposal {
            kind: candidate.kind.name().into(),
            why,
            prediction: candidate.prediction.map(|expected| Prediction {
                metric: self.plan.metric.clone(),
                mean: expected.mean,
                sd: expected.sd,
            }),
            ..self.proposal(run, candidate.values.clone(), &approval)
        })
    }

    fn proposal(&self, run: RunSpec, values: Assignment, approval: &Approval) -> Proposal {
        Proposal {
            id: String::new(),
            cycle: None,
            run,
            values,
            kind: String::new(),
            why: String::new(),
            prediction: None,
            checks: approval.checks.clone(),
            risk: approval.risk,
            risks: approval.risks.clone(),
            evidence: self.evidence.clone(),
            state: State::Waiting,
            decided_by: String::new(),
            created_at: self.now,
            decided_at: None,
        }
    }

    fn evidence_for(
        &self,
        all: &Assignment,
        (distance, duplicate): (f64, bool),
        prediction: Option<crate::planning::Prediction>,
        incumbent: Option<crate::planning::Prediction>,
        (failing, ahead): (f64, usize),
    ) -> Evidence {
        let values: Vec<f64> = self.observed.iter().filter_map(|one| one.value).collect();
        let smaller = smaller_is_better(&self.plan.metric);
        let measured = best(self.tree, &self.plan.metric).map(|(_, value)| value);
        Evidence {
            violations: self.violations(all),
            costs: costs::costs(self.tree, self.now, ahead),
            distance,
            duplicate,
            // What the proposer let pass near a tried one, it let pass for the noise.
            repeats: prediction.is_some(),
            prediction,
            incumbent: incumbent.map(|expected| expected.mean).or(measured),
            smaller_is_better: smaller,
            spread: spread(&values),
            failing,
        }
    }
}

/// The standard deviation of results; none with fewer than two.
fn spread(values: &[f64]) -> Option<f64> {
    let n = values.len() as f64;
    if values.len() < 2 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n;
    let squares = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>();
    Some((squares / (n - 1.0)).sqrt())
}

/// Values to be read: `learning_rate=2e-4 r=16`, numbers to four digits; the record has them all.
pub fn shown(values: &Assignment) -> String {
    let all = values
        .iter()
        .map(|(name, value)| format!("{name}={}", value.rounded()));
    all.collect::<Vec<String>>().join(" ")
}

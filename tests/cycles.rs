//! From cycle to cycle in the machine: results kept once, proposals decided, budgets and failures that end it.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod common;

use campaignd::{
    history::{Experiment, Failure, FailureCause, History, Status},
    machines::{
        campaign::{State, StopCause},
        effect::Effect,
        event::Event,
        job::{Cause, TaskEnd},
        plan::{self, Plan},
        proposal::{Proposal, State as ProposalState},
        spec::{BudgetSpec, CampaignSpec, Parts},
        step::{Refused, step},
        tree::CampaignTree,
    },
    parameters::Value,
    planning::approval::Risk,
    time::Timestamp,
};
use common::{NOW, World, experiment, fine_tune, proposal, whole_spec};
use std::time::Duration;

/// A campaign with one fine-tune of one stage that plans, and goes straight to its generation.
fn spec() -> CampaignSpec {
    let mut spec = whole_spec();
    spec.training.as_mut().unwrap().runs = vec![fine_tune("base", 1)];
    spec.evaluation = None;
    spec.curation = None;
    spec.execution = None;
    spec.generator.shards = 1;
    spec.planning.as_mut().unwrap().cycles = 5;
    spec
}

/// What a proposal comes to.
type Came<'a> = &'a dyn Fn(&Case) -> Experiment;

struct Case {
    tree: CampaignTree,
    world: World,
    now: Timestamp,
}

impl Case {
    fn of(spec: CampaignSpec) -> Self {
        let event = Event::Submitted {
            spec: Box::new(spec),
            parts: Parts::SkipPilot,
        };
        Self {
            tree: step(None, &event, NOW).unwrap().tree,
            world: World::default(),
            now: NOW,
        }
    }

    fn try_take(&mut self, event: &Event) -> Result<(), Refused> {
        self.tree = step(Some(&self.tree), event, self.now)?.tree;
        Ok(())
    }

    fn take(&mut self, event: &Event) {
        self.try_take(event).unwrap();
    }

    /// A report, which may come after somebody ended what it tells of.
    fn hear(&mut self, event: &Event) {
        match self.try_take(event) {
            Ok(()) | Err(Refused::Late) => {}
            Err(other) => panic!("{}: {other}", event.name()),
        }
    }

    fn state(&self) -> State {
        self.tree.campaign.state
    }

    /// Performs what is owed until an effect of that name is, which is left to the test.
    fn until(&mut self, name: &str) -> campaignd::ids::EffectId {
        for _ in 0..200 {
            let mut owed = self.tree.outbox.iter();
            let found = owed.find(|(_, owed)| owed.effect.name() == name);
            if let Some((id, _)) = found {
                return id.clone();
            }
            let (id, _) = self.tree.outbox.iter().next().unwrap();
            let events = self.world.perform(&self.tree, &id.clone());
            events.iter().for_each(|event| self.hear(event));
        }
        panic!("{name} is never owed: {}", self.state());
    }

    /// Performs what is owed until nothing is; gives how much that was.
    fn until_ended(&mut self) -> u32 {
        let mut performed = 0;
        while let Some(id) = self.tree.outbox.keys().next().cloned() {
            let events = self.world.perform(&self.tree, &id);
            events.iter().for_each(|event| self.hear(event));
            performed += 1;
        }
        performed
    }

    fn record(&mut self, experiments: Vec<Experiment>) {
        let effect = self.until("write_record");
        self.take(&Event::Recorded {
            effect,
            experiments,
        });
    }

    fn plan(&mut self, proposals: Vec<Proposal>) {
        let effect = self.until("plan_next");
        self.take(&Event::Planned {
            effect,
            proposals,
            why: "explore".into(),
        });
    }

    fn daring(&self, risk: Risk) -> Proposal {
        Proposal {
            risk,
            ..proposal(&self.tree)
        }
    }

    /// An experiment of the present cycle.
    fn came(&self, loss: f64) -> Experiment {
        let mut one = experiment(&self.tree);
        one.metrics.insert("eval_loss".into(), loss);
        one
    }

    fn failed(&self) -> Experiment {
        Experiment {
            status: Status::Failed,
            failure: Some(Failure {
                cause: FailureCause::Memory,
                text: "no memory".into(),
            }),
            ended_at: self
                .now
                .after(Duration::from_secs(self.tree.campaign.cycle.into())),
            ..experiment(&self.tree)
        }
    }

    fn known(&self) -> History {
        History::new(self.tree.experiments.values().cloned().collect())
    }

    /// A person's proposal of a rank is tried in the next cycle, and comes to this.
    fn try_rank(&mut self, rank: i64, came: impl Fn(&Self) -> Experiment) {
        let values = [("r".to_string(), Value::Whole(rank))].into();
        let mine = plan::of_person(&self.tree, &self.known(), values, "", "uid 1", self.now);
        self.take(&Event::Proposed {
            proposal: Box::new(mine.unwrap()),
        });
        self.record(Vec::new());
        self.plan(Vec::new());
        let id = self.tree.present_runs().next().unwrap().name.clone();
        let one = Experiment {
            config: [("r".to_string(), Value::Whole(rank))].into(),
            proposal: Some(id),
            ..came(self)
        };
        self.record(vec![one]);
    }

    /// The ranks that the planner proposes now.
    fn ranks(&self) -> Vec<String> {
        let Plan { proposals, why } = plan::plan(&self.tree, &self.known(), self.now);
        assert!(!proposals.is_empty(), "{why}");
        let open = proposals.iter().filter(|one| one.refusal().is_none());
        let mut ranks: Vec<String> = open.map(|one| one.values["r"].to_string()).collect();
        ranks.sort();
        ranks
    }

    fn stopped(&self) -> (StopCause, String) {
        let stopped = self.tree.campaign.stopped.clone().unwrap();
        (stopped.by, stopped.text)
    }
}

#[test]
fn what_is_approved_trains_in_the_next_cycle_under_its_own_settings() {
    let mut case = Case::of(spec());
    case.record(vec![case.came(1.0)]);
    case.plan(vec![case.daring(Risk::Low), case.daring(Risk::High)]);
    assert_eq!(
        (case.state(), case.tree.campaign.cycle),
        (State::Training, 2)
    );
    let states: Vec<ProposalState> = case.tree.proposals.values().map(|one| one.state).collect();
    assert_eq!(states, [ProposalState::Approved, ProposalState::Waiting]);
    assert_eq!(case.tree.proposals["p1"].decided_by, "checks");
    let runs: Vec<String> = case.tree.present_runs().map(|run| run.key()).collect();
    assert_eq!(runs, ["run-2-p1"]);
    assert_eq!(case.tree.run_spec("p1").unwrap().settings.r, 8);
    let base = case.tree.run_spec("base").unwrap().settings.r;
    assert_ne!(base, 8, "the baseline stays");
    case.record(vec![case.came(0.9)]);
    assert_eq!(case.tree.proposals["p1"].state, ProposalState::Tried);
    // Approved in the meantime, the other one is tried with what is planned next.
    case.take(&Event::ProposalsDecided {
        ids: vec!["p2".into()],
        approve: true,
        by: "uid 1".into(),
    });
    case.plan(vec![case.daring(Risk::Low)]);
    let runs: Vec<String> = case
        .tree
        .present_runs()
        .map(|run| run.name.clone())
        .collect();
    assert_eq!(runs, ["p2", "p3"]);
}

#[test]
fn results_enter_the_history_once() {
    let mut case = Case::of(spec());
    let effect = case.until("write_record");
    let event = Event::Recorded {
        effect,
        experiments: vec![case.came(1.0)],
    };
    case.take(&event);
    let once = case.tree.clone();
    assert_eq!(case.try_take(&event), Err(Refused::Late));
    assert_eq!(case.tree, once);
    assert_eq!(once.experiments.len(), 1);
}

#[test]
fn what_no_person_released_waits_and_can_be_refused() {
    let mut case = Case::of(spec());
    case.record(vec![case.came(1.0)]);
    case.plan(vec![case.daring(Risk::High)]);
    assert_eq!(case.state(), State::AwaitingDecision);
    assert_eq!(case.tree.campaign.exit_status(), Some(6));
    let decide = |ids: &[&str], approve| Event::ProposalsDecided {
        ids: ids.iter().map(|id| id.to_string()).collect(),
        approve,
        by: "uid 1".into(),
    };
    for wrong in [&["p9"][..], &[]] {
        let refused = case.try_take(&decide(wrong, true));
        assert!(matches!(refused, Err(Refused::Pointless(_))), "{refused:?}");
    }
    let mut other = Case {
        tree: case.tree.clone(),
        world: case.world.clone(),
        now: NOW,
    };
    case.take(&decide(&["p1"], true));
    assert_eq!(
        (case.state(), case.tree.campaign.cycle),
        (State::Training, 2)
    );
    other.take(&decide(&["p1"], false));
    assert_eq!(other.state(), State::Completed);
    assert_eq!(other.stopped().0, StopCause::Nothing);
}

#[test]
fn a_person_may_propose_and_the_checks_are_asked() {
    let mut case = Case::of(spec());
    let mut mine = proposal(&case.tree);
    mine.decided_by = "uid 1".into();
    case.take(&Event::Proposed {
        proposal: Box::new(mine.clone()),
    });
    mine.checks[0].passed = false;
    let refused = case.try_take(&Event::Proposed {
        proposal: Box::new(mine),
    });
    assert!(matches!(refused, Err(Refused::Pointless(text)) if text.contains("novelty")));
    case.record(vec![case.came(1.0)]);
    // Nothing else is proposed: what the person wants is tried all the same.
    case.plan(Vec::new());
    let runs: Vec<String> = case
        .tree
        .present_runs()
        .map(|run| run.name.clone())
        .collect();
    assert_eq!(runs, ["p1"]);
    assert_eq!(case.tree.proposals["p1"].decided_by, "uid 1");
}

#[test]
fn what_a_person_tried_elsewhere_hinders_no_plan() {
    let mut spec = spec();
    spec.planning.as_mut().unwrap().proposals = 3;
    let mut case = Case::of(spec);
    // No rank that is varied.
    case.try_rank(64, |case| case.came(1.0));
    assert_eq!(case.tree.proposals["p1"].state, ProposalState::Tried);
    assert_eq!(case.ranks(), ["16", "32", "8"]);
}

#[test]
fn what_came_to_nothing_may_be_tried_again() {
    let of = |cause| {
        move |case: &Case| {
            let mut one = case.failed();
            one.failure.as_mut().unwrap().cause = cause;
            one
        }
    };
    let unmeasured = |case: &Case| Experiment {
        metrics: Default::default(),
        ..case.came(1.0)
    };
    let came = |case: &Case| case.came(1.0);
    let again: [Came<'_>; 3] = [
        &of(FailureCause::Node),
        &of(FailureCause::Refused),
        &unmeasured,
    ];
    let not: [Came<'_>; 2] = [&of(FailureCause::Memory), &came];
    let again = again.map(|came| (came, ["16", "32", "8"].as_slice()));
    let not = not.map(|came| (came, ["16", "32"].as_slice()));
    for (came, ranks) in again.into_iter().chain(not) {
        let mut spec = spec();
        spec.planning.as_mut().unwrap().proposals = 3;
        let mut case = Case::of(spec);
        case.try_rank(8, came);
        let one = case.tree.experiments.values().next().unwrap();
        assert_eq!(case.ranks(), ranks, "{:?}: {:?}", one.status, one.failure);
    }
}

#[test]
fn nothing_to_try_and_everything_refused_are_said_and_end_it() {
    let mut case = Case::of(spec());
    case.record(vec![case.came(1.0)]);
    case.plan(Vec::new());
    assert_eq!(case.state(), State::Completed);
    assert!(case.stopped().1.contains("nothing is proposed"));

    let mut case = Case::of(spec());
    case.record(vec![case.came(1.0)]);
    let mut refused = case.daring(Risk::Low);
    refused.checks[0].passed = false;
    refused.checks[0].reason = "tried already".into();
    case.plan(vec![refused]);
    assert_eq!(case.state(), State::Completed);
    let (by, text) = case.stopped();
    assert_eq!(by, StopCause::Nothing);
    assert!(text.contains("novelty: tried already"), "{text}");
}

#[test]
fn what_was_approved_is_held_to_what_failed_since() {
    let mut case = Case::of(spec());
    let values = [("r".to_string(), Value::Whole(32))].into();
    let base = &case.tree.campaign.spec.training.as_ref().unwrap().runs[0];
    let mine = Proposal {
        decided_by: "uid 1".into(),
        run: base.with("", &values).unwrap(),
        values,
        ..proposal(&case.tree)
    };
    case.take(&Event::Proposed {
        proposal: Box::new(mine),
    });
    // Two failures of that rank, and a success elsewhere: r = 32 is forbidden now.
    let at = |case: &Case, id: &str, r: i64, status| Experiment {
        experiment_id: id.into(),
        status,
        config: [
            ("r".to_string(), Value::Whole(r)),
            ("model".to_string(), Value::Text("/models/small".into())),
        ]
        .into(),
        failure: (status == Status::Failed).then(|| case.failed().failure.unwrap()),
        ..case.came(1.0)
    };
    let results = vec![
        at(&case, "x", 32, Status::Failed),
        at(&case, "y", 32, Status::Failed),
        at(&case, "z", 8, Status::Completed),
    ];
    case.record(results);
    case.plan(Vec::new());
    assert_eq!(case.tree.proposals["p1"].state, ProposalState::Refused);
    assert_eq!(case.state(), State::Completed);
    let (by, text) = case.stopped();
    assert_eq!(by, StopCause::Nothing);
    assert!(
        text.contains("every proposal is refused: constraints"),
        "{text}"
    );
}

#[test]
fn it_is_enough_when_the_goal_is_reached_or_the_cycles_are_done() {
    let mut spec = spec();
    let planning = spec.planning.as_mut().unwrap();
    planning.stop_when = Some("eval_loss < 0.5".parse().unwrap());
    planning.cycles = 3;
    let mut case = Case::of(spec.clone());
    case.record(vec![case.came(1.0)]);
    case.plan(vec![case.daring(Risk::Low)]);
    case.record(vec![case.came(0.4)]);
    assert_eq!(case.state(), State::Completed);
    assert_eq!(case.stopped().0, StopCause::Goal);

    let mut case = Case::of(spec);
    for cycle in 1..=3 {
        case.record(vec![case.came(1.0)]);
        if cycle < 3 {
            case.plan(vec![case.daring(Risk::Low)]);
        }
    }
    assert_eq!(case.state(), State::Completed);
    assert_eq!(case.stopped().0, StopCause::Cycles);
    assert_eq!(case.tree.campaign.cycle, 3);
}

#[test]
fn failures_in_a_row_end_it_until_a_person_goes_on() {
    let mut case = Case::of(spec());
    case.record(vec![case.came(1.0)]);
    for failed in 1..=3 {
        case.plan(vec![case.daring(Risk::Low)]);
        case.record(vec![case.failed()]);
        let open = failed == 3;
        assert_eq!(case.state() == State::Failed, open, "after {failed}");
    }
    let cause = case.tree.campaign.cause.clone().unwrap();
    assert!(cause.contains("3 experiments failed"), "{cause}");
    case.take(&Event::RetryAsked {});
    assert_eq!(case.state(), State::Recording);
    case.record(vec![case.failed()]);
    assert_eq!(
        case.state(),
        State::Planning,
        "what failed before is forgiven"
    );
}

#[test]
fn a_run_that_fails_is_a_result_where_others_are_planned() {
    let mut case = Case::of(spec());
    let watch = {
        case.until("watch_job");
        while case.state() != State::Training {
            let (id, _) = case.tree.outbox.iter().next().unwrap();
            let events = case.world.perform(&case.tree, &id.clone());
            events.iter().for_each(|event| case.take(event));
        }
        case.until("watch_job")
    };
    let Effect::WatchJob { job, .. } = case.tree.outbox[&watch].effect.clone() else {
        panic!("no watch");
    };
    let end = TaskEnd {
        cause: Some(Cause::Program),
        text: "exit status 1".into(),
        at: NOW,
        ran_seconds: Some(60),
    };
    case.take(&Event::TaskEnded {
        effect: watch,
        job,
        shard: 0,
        end,
    });
    assert_eq!(case.state(), State::Recording);
    case.record(vec![case.failed()]);
    assert_eq!(case.state(), State::Planning);
}

#[test]
fn out_of_memory_halves_the_batch_three_times_at_most() {
    let mut spec = spec();
    let run = &mut spec.training.as_mut().unwrap().runs[0];
    run.settings.per_device_train_batch_size = 64;
    let mut case = Case::of(spec);
    let mut halvings = Vec::new();
    while case.state() != State::Recording {
        let watch = case.until("watch_job");
        let Effect::WatchJob { job, .. } = case.tree.outbox[&watch].effect.clone() else {
            panic!("no watch");
        };
        let record = case.tree.jobs[&job].clone();
        if record.run.is_none() {
            let events = case.world.perform(&case.tree, &watch);
            events.iter().for_each(|event| case.take(event));
            continue;
        }
        halvings.push(case.tree.halvings(&record));
        let end = TaskEnd {
            cause: Some(Cause::GpuMemory),
            text: "CUDA out of memory".into(),
            at: NOW,
            ran_seconds: None,
        };
        case.take(&Event::TaskEnded {
            effect: watch,
            job,
            shard: 0,
            end,
        });
    }
    assert_eq!(halvings, [0, 1, 2, 3]);
}

#[test]
fn a_spent_budget_launches_nothing_more_and_keeps_what_runs() {
    let mut spec = spec();
    spec.budget = Some(BudgetSpec {
        jobs: Some(2),
        ..BudgetSpec::default()
    });
    let mut case = Case::of(spec);
    case.record(vec![case.came(1.0)]);
    let spent = campaignd::machines::budget::exhausted(&case.tree, NOW).unwrap();
    assert!(spent.contains("budget.jobs = 2"), "{spent}");
    case.plan(vec![case.daring(Risk::Low), case.daring(Risk::Low)]);
    let launch = case.until("launch_job");
    case.take(&Event::JobLaunched {
        effect: launch,
        adopted: false,
        gpus: None,
    });
    case.take(&Event::BudgetSpent { text: spent });
    assert_eq!(case.state(), State::Training, "one of the two runs");
    let refused = case.try_take(&Event::BudgetSpent {
        text: "again".into(),
    });
    assert_eq!(refused, Err(Refused::Late));
    case.record(vec![case.came(0.9)]);
    assert_eq!(case.state(), State::Completed);
    assert_eq!(case.stopped().0, StopCause::Budget);
    assert_eq!(case.tree.campaign.cycle, 2);
}

#[test]
fn a_budget_that_is_spent_before_training_fails_it_and_more_lets_it_go_on() {
    let mut spec = spec();
    spec.budget = Some(BudgetSpec {
        jobs: Some(0),
        ..BudgetSpec::default()
    });
    let mut case = Case::of(spec);
    case.take(&Event::BudgetSpent {
        text: "budget.jobs = 0 is spent".into(),
    });
    assert_eq!(case.state(), State::Failed);
    case.take(&Event::BudgetAmended {
        budget: BudgetSpec {
            jobs: Some(100),
            ..BudgetSpec::default()
        },
    });
    let jobs = case.until_ended();
    case.take(&Event::RetryAsked {});
    assert_eq!(case.state(), State::Launching, "after {jobs} ends");
    case.record(vec![case.came(1.0)]);
    assert_eq!(case.state(), State::Planning);
}

#[test]
fn a_proposal_changes_settings_and_nothing_else() {
    let base = fine_tune("base", 1);
    let values = [
        ("learning_rate".to_string(), Value::Number(3e-4)),
        ("r".to_string(), Value::Whole(32)),
        (
            "target_modules".to_string(),
            Value::Text("q_proj,v_proj".into()),
        ),
    ];
    let run = base.with("p1", &values.into()).unwrap();
    assert_eq!((run.settings.r, run.settings.learning_rate), (32, 3e-4));
    assert_eq!(run.settings.target_modules.len(), 2);
    assert_eq!((run.name.as_str(), &run.model), ("p1", &base.model));
    for (name, value, word) in [
        ("rank", Value::Whole(8), "no setting"),
        ("r", Value::Whole(0), "r = 0"),
        ("r", Value::Text("many".into()), ""),
        ("learning_rate", Value::Number(-1.0), "learning_rate"),
    ] {
        let told = base
            .with("p1", &[(name.to_string(), value)].into())
            .unwrap_err();
        assert!(told.contains(word), "{name}: {told}");
    }
}

#[test]
fn what_a_cycle_has_come_to_outlives_its_campaign() {
    for cancelled in [true, false] {
        let mut spec = spec();
        let runs = &mut spec.training.as_mut().unwrap().runs;
        runs.push(fine_tune("other", 1));
        let mut case = Case::of(spec);
        // The first fine-tune is done, the second one under way.
        case.until("launch_job");
        while !case.tree.has_unkept_results() {
            let id = case.tree.outbox.keys().next().unwrap().clone();
            let events = case.world.perform(&case.tree, &id);
            events.iter().for_each(|event| case.hear(event));
        }
        assert_eq!(case.state(), State::Training);
        if !cancelled {
            case.now = case.tree.campaign.deadline_at.unwrap();
        }
        case.take(&match cancelled {
            true => Event::CancelAsked {
                why: "enough".into(),
            },
            false => Event::DeadlinePassed {},
        });
        assert!(case.state().ended());
        let result = case.came(0.7);
        let effect = case.until("keep_results");
        case.take(&Event::Recorded {
            effect: effect.clone(),
            experiments: vec![result.clone()],
        });
        assert!(case.tree.experiments.contains_key(&result.experiment_id));
        let late = Event::Recorded {
            effect,
            experiments: vec![result.clone()],
        };
        assert_eq!(case.try_take(&late), Err(Refused::Late));
        case.until_ended();
        if !cancelled {
            // What failed goes on, and its cycle is recorded as every other.
            case.take(&Event::RetryAsked {});
            case.record(vec![case.came(0.6)]);
            assert_eq!(case.state(), State::Planning);
            assert_eq!(case.tree.experiments.len(), 1, "by its id, once");
        }
    }
}

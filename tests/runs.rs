//! Training runs by `step` alone: side by side, stage after stage, failing, retried, cancelled.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod common;

use campaignd::{
    ids::EffectId,
    machines::{
        admission::{Limits, held},
        campaign::State,
        effect::Effect,
        event::Event,
        job::{Cause, Job, Phase, State as JobState, TaskEnd},
        spec::{CampaignSpec, Parts, TrainingSpec},
        step::step,
        training_run::{State as RunState, TrainingRun},
        tree::CampaignTree,
    },
};
use common::{NOW, World, fine_tune, whole_spec};

fn spec(runs: &[(&str, u32)]) -> CampaignSpec {
    let mut spec = whole_spec();
    spec.training = Some(TrainingSpec {
        runs: runs
            .iter()
            .map(|(name, stages)| fine_tune(name, *stages))
            .collect(),
        time_seconds: 60,
    });
    spec.planning = None;
    spec
}

struct Case {
    tree: CampaignTree,
    world: World,
}

impl Case {
    /// A campaign that has just begun to train.
    fn training(runs: &[(&str, u32)]) -> Self {
        let event = Event::Submitted {
            spec: Box::new(spec(runs)),
            parts: Parts::SkipPilot,
        };
        let tree = step(None, &event, NOW).unwrap().tree;
        let world = World::default();
        let mut case = Self { tree, world };
        while case.tree.campaign.state != State::Training {
            case.perform_first();
        }
        case
    }

    fn perform_first(&mut self) {
        let id = self.tree.outbox.keys().next().unwrap().clone();
        self.perform(&id);
    }

    fn perform(&mut self, id: &EffectId) {
        for event in self.world.perform(&self.tree, id) {
            self.take(&event);
        }
    }

    fn take(&mut self, event: &Event) {
        self.tree = step(Some(&self.tree), event, NOW)
            .unwrap_or_else(|refused| panic!("{}: {refused}", event.name()))
            .tree;
        assert_eq!(self.tree.check(), Vec::<String>::new());
    }

    /// The live job of a run.
    fn job(&self, run: &str) -> Job {
        let key = TrainingRun::key_of(1, run);
        let mut live = self
            .tree
            .jobs
            .values()
            .filter(|job| job.run.as_deref() == Some(&key) && !job.state.ended());
        let job = live.next().unwrap_or_else(|| panic!("{run} has no job"));
        assert!(live.next().is_none(), "{run} has two jobs");
        job.clone()
    }

    fn launch(&mut self, run: &str) {
        let id = self.job(run).id;
        self.perform(&id);
    }

    fn end(&mut self, run: &str, cause: Option<Cause>) {
        let job = self.job(run).id;
        let watch = |(_, owed): &(&EffectId, &campaignd::machines::effect::Obligation)| matches!(&owed.effect, Effect::WatchJob { job: other, .. } if *other == job);
        let effect = self.tree.outbox.iter().find(watch).unwrap().0.clone();
        let end = TaskEnd {
            cause,
            text: "ended".into(),
            at: NOW,
            ran_seconds: None,
        };
        self.take(&Event::TaskEnded {
            effect,
            job,
            shard: 0,
            end,
        });
    }

    fn run(&self, name: &str) -> (RunState, u32) {
        let run = &self.tree.runs[&TrainingRun::key_of(1, name)];
        (run.state, run.stage)
    }

    fn state(&self) -> State {
        self.tree.campaign.state
    }
}

#[test]
fn runs_train_side_by_side_and_the_last_one_ends_the_phase() {
    let mut case = Case::training(&[("a", 2), ("b", 1), ("c", 1)]);
    let launches = case.tree.outbox.values().filter(|owed| {
        owed.effect
            == Effect::LaunchJob {
                phase: Phase::Train,
            }
    });
    assert_eq!(launches.count(), 3, "all at once; admission keeps the line");
    for run in ["a", "b", "c"] {
        case.launch(run);
    }
    case.end("b", None);
    assert_eq!(case.run("b"), (RunState::Done, 1));
    case.end("a", None);
    assert_eq!(
        (case.run("a"), case.state()),
        ((RunState::Running, 2), State::Training)
    );
    case.end("c", None);
    case.launch("a");
    assert_eq!(case.state(), State::Training, "one has a stage left");
    case.end("a", None);
    assert_eq!(
        (case.run("a"), case.state()),
        ((RunState::Done, 2), State::Evaluating)
    );
    let trail = &case.tree.campaign.trail;
    assert_eq!(
        trail.last().unwrap().text,
        "run-1-a, run-1-b, run-1-c are done"
    );
}

#[test]
fn tasks_are_named_by_run_and_stage_where_there_are_several() {
    let name = |case: &Case, run: &str| {
        let job = case.job(run);
        case.tree.task_name(&job, &job.tasks[0])
    };
    assert_eq!(name(&Case::training(&[("a", 1)]), "a"), "train");
    assert_eq!(name(&Case::training(&[("a", 3)]), "a"), "train 1/3");
    let two = Case::training(&[("a", 2), ("b", 1)]);
    assert_eq!(
        (name(&two, "a"), name(&two, "b")),
        ("train a 1/2".into(), "train b".into())
    );
}

#[test]
fn at_most_as_many_train_at_once_as_the_limit_says() {
    let mut case = Case::training(&[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]);
    let limits = Limits {
        max_concurrent_jobs: 50,
        max_training_jobs: 3,
        max_jobs_per_hour: 1000,
        local_slots: 64,
        local_training: 3,
        max_array_size: 1000,
    };
    let waiting = |case: &Case| {
        let held = held([&case.tree].into_iter(), |_| false, limits, NOW);
        held.iter()
            .map(|id| case.tree.jobs[id].run.clone().unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(waiting(&case), ["run-1-d", "run-1-e"]);
    for run in ["a", "b", "c"] {
        case.launch(run);
    }
    case.end("b", None);
    assert_eq!(waiting(&case), ["run-1-e"]);
}

#[test]
fn a_lost_run_is_started_again_in_its_stage_beside_the_others() {
    let mut case = Case::training(&[("a", 2), ("b", 1)]);
    case.launch("a");
    case.launch("b");
    case.end("a", None);
    case.launch("a");
    case.end("a", Some(Cause::Lost));
    let again = case.job("a");
    assert_eq!(
        (again.attempt, again.stage, again.state),
        (2, 2, JobState::Waiting)
    );
    assert_eq!(case.run("a"), (RunState::Running, 2));
    case.end("b", None);
    assert_eq!(case.state(), State::Training);
    case.launch("a");
    case.end("a", None);
    assert_eq!(case.state(), State::Evaluating);
}

#[test]
fn a_time_limit_cuts_a_training_short_and_does_not_end_it() {
    let mut case = Case::training(&[("a", 1)]);
    for attempt in 1..=100 {
        case.launch("a");
        case.end("a", Some(Cause::TimeLimit));
        assert_eq!(
            case.job("a").attempt,
            attempt + 1,
            "it goes on from its checkpoints"
        );
    }
    case.launch("a");
    case.end("a", Some(Cause::TimeLimit));
    assert_eq!(case.state(), State::Failed, "it never gets to a checkpoint");
}

#[test]
fn what_befalls_one_run_or_stage_spends_no_retry_of_another() {
    let mut case = Case::training(&[("a", 2), ("b", 1)]);
    let times = case.tree.campaign.spec.retry;
    let lose = |case: &mut Case, run: &str, times: u32, cause: Cause| {
        for _ in 0..times {
            case.launch(run);
            case.end(run, Some(cause));
        }
    };
    for run in ["a", "b"] {
        lose(&mut case, run, 20, Cause::TimeLimit);
        lose(&mut case, run, times.lost, Cause::Lost);
        lose(&mut case, run, times.transient, Cause::Transient);
    }
    case.launch("a");
    case.end("a", None);
    lose(&mut case, "a", times.lost, Cause::Lost);
    assert_eq!(case.run("a"), (RunState::Running, 2));
    lose(&mut case, "b", 1, Cause::Stopped);
    assert_eq!(case.run("b").0, RunState::Failed, "its own are spent");
    assert_eq!(case.run("a"), (RunState::Running, 2));
}

#[test]
fn training_that_gets_on_is_never_late() {
    let mut case = Case::training(&[("a", 2)]);
    let first = case.tree.campaign.deadline_at.unwrap();
    let job = case.job("a").id;
    let later = NOW.after(std::time::Duration::from_secs(29 * 86_400));
    let launched = Event::JobLaunched {
        effect: job,
        adopted: false,
        gpus: None,
    };
    let tree = step(Some(&case.tree), &launched, later).unwrap().tree;
    let renewed = tree.campaign.deadline_at.unwrap();
    assert_eq!(renewed.since(first).as_secs(), 29 * 86_400);
    case.tree = tree;
    case.end("a", None);
    assert!(case.tree.campaign.deadline_at.unwrap() >= first);
}

#[test]
fn a_failed_run_fails_the_campaign_and_a_retry_goes_on_where_each_was() {
    let mut case = Case::training(&[("a", 2), ("b", 1), ("c", 1)]);
    for run in ["a", "b", "c"] {
        case.launch(run);
    }
    case.end("b", None);
    case.end("a", None);
    case.launch("a");
    let started = case.tree.runs["run-1-a"].started_at;
    case.end("a", Some(Cause::Program));
    assert_eq!(case.run("a").0, RunState::Failed);
    assert_eq!(
        (case.run("c").0, case.state()),
        (RunState::Running, State::Training),
        "another run's failure is none of its own"
    );
    case.end("c", Some(Cause::Program));
    assert_eq!(case.state(), State::Failed);
    let cause = case.tree.campaign.cause.clone().unwrap();
    assert_eq!(cause.matches("ended").count(), 1, "said once: {cause}");

    case.take(&Event::RetryAsked {});
    assert_eq!(case.state(), State::Training);
    assert_eq!(
        case.run("b"),
        (RunState::Done, 1),
        "what is done is not done again"
    );
    assert_eq!(
        (case.run("a"), case.run("c")),
        ((RunState::Running, 2), (RunState::Running, 1))
    );
    assert_eq!(
        case.tree.runs["run-1-a"].started_at, started,
        "its manifest stays as it is"
    );
    for run in ["a", "c"] {
        case.launch(run);
        case.end(run, None);
    }
    assert_eq!(case.state(), State::Evaluating);
}

#[test]
fn launches_that_cannot_be_fail_the_campaign_and_launch_nothing() {
    let mut case = Case::training(&[("a", 1), ("b", 1)]);
    let text = "routing has 1,204 training rows, 5,000 are needed (training.run.minimum_examples)";
    // Each first stage looks at every run before it is launched.
    for run in ["a", "b"] {
        let effect = case.job(run).id;
        case.take(&Event::LaunchFailed {
            effect,
            cause: Cause::CannotStart,
            text: text.into(),
        });
    }
    assert_eq!(case.state(), State::Failed);
    assert!(case.tree.campaign.cause.as_ref().unwrap().contains(text));
    let launches = |owed: &campaignd::machines::effect::Obligation| {
        matches!(owed.effect, Effect::LaunchJob { .. })
    };
    assert!(!case.tree.outbox.values().any(launches));
}

#[test]
fn a_cancelled_campaign_cancels_its_runs() {
    let mut case = Case::training(&[("a", 1), ("b", 1)]);
    case.launch("a");
    case.take(&Event::CancelAsked { why: String::new() });
    assert_eq!(
        (case.run("a").0, case.run("b").0),
        (RunState::Cancelled, RunState::Cancelled)
    );
    while let Some(id) = case.tree.outbox.keys().next().cloned() {
        case.perform(&id);
    }
    assert!(case.tree.jobs.values().all(|job| job.state.ended()));
}

#[test]
fn what_no_training_can_be_done_with_is_refused_when_it_is_handed_in() {
    type Change = fn(&mut TrainingSpec);
    let changes: [(&str, Change); 5] = [
        ("0 runs", |training| training.runs.clear()),
        ("have the name a", |training| {
            training.runs.push(fine_tune("a", 1))
        }),
        ("cannot be a training run's name", |training| {
            training.runs[0].name = "../a".into();
        }),
        ("r = 0", |training| training.runs[0].settings.r = 0),
        ("replay_share", |training| {
            training.runs[0] = fine_tune("a", 2);
            training.runs[0].stages[1].replay_share = f64::NAN;
        }),
    ];
    for (expected, change) in changes {
        let mut spec = spec(&[("a", 1)]);
        change(spec.training.as_mut().unwrap());
        let event = Event::Submitted {
            spec: Box::new(spec),
            parts: Parts::Whole,
        };
        let refused = step(None, &event, NOW).unwrap_err();
        assert!(refused.to_string().contains(expected), "{refused}");
    }
}

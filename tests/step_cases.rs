//! Data-driven cases for `step`: what a person and the world do, and where the campaign is then.
#![allow(clippy::unwrap_used, reason = "a test ends where its assumption does")]

mod common;

use campaignd::machines::{
    campaign::State,
    effect::Effect,
    event::Event,
    job::{Cause, TaskEnd},
    spec::Parts,
    step::{Refused, step},
    tree::CampaignTree,
};
use common::{Dice, NOW, World, submitted, whole_spec};

/// One word of a case.
fn event(word: &str, tree: &CampaignTree, world: &mut World) -> Vec<Event> {
    let first = tree.outbox.keys().next().cloned();
    match word {
        "perform" => first.map(|id| world.perform(tree, &id)).unwrap_or_default(),
        "approve" => vec![Event::ApprovalGranted {}],
        "reject" => vec![Event::ApprovalDenied { why: "no".into() }],
        "pause" => vec![Event::PauseAsked {}],
        "resume" => vec![Event::ResumeAsked {}],
        "cancel" => vec![Event::CancelAsked { why: String::new() }],
        "retry" => vec![Event::RetryAsked {}],
        "interrupt" => vec![Event::Interrupted {}],
        "continue" => vec![Event::Continued {
            parts: Parts::Whole,
        }],
        "lower" | "raise" => {
            let mut criteria = tree.campaign.spec.criteria.clone();
            criteria.quality_threshold = if word == "lower" { 0.3 } else { 0.95 };
            vec![Event::CriteriaAmended { criteria }]
        }
        cause => vec![ended(tree, cause.parse().unwrap())],
    }
}

/// The first open task of the first watched job ends badly.
fn ended(tree: &CampaignTree, cause: Cause) -> Event {
    let job = tree
        .jobs
        .values()
        .find(|job| job.running_tasks() > 0)
        .unwrap();
    let (effect, _) = tree
        .outbox
        .iter()
        .find(|(_, owed)| matches!(&owed.effect, Effect::WatchJob { job: watched, .. } if *watched == job.id))
        .unwrap();
    let shard = job
        .tasks
        .iter()
        .find(|task| task.end.is_none())
        .unwrap()
        .shard;
    let end = TaskEnd {
        cause: Some(cause),
        text: cause.name().into(),
        at: NOW,
        ran_seconds: None,
    };
    Event::TaskEnded {
        effect: effect.clone(),
        job: job.id.clone(),
        shard,
        end,
    }
}

/// `parts auto scores : words = state`, one case a line. `perform*` performs until nothing is owed.
const CASES: &str = "
whole      auto 0.9       : perform*                                  = completed
whole      auto 0.5       : perform*                                  = rejected
whole      ask  0.9       : perform*                                  = awaiting_approval
whole      ask  0.9       : perform* approve perform*                 = completed
whole      ask  0.9       : perform* reject                           = rejected
whole      ask  0.9       : perform* raise perform*                   = rejected
whole      auto 0.5       : perform* lower perform*                   = completed
whole      auto 0.755,0.9 : perform*                                  = completed
whole      auto 0.755,0.755,0.755 : perform*                          = rejected
only_pilot auto 0.9       : perform*                                  = halted
only_pilot auto 0.9       : perform* continue perform*                = completed
only_validate auto 0.9    : perform*                                  = halted
skip_pilot ask  0.1       : perform*                                  = completed
whole      auto 0.9       : perform program                           = failed
whole      auto 0.9       : perform program perform* retry perform*   = completed
whole      auto 0.9       : perform incomplete                        = failed
whole      auto 0.9       : perform time_limit                        = failed
whole      auto 0.9       : perform lost perform*                     = completed
whole      auto 0.9       : perform lost perform lost perform lost perform lost = failed
whole      auto 0.9       : perform transient perform transient perform transient perform transient = failed
whole      auto 0.9       : perform interrupt stopped perform interrupt stopped perform interrupt stopped perform interrupt stopped perform* = completed
whole      auto 0.9       : perform cancel perform*                   = cancelled
whole      auto 0.9       : cancel perform*                           = cancelled
whole      auto 0.9       : pause resume perform*                     = completed
";

fn start(parts: &str, auto: &str) -> CampaignTree {
    let mut spec = whole_spec();
    spec.auto_launch = auto == "auto";
    let event = Event::Submitted {
        spec: Box::new(spec),
        parts: parts.parse().unwrap(),
    };
    step(None, &event, NOW).unwrap().tree
}

fn apply(tree: &mut CampaignTree, event: &Event, case: &str) {
    match step(Some(tree), event, NOW) {
        Ok(outcome) => *tree = outcome.tree,
        Err(Refused::Late) => {}
        Err(refused) => panic!("{case}\n{}: {refused}", event.name()),
    }
    assert_eq!(tree.check(), Vec::<String>::new(), "{case}");
}

#[test]
fn cases() {
    let cases: Vec<&str> = CASES
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    assert!(cases.len() > 20);
    for case in cases {
        let (setting, rest) = case.split_once(" : ").unwrap();
        let (words, expected) = rest.split_once('=').unwrap();
        let setting: Vec<&str> = setting.split_whitespace().collect();
        let scores = setting[2]
            .split(',')
            .map(|score| score.parse().unwrap())
            .collect();
        let mut world = World {
            scores,
            ..World::default()
        };
        let mut tree = start(setting[0], setting[1]);
        for word in words.split_whitespace() {
            let (word, most) = word.strip_suffix('*').map_or((word, 1), |word| (word, 400));
            for _ in 0..most {
                let events = event(word, &tree, &mut world);
                if events.is_empty() {
                    break;
                }
                events
                    .iter()
                    .for_each(|event| apply(&mut tree, event, case));
            }
        }
        assert_eq!(
            tree.campaign.state.name(),
            expected.trim(),
            "{case}\n{:?}",
            tree.campaign.trail
        );
        if tree.campaign.state.ended() && words.trim_end().ends_with('*') {
            assert!(tree.outbox.is_empty(), "{case}: {:?}", tree.outbox);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused_with_what_would() {
    let tree = start("whole", "auto");
    let refused = step(Some(&tree), &Event::ApprovalGranted {}, NOW).unwrap_err();
    let Refused::Illegal {
        state,
        event,
        expected,
    } = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!(
        (state.as_str(), event.as_str()),
        ("piloting", "approval_granted")
    );
    assert!(
        expected.contains(&"cancel_asked".to_string()),
        "{expected:?}"
    );
    assert_eq!(step(Some(&tree), &submitted(), NOW), Err(Refused::Exists));
    assert_eq!(
        step(None, &Event::RetryAsked {}, NOW),
        Err(Refused::Unknown)
    );
    assert_eq!(
        step(Some(&tree), &Event::DeadlinePassed {}, NOW),
        Err(Refused::Late),
        "before its time"
    );
    let late = Event::Recorded {
        effect: tree.campaign.id.effect(99),
        experiments: Vec::new(),
    };
    assert_eq!(step(Some(&tree), &late, NOW), Err(Refused::Late));
}

#[test]
fn a_deadline_fails_the_campaign_and_a_pause_stops_the_clock() {
    let tree = start("whole", "auto");
    let due = tree.campaign.deadline_at.unwrap();
    let failed = step(Some(&tree), &Event::DeadlinePassed {}, due)
        .unwrap()
        .tree;
    assert_eq!(failed.campaign.state, State::Failed);
    assert!(failed.campaign.cause.unwrap().contains("piloting"));
    let paused = step(Some(&tree), &Event::PauseAsked {}, NOW).unwrap().tree;
    assert_eq!(
        step(Some(&paused), &Event::DeadlinePassed {}, due),
        Err(Refused::Late)
    );
    let resumed = step(Some(&paused), &Event::ResumeAsked {}, due)
        .unwrap()
        .tree;
    assert!(resumed.campaign.deadline_at.unwrap() > due);
}

/// Random events, sensible and not: the invariants hold after each, refusals change nothing, replay gives the records.
#[test]
fn random_events_keep_the_invariants() {
    let seeds = if std::env::var_os("CAMPAIGND_TORTURE").is_some() {
        50_000_u64
    } else {
        2_000
    };
    let words = [
        "perform",
        "perform",
        "perform",
        "perform",
        "perform",
        "approve",
        "reject",
        "pause",
        "resume",
        "cancel",
        "retry",
        "interrupt",
        "continue",
        "lower",
        "raise",
        "lost",
        "program",
        "transient",
        "stopped",
        "time_limit",
    ];
    let (mut ended, mut steps, mut refusals) = (0, 0, 0);
    for seed in 0..seeds {
        let mut dice = Dice(seed);
        let mut world = World {
            scores: vec![[0.5, 0.755, 0.9][dice.roll(3)]],
            ..World::default()
        };
        let parts = ["whole", "only_pilot", "only_validate", "skip_pilot"][dice.roll(4)];
        let mut tree = start(parts, ["auto", "ask"][dice.roll(2)]);
        let first = tree.clone();
        let mut journal = Vec::new();
        for _ in 0..60 {
            let word = words[dice.roll(words.len())];
            let watched = tree
                .outbox
                .values()
                .any(|owed| owed.effect.name() == "watch_job");
            if word.parse::<Cause>().is_ok()
                && !(watched && tree.jobs.values().any(|job| job.running_tasks() > 0))
            {
                continue;
            }
            for event in event(word, &tree, &mut world) {
                match step(Some(&tree), &event, NOW) {
                    Ok(outcome) => {
                        tree = outcome.tree;
                        journal.push(event);
                        steps += 1;
                    }
                    Err(_) => refusals += 1,
                }
                assert_eq!(tree.check(), Vec::<String>::new(), "seed {seed}");
            }
        }
        ended += usize::from(tree.campaign.state.ended());
        let replayed = journal.iter().fold(first, |tree, event| {
            step(Some(&tree), event, NOW).unwrap().tree
        });
        assert_eq!(replayed, tree, "seed {seed}");
    }
    println!("{seeds} seeds, {steps} steps, {refusals} refusals, {ended} campaigns ended");
    assert!(steps > seeds * 5 && refusals > 0 && ended > 0);
}

//! Screens against golden text.

use super::*;
use crate::control::api::{
    CheckView, EventView, ExplainView, LogView, NextView, PhaseView, ProgressView, QualityView,
    RestartView, VerdictView, WaitsView, WhyView,
};
use crate::control::{
    dataset::DatasetView,
    proposals::{PlanView, PredictionView, ResultView, TriedView},
};
use crate::parameters::Value;

/// 2026-03-02T09:14:02Z.
const NOW: Timestamp = Timestamp(1_772_442_842_000);

fn running() -> CampaignView {
    let phase = |phase: &str, status: &str, done, total| PhaseView {
        phase: phase.into(),
        status: status.into(),
        done,
        total,
        duration_seconds: Some(22.0),
        quality: None,
        part: None,
    };
    CampaignView {
        id: "alttp".into(),
        created_at: "2026-03-02T03:32:02Z".into(),
        state: "generating".into(),
        quality_threshold: 0.75,
        plan: None,
        campaign_target: 34_500,
        quality: Some(QualityView {
            mean: Some(0.806),
            ..QualityView::default()
        }),
        progress: Some(ProgressView {
            done: 21_045,
            total: 34_500,
            unit: "samples".into(),
            rate_per_second: Some(1.1),
            left_seconds: Some(12_240.0),
        }),
        phases: vec![
            phase("pilot", "done", 190, 190),
            phase("gate", "done", 0, 0),
            phase("generate", "now", 21_045, 34_500),
            phase("curate", "then", 0, 0),
        ],
        verdict: Some(VerdictView {
            campaign: "alttp".into(),
            decision: "APPROVE".into(),
            approved: true,
            gate: "confidence".into(),
            look: 1,
            max_looks: 3,
            n: 190,
            reason: "the lower bound reaches 0.75".into(),
            recommendation: "launch".into(),
            judged_at: None,
            checks: vec![CheckView {
                check: "quality".into(),
                required: 0.75,
                observed: Some(0.812),
                low: Some(0.788),
                high: Some(0.836),
                n: 190,
                passed: Some(true),
            }],
        }),
        ..CampaignView::default()
    }
}

#[track_caller]
fn fits(text: &str) {
    let wide = text.lines().find(|line| width(line) > fit::WIDTH);
    assert_eq!(wide, None, "\n{text}");
}

/// The longest name, the largest numbers, the longest words that a campaign can come to.
fn busy() -> CampaignView {
    let mut view = running();
    view.id = "a".repeat(64);
    view.state = "awaiting_approval".into();
    view.paused = true;
    view.needs = vec!["approve".into(), "reject".into(), "cancel".into()];
    view.warnings = vec!["job 12 is alive and silent, ".repeat(5)];
    view.cause = Some("the command ended\nwith status 1 ".repeat(4));
    view.ended_at = Some("2026-03-02T09:14:00Z".into());
    for phase in &mut view.phases {
        (phase.done, phase.total) = (9_999_999, 9_999_999);
        phase.quality = Some(0.5);
        phase.duration_seconds = Some(8_640_000.0);
    }
    view.progress = Some(ProgressView {
        done: 9_999_998,
        total: 9_999_999,
        unit: "samples".into(),
        rate_per_second: Some(123_456.0),
        left_seconds: Some(8_640_000.0),
    });
    view
}

#[test]
fn a_busy_block_fits_and_leaves_out_what_matters_least() {
    let mut view = running();
    view.phases[2].quality = Some(0.806);
    let text = block(&view, Style::PLAIN, NOW);
    fits(&text);
    let line = "  generate  now   ━━━━━━━━━───────    21,045 / 34,500   1.1/s  3h 24m left\n";
    assert!(text.contains(line), "{text}");
    view.progress.as_mut().unwrap().left_seconds = None;
    let text = block(&view, Style::PLAIN, NOW);
    let line = "21,045 / 34,500   quality 0.806   1.1/s\n";
    assert!(text.contains(line), "{text}");
    let text = block(&busy(), Style::PLAIN, NOW);
    assert!(text.contains("9,999,999 / 9,999,999"), "{text}");
    assert!(text.contains("100d 0h left"), "{text}");
    fits(&text);
    fits(&last_block(&busy(), Style::PLAIN));
}

#[test]
fn busy_pages_and_tables_fit_and_lose_no_word() {
    let view = StatusView {
        campaigns: vec![busy(), running()],
        ..StatusView::default()
    };
    let text = status(&view, Style::PLAIN, NOW);
    fits(&text);
    assert!(text.contains("  9,999,998 / 9,999,999"), "{text}");
    // A way on that is pasted is whole, however long a name it ends with.
    let text = page(&busy(), Style::PLAIN, NOW);
    fits(&text.replace(&busy().id, "a"));
    assert_eq!(text.matches("silent,").count(), 5);
    assert_eq!(text.matches("status 1").count(), 4);
    let way = format!("\n            campaignctl reject {}\n", busy().id);
    assert!(text.contains(&way), "{text}");
    let text = summary(&busy(), Style::PLAIN);
    assert_eq!(text.matches("status 1").count(), 4, "{text}");
    fits(&text.replace(&busy().id, "a"));
}

#[test]
fn what_was_tried_stands_beside_what_it_is_compared_with() {
    let tried = |id: &str, value, failure: Option<&str>| TriedView {
        id: id.into(),
        values: [
            ("r".to_string(), Value::Whole(8)),
            ("learning_rate".to_string(), Value::Number(0.012_345_6)),
        ]
        .into(),
        prediction: Some(PredictionView {
            metric: "eval_loss".into(),
            mean: 0.9,
            sd: 0.05,
        }),
        result: Some(ResultView {
            experiment: format!("alttp-run-2-{id}"),
            status: if failure.is_some() {
                "failed"
            } else {
                "completed"
            }
            .into(),
            value,
            failure: failure.map(String::from),
        }),
    };
    let mut view = running();
    view.state = "completed".into();
    view.plan = Some(PlanView {
        cycle: 2,
        cycles: 2,
        metric: "eval_loss".into(),
        best: Some(0.8123),
        best_experiment: Some("alttp-run-2-p1".into()),
        tried: vec![
            tried("p1", Some(0.8123), None),
            tried("p2", None, Some("out of memory")),
        ],
        baseline: Some(0.85),
        waiting: Vec::new(),
        stopped: Some("all 2 cycles are done".into()),
    });
    let text = summary(&view, Style::PLAIN);
    fits(&text);
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "learn cycle 2 of 2; best eval_loss 0.8123 by alttp-run-2-p1",
        "p1 learning_rate=0.01235 r=8, expected 0.9000 ± 0.0500: eval_loss 0.8123, -0.0377 to the baseline",
        "p2 learning_rate=0.01235 r=8, expected 0.9000 ± 0.0500: failed: out of memory",
    ] {
        assert!(flat.contains(part), "{part}\n{text}");
    }
}

#[test]
fn colour_takes_no_room() {
    let view = StatusView {
        campaigns: vec![running(), busy()],
        ..StatusView::default()
    };
    let plain = status(&view, Style::PLAIN, NOW);
    let colour = status(&view, Style::COLOR, NOW);
    assert_ne!(plain, colour);
    let bare = colour
        .replace("\x1b[33m", "")
        .replace("\x1b[31m", "")
        .replace("\x1b[0m", "");
    assert_eq!(bare, plain);
}

#[test]
fn what_is_unknown_is_shown_so() {
    let unknown = CampaignView {
        quality: Some(QualityView::default()),
        progress: None,
        ..running()
    };
    let text = table(std::slice::from_ref(&unknown), Style::PLAIN);
    assert!(
        text.ends_with("generating         -        -     0     -\n"),
        "{text}"
    );
    let told = progress(&unknown, NOW);
    assert_eq!(
        told,
        "2026-03-02T09:14:02Z alttp generating  APPROVE quality - n=190"
    );
    let mut unseen = unknown;
    let seen = &mut unseen.verdict.as_mut().unwrap().checks[0];
    (seen.observed, seen.low, seen.high) = (None, None, None);
    let text = verdict(unseen.verdict.as_ref().unwrap(), Style::PLAIN, NOW);
    assert!(
        text.contains("quality           0.75                         -    190  yes\n"),
        "{text}"
    );
    let text = summary(&unseen, Style::PLAIN);
    assert!(
        text.contains("APPROVE quality - (- on 190, 0.75 needed)"),
        "{text}"
    );
}

#[test]
fn progress_is_told_with_its_speed() {
    let told = progress(&running(), NOW);
    assert_eq!(
        told,
        "2026-03-02T09:14:02Z alttp generating  21,045/34,500 1.1/s"
    );
}

#[test]
fn clock_times_are_marked_as_utc() {
    let mut seen = EventView {
        seq: 421,
        at: "2026-03-02T09:31:40Z".into(),
        campaign: "alttp".into(),
        event: "job_lost".into(),
        what: "alttp-14: PID gone".into(),
        uid: Some(1000),
        state: None,
    };
    let rest = "  421   alttp job_lost         alttp-14: PID gone  (uid 1000)";
    assert_eq!(event(&seen, false), format!("09:31:40Z{rest}"));
    assert_eq!(event(&seen, true), format!("2026-03-02T09:31:40Z{rest}"));
    seen.at = "just now, perhaps".into();
    assert_eq!(event(&seen, false), format!("just now, perhaps{rest}"));
}

#[test]
fn a_log_line_says_whose_it_is() {
    let line = |job: &str, task: &str| {
        log(&LogView {
            job: job.into(),
            task: task.into(),
            text: "  61 %".into(),
        })
    };
    assert_eq!(line("alttp-12", "3/8"), "alttp-12 3/8 |   61 %");
    assert_eq!(line("alttp-12", ""), "alttp-12 |   61 %");
    assert_eq!(line("", ""), "  61 %");
}

#[test]
fn reasons_fit_and_name_their_time() {
    let view = ExplainView {
        headline: "alttp is generating: the pilot was approved".into(),
        why: vec![WhyView {
            at: "2026-03-02T09:36:00Z".into(),
            text: "APPROVE on 190 samples ".repeat(6),
            source: Some("alttp.toml:7".into()),
            ..WhyView::default()
        }],
        waits: WaitsView {
            what: "for 13,455 samples".into(),
            left_seconds: Some(12_240.0),
            deadline_at: Some("2026-03-04T03:14:02Z".into()),
        },
        next: vec![NextView {
            when: "all shards complete".into(),
            go: "curating".into(),
        }],
        you: ["campaignctl logs alttp -f", "pause alttp", "cancel alttp"]
            .map(String::from)
            .into(),
        scheduler: vec!["alttp-12: slurm 918280_3 and 49 more PENDING: Resources".into()],
        ..ExplainView::default()
    };
    let text = explain(&view, false);
    fits(&text);
    assert!(text.contains("why    09:36Z  APPROVE on 190"), "{text}");
    assert!(
        text.contains("\n               "),
        "wrapped under its text: {text}"
    );
    let end = "waits  for 13,455 samples: 3h 24m left; deadline 2026-03-04T03:14:02Z\n\
               slurm  alttp-12: slurm 918280_3 and 49 more PENDING: Resources\n\
               next   all shards complete -> curating\n\
               you    campaignctl logs alttp -f | pause alttp | cancel alttp\n";
    assert!(text.ends_with(end), "{text}");
    assert!(explain(&view, true).contains("why    2026-03-02T09:36:00Z  APPROVE"));
}

#[test]
fn jobs_align_whatever_they_are_called() {
    let row = |job: &str, place: &str, note: &str| JobView {
        job: job.into(),
        phase: "generate 103/108".into(),
        place: place.into(),
        state: "running".into(),
        launched_at: Some("2026-03-02T03:54:02Z".into()),
        note: note.into(),
        ..JobView::default()
    };
    let long = "the node took the job with it ".repeat(4);
    let text = jobs(
        &[
            row("alttp-12", "PID 41235", "2,630 / 4,313"),
            row(&("a".repeat(64) + "-7"), "slurm 918280_3", &long),
        ],
        NOW,
    );
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines[1],
        "alttp-12  generate 103/108  PID 41235       running  5h 20m  2,630 / 4,313"
    );
    assert_eq!(lines[0].find("STATE"), lines[1].find("running"));
    assert_eq!(text.matches("took").count(), 4);
    fits(&text);
}

#[test]
fn a_restart_is_told_within_the_screen() {
    let mut view = StatusView::default();
    view.daemon.started_at = "2026-03-02T09:12:02Z".into();
    view.daemon.restart = Some(RestartView {
        campaigns: 12_345,
        owed: 12_345,
        opened_seconds: 0.8,
    });
    let text = status(&view, Style::PLAIN, NOW);
    assert!(
        text.contains("up 2m 00s, 0 jobs\nrestarted 2m 00s ago"),
        "{text}"
    );
    fits(&text);
}

#[test]
fn a_page_shows_steps_evidence_and_what_is_left() {
    let text = page(&running(), Style::PLAIN, NOW);
    let expected = "alttp  generating  61 %   started 5h 42m ago\n  \
         pilot     done          190 / 190   22s\n  \
         gate      done  APPROVE  0.788 to 0.836 on 190, 0.75 needed   22s\n  \
         generate  now     21,045 / 34,500   1.1/s  3h 24m left\n  \
         then      curate\n  \
         jobs      0 running, 0 waiting, 0 done, 0 failed\n  \
         you       nothing to do\n";
    assert_eq!(text, expected);
    fits(&text);
}

#[test]
fn tables_align_and_name_what_waits() {
    let waiting = CampaignView {
        id: "sweep-r".into(),
        state: "awaiting_approval".into(),
        needs: vec!["approve".into()],
        ..running()
    };
    let view = StatusView {
        campaigns: vec![running(), waiting],
        ..StatusView::default()
    };
    let text = status(&view, Style::PLAIN, NOW);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0].find("STATE"), lines[1].find("generating"));
    assert!(text.ends_with("for you: sweep-r (approve)\n"), "{text}");
    fits(&text);
}

#[test]
fn a_verdict_names_each_check() {
    let text = verdict(&running().verdict.unwrap(), Style::PLAIN, NOW);
    assert!(
        text.contains("quality           0.75    0.812 (0.788 to 0.836)    190  yes\n"),
        "{text}"
    );
}

#[test]
fn a_summary_says_what_was_made_and_where() {
    let view = CampaignView {
        state: "completed".into(),
        created_at: "2026-03-02T09:14:02Z".into(),
        ended_at: Some("2026-03-02T09:15:14Z".into()),
        dataset: Some(DatasetView {
            rows: 31_906,
            rows_in: 34_690,
            removed: 2784,
            train: 25_540,
            validation: 3168,
            test: 3198,
            ..DatasetView::default()
        }),
        directory: "/s/campaigns/alttp".into(),
        ..running()
    };
    let text = summary(&view, Style::PLAIN);
    assert!(text.starts_with("alttp completed in 1m 12s\nmade   data set   31,906 rows of 34,690 samples; 2,784 removed"), "{text}");
    assert!(text.contains("where  /s/campaigns/alttp\n"), "{text}");
}

//! Screens against golden text.

use super::*;
use crate::control::api::{CheckView, DatasetView, ProgressView, QualityView};

fn running() -> CampaignView {
    let phase = |phase: &str, status: &str, done, total| PhaseView {
        phase: phase.into(),
        status: status.into(),
        done,
        total,
        duration_seconds: Some(22.0),
        quality: None,
    };
    CampaignView {
        id: "alttp".into(),
        state: "generating".into(),
        quality_threshold: 0.75,
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

#[test]
fn a_page_shows_steps_evidence_and_what_is_left() {
    let text = page(&running(), Style::PLAIN);
    let expected = "alttp  generating  61 %   started - ago\n  \
         pilot     done          190 / 190   22s\n  \
         gate      done  APPROVE  0.788 to 0.836 on 190, 0.75 needed   22s\n  \
         generate  now     21,045 / 34,500   1.1/s  3h 24m left\n  \
         then      curate\n  \
         jobs      0 running, 0 waiting, 0 done, 0 failed\n  \
         you       nothing to do\n";
    assert_eq!(text, expected);
    assert!(
        text.lines().all(|line| line.chars().count() <= 80),
        "{text}"
    );
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
    let text = status(&view, Style::PLAIN);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0].find("STATE"), lines[1].find("generating"));
    assert!(text.ends_with("for you: sweep-r (approve)\n"), "{text}");
    assert!(
        lines.iter().all(|line| line.chars().count() <= 80),
        "{text}"
    );
}

#[test]
fn a_verdict_names_each_check() {
    let text = verdict(&running().verdict.unwrap(), Style::PLAIN);
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

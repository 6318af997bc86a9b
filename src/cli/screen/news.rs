//! What the daemon hears from others: a line while they answer, what they said instead when they do not.

use super::{
    super::style::{ago, until},
    fit::labelled,
};
use crate::{control::api::NewsView, time::Timestamp};

/// A line for each source of news.
pub fn news(all: &[NewsView], now: Timestamp) -> String {
    all.iter().map(|one| line(one, now)).collect()
}

fn line(news: &NewsView, now: Timestamp) -> String {
    let source = news.source.as_str();
    let label = format!("{source:<6} ");
    if news.ok {
        let heard = match &news.last_answer_at {
            Some(at) => format!("answered {} ago", ago(Some(at), now)),
            None => "not asked yet".into(),
        };
        let calls = news.calls_left;
        let calls = calls.map_or(String::new(), |left| format!(", {left} calls left"));
        return labelled(&label, &format!("{heard}{calls}"));
    }
    let since = ago(news.silent_since_at.as_deref(), now);
    let said = news.message.as_deref().unwrap_or("no answer");
    let next = until(news.next_try_at.as_deref(), now);
    let text = format!(
        "no news for {since}: {} tries, \"{said}\"; silence ends no job and starts none; next try in {next}",
        news.tries
    );
    labelled(&label, &text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_772_442_842_000);

    #[test]
    fn who_answers_and_who_does_not() {
        let good = NewsView {
            source: "slurm".into(),
            ok: true,
            last_answer_at: Some("2026-03-02T09:13:50Z".into()),
            calls_left: Some(3),
            ..NewsView::default()
        };
        assert_eq!(
            news(&[good], NOW),
            "slurm  answered 12s ago, 3 calls left\n"
        );
        let silent = NewsView {
            source: "slurm".into(),
            tries: 9,
            message: Some("Unable to contact slurm controller".into()),
            silent_since_at: Some("2026-03-02T09:00:02Z".into()),
            next_try_at: Some("2026-03-02T09:16:02Z".into()),
            ..NewsView::default()
        };
        let text = news(&[silent], NOW);
        assert!(
            text.starts_with("slurm  no news for 14m 00s: 9 tries, \"Unable to contact"),
            "{text}"
        );
        assert!(text.contains("next try in 2m 00s"), "{text}");
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
    }
}

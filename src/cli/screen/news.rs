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

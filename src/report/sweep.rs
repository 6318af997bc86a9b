//! `report.html` of a sweep: its members in a table, the best first, and the curves of their losses in one picture. In the
//! letters of the data set's page.

mod curves;
mod rungs;

use super::page::html::{count, counted, document, escape, figure, section};
use crate::training::metrics::Row;
pub(super) use curves::swatch;
use curves::{Measure, curves};
pub use rungs::{Halved, Run, Rung};
use std::fmt::Write;

/// What a sweep came to.
#[derive(Clone, Debug)]
pub struct About<'a> {
    /// What the sweep is called.
    pub name: &'a str,
    /// Its members, in any order.
    pub members: &'a [Member<'a>],
    /// Who was left out on the way, of a sweep that halves.
    pub halved: Option<Halved<'a>>,
}

/// One member.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// What it is called.
    pub name: &'a str,
    /// The settings in which members differ, with its values.
    pub varied: Vec<(String, String)>,
    /// What was measured of it, steps ascending.
    pub rows: &'a [Row],
    /// Loss on the holdout of what is exported, nats a token; without a holdout that of the last step.
    pub result: Option<f64>,
    /// The same before the first step.
    pub base: Option<f64>,
    /// Whether it went to its end.
    pub finished: bool,
    /// Why it ended by itself, one sentence.
    pub stopped: Option<&'a str>,
    /// Where it was left out, one sentence.
    pub left_out: Option<&'a str>,
    /// Steps that it made.
    pub steps: u64,
}

impl Member<'_> {
    /// Its loss as something to compare by.
    fn loss(&self) -> Option<f64> {
        self.result.filter(|loss| loss.is_finite())
    }
}

/// The page.
pub fn render(about: &About<'_>) -> String {
    let name = escape(about.name);
    let members = ranked(about.members);
    let measure = Measure::of(&members);
    let mut text = format!(
        "<header>\n<p class=\"kind\">Sweep report</p>\n<h1>{name}</h1>\n<dl class=\"facts\">\n"
    );
    for (what, number, note) in facts(&members, measure) {
        let _ = writeln!(
            text,
            "<div><dt>{what}</dt><dd><b>{}</b><span>{}</span></dd></div>",
            escape(&number),
            escape(&note)
        );
    }
    text += "</dl>\n</header>\n";
    let lead = format!(
        "The best first, by the {}, in nats. Members that stopped by themselves come last.",
        measure.name()
    );
    let body = figure("Every member", "", &table(&members, measure));
    text += &section("members", "Members", &lead, &body);
    text += &about.halved.as_ref().map_or(String::new(), rungs::rungs);
    let lead = "Mean over learned tokens (with DPO over pairs), in nats. The numbers are those of the table.";
    text += &section("loss", "Loss", lead, &curves(&members, measure));
    document(&format!("{name}: sweep report"), &text)
}

/// The curves of members in the order given, for another page.
pub(super) fn loss_curves(members: &[Member]) -> String {
    let members: Vec<&Member> = members.iter().collect();
    let measure = Measure::of(&members);
    curves(&members, measure)
}

/// The best first; then those without a loss, then those that ended by themselves.
fn ranked<'a>(members: &'a [Member<'a>]) -> Vec<&'a Member<'a>> {
    let mut ranked: Vec<&Member> = members.iter().collect();
    let place = |member: &Member| {
        let loss = member.loss().unwrap_or(f64::INFINITY);
        (member.stopped.is_some(), loss)
    };
    ranked.sort_by(|a, b| {
        let (a, b) = (place(a), place(b));
        a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
    });
    ranked
}

fn facts(members: &[&Member], measure: Measure) -> Vec<(&'static str, String, String)> {
    let stopped = members.iter().filter(|one| one.stopped.is_some()).count() as u64;
    let going = |one: &&&Member| !one.finished && one.stopped.is_none();
    let unfinished = members.iter().filter(going).count() as u64;
    let left_out = members.iter().filter(|one| one.left_out.is_some()).count() as u64;
    let ended = match stopped {
        _ if unfinished > 0 => format!("{} not finished yet", count(unfinished)),
        _ if left_out > 0 => match stopped {
            0 => format!("{} left out at a rung", count(left_out)),
            some => format!(
                "{} left out at a rung, {} stopped",
                count(left_out),
                count(some)
            ),
        },
        0 => "all went to their end".into(),
        1 => "1 stopped by itself".into(),
        some => format!("{} stopped by themselves", count(some)),
    };
    let all = members.len() as u64;
    let mut facts = vec![("Members", count(all), ended)];
    let sound = |one: &&&Member| one.stopped.is_none() && one.loss().is_some();
    match members.first().filter(sound) {
        None => facts.push(("Best", "–".into(), "no member has a loss".into())),
        Some(best) => {
            let note = format!("{}: {}", best.name, measure.name());
            facts.push(("Best", number(best.result), note));
            let before = best.base.map(|base| number(Some(base)));
            facts.extend(before.map(|base| ("Before", base, "its first step".into())));
        }
    }
    let steps = members.iter().map(|one| one.steps);
    let steps = steps.fold(0, u64::saturating_add);
    facts.push((
        "Steps",
        count(steps),
        format!("of {}", counted(all, "member")),
    ));
    facts
}

/// A loss; what is none is said in words.
fn number(loss: Option<f64>) -> String {
    match loss {
        None => "–".into(),
        Some(loss) if loss.is_finite() => format!("{loss:.4}"),
        Some(_) => "not finite".into(),
    }
}

/// Every key that members differ in, in the order first met.
fn keys<'a>(members: &[&'a Member]) -> Vec<&'a str> {
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in members.iter().flat_map(|one| &one.varied) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    keys
}

fn table(members: &[&Member], measure: Measure) -> String {
    let keys = keys(members);
    let mut text = String::from(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"Members\"><table class=\"plain members\">\n<thead><tr><td></td><th scope=\"col\">member</th>",
    );
    // What it came to first: on a narrow page the settings are what is scrolled to.
    let name = measure.short();
    let _ = write!(
        text,
        "<th scope=\"col\">{name} before</th><th scope=\"col\">{name} after</th><th scope=\"col\">steps</th><th scope=\"col\">state</th>"
    );
    for key in &keys {
        let _ = write!(text, "<th scope=\"col\"><code>{}</code></th>", escape(key));
    }
    text += "</tr></thead>\n<tbody>\n";
    for (member, rank) in members.iter().zip(1..) {
        text += &row(member, rank, &keys);
    }
    text + "</tbody></table></div>\n"
}

fn row(member: &Member, rank: usize, keys: &[&str]) -> String {
    let mut text = format!(
        "<tr><td>{}{rank}</td><th scope=\"row\">{}</th>",
        swatch(rank),
        escape(member.name)
    );
    let state = match (member.stopped, member.left_out) {
        (Some(why), _) => format!("stopped<small>{}</small>", escape(why)),
        (None, Some(why)) => format!("left out<small>{}</small>", escape(why)),
        (None, None) if member.finished => "finished".into(),
        (None, None) => "not finished yet".into(),
    };
    let _ = write!(
        text,
        "<td>{}</td><td><b>{}</b></td><td>{}</td><td class=\"said\">{state}</td>",
        number(member.base),
        number(member.result),
        count(member.steps)
    );
    for key in keys {
        let set = member.varied.iter().find(|(known, _)| known == key);
        let value = set.map_or("–", |(_, value)| value);
        let _ = write!(text, "<td>{}</td>", escape(value));
    }
    text += "</tr>\n";
    text
}

#[cfg(test)]
mod tests;

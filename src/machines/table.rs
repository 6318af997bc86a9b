//! A machine's table: where it can go. Parsed from `state-machines/*.toml`, which are compiled in.
//!
//! The tables say *where*; guards and effects are closed enums in Rust that say *whether* and *what*. A name on one side
//! that is missing on the other is one of [`Table::problems`], which fails the tests.

use crate::time::parse_duration;
use serde::Deserialize;
use std::{collections::BTreeMap, collections::BTreeSet, sync::LazyLock, time::Duration};

mod vocabulary;

pub use vocabulary::{Entry, EventName, Guard};

/// One way out of a state.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alternative {
    /// Taken only when this holds; none holds always.
    pub when: Option<Guard>,
    /// The state to go to.
    pub go: String,
}

/// Routes by event.
type Routes = BTreeMap<EventName, Vec<Alternative>>;

/// One state's row.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Row {
    /// What entering does, in order.
    pub entry: Vec<Entry>,
    /// How long the state may last, as text.
    deadline: Option<String>,
    /// Who moves it, when there is no deadline: `person` or `campaign`.
    pub waits_for: Option<String>,
    /// The machine ends here.
    pub ends: bool,
    /// Passed over unless this holds.
    pub only_if: Option<Guard>,
    /// Where a passed-over state leads.
    pub otherwise: Option<String>,
    /// The routes.
    pub on: Routes,
}

impl Row {
    /// How long the state may last.
    pub fn deadline(&self) -> Option<Duration> {
        self.deadline
            .as_deref()
            .and_then(|text| parse_duration(text).ok())
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Any {
    on: Routes,
}

/// One machine.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Its name, `campaign`.
    pub machine: String,
    /// Where it begins.
    pub initial: String,
    /// Rows by state.
    pub state: BTreeMap<String, Row>,
    #[serde(default)]
    any: Any,
}

/// The four machines.
#[derive(Debug)]
pub struct Tables {
    /// `state-machines/campaign.toml`.
    pub campaign: Table,
    /// `state-machines/training_run.toml`.
    pub training_run: Table,
    /// `state-machines/job.toml`.
    pub job: Table,
    /// `state-machines/trajectory.toml`.
    pub trajectory: Table,
}

impl Tables {
    /// The machine of that name.
    pub fn named(&self, machine: &str) -> Option<&Table> {
        [
            &self.campaign,
            &self.training_run,
            &self.job,
            &self.trajectory,
        ]
        .into_iter()
        .find(|table| table.machine == machine)
    }
}

/// The compiled-in machines.
pub fn tables() -> &'static Tables {
    static TABLES: LazyLock<Tables> = LazyLock::new(|| {
        let read =
            |text| Table::parse(text).expect("the compiled-in tables parse: tests/machines.rs");
        Tables {
            campaign: read(include_str!("../../state-machines/campaign.toml")),
            training_run: read(include_str!("../../state-machines/training_run.toml")),
            job: read(include_str!("../../state-machines/job.toml")),
            trajectory: read(include_str!("../../state-machines/trajectory.toml")),
        }
    });
    &TABLES
}

impl Table {
    /// Reads a table.
    ///
    /// # Errors
    /// The parser's sentence, with line and column; a name outside the closed vocabularies is one.
    pub fn parse(text: &str) -> Result<Table, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// The row of a state; `state` comes from the machine's own enum, whose names the tests hold equal to the table's.
    pub fn row(&self, state: &str) -> &Row {
        &self.state[state]
    }

    /// The alternatives for an event, in order: the state's own, else those of any state that has not ended.
    pub fn alternatives(&self, state: &str, event: EventName) -> &[Alternative] {
        let row = self.row(state);
        let any = self
            .any
            .on
            .get(&event)
            .filter(|_| self.any_applies(row, event));
        row.on.get(&event).or(any).map_or(&[], Vec::as_slice)
    }

    /// Where an event leads, or none when it is illegal in the state.
    pub fn route(
        &self,
        state: &str,
        event: EventName,
        holds: impl Fn(Guard) -> bool,
    ) -> Option<&str> {
        self.alternatives(state, event)
            .iter()
            .find(|way| way.when.is_none_or(&holds))
            .map(|way| way.go.as_str())
    }

    /// The events that are legal in a state.
    pub fn expected(&self, state: &str) -> Vec<EventName> {
        let row = self.row(state);
        let any = self
            .any
            .on
            .keys()
            .filter(|event| self.any_applies(row, **event));
        let all: BTreeSet<EventName> = row.on.keys().chain(any).copied().collect();
        all.into_iter().collect()
    }

    fn any_applies(&self, row: &Row, event: EventName) -> bool {
        !row.ends && (event != EventName::DeadlinePassed || row.deadline.is_some())
    }

    /// Everything wrong with the table, given the names of its record's states; empty when it is right.
    pub fn problems(&self, states: &[&str]) -> Vec<String> {
        let mut found = Vec::new();
        let ours: BTreeSet<&str> = self.state.keys().map(String::as_str).collect();
        let theirs: BTreeSet<&str> = states.iter().copied().collect();
        for name in ours.symmetric_difference(&theirs) {
            found.push(format!(
                "{}: state {name} is on one side only",
                self.machine
            ));
        }
        for (name, row) in &self.state {
            self.row_problems(name, row, &mut found);
        }
        let reachable = self.closure(&self.initial);
        for name in ours.iter().filter(|name| !reachable.contains(**name)) {
            found.push(format!("{}: {name} cannot be reached", self.machine));
        }
        for name in &reachable {
            let ends = self.closure(name);
            if !ends
                .iter()
                .any(|state| self.state.get(*state).is_some_and(|row| row.ends))
            {
                found.push(format!("{}: {name} cannot end", self.machine));
            }
        }
        found
    }

    fn row_problems(&self, name: &str, row: &Row, found: &mut Vec<String>) {
        let mut say = |what: String| found.push(format!("{}: {name} {what}", self.machine));
        let bounded = usize::from(row.deadline.is_some())
            + usize::from(row.waits_for.is_some())
            + usize::from(row.ends);
        if bounded != 1 {
            say("needs exactly one of deadline, waits_for, ends".into());
        }
        if row.deadline.is_some() && row.deadline().is_none() {
            say(format!("has the deadline {:?}", row.deadline));
        }
        if row.only_if.is_some() != row.otherwise.is_some() {
            say("has one of only_if and otherwise".into());
        }
        for (event, ways) in &row.on {
            if ways.last().is_none_or(|way| way.when.is_some()) {
                say(format!("has no last way without a guard for {event}"));
            }
            if ways.iter().rev().skip(1).any(|way| way.when.is_none()) {
                say(format!("has a way for {event} that is never tried"));
            }
        }
        for target in self.targets(name) {
            if !self.state.contains_key(target) {
                say(format!("leads to {target}, which is no state"));
            }
        }
    }

    /// The states that one state leads to directly.
    pub fn targets(&self, state: &str) -> BTreeSet<&str> {
        let Some(row) = self.state.get(state) else {
            return BTreeSet::new();
        };
        let any = self
            .any
            .on
            .iter()
            .filter(|(event, _)| self.any_applies(row, **event));
        row.on
            .iter()
            .chain(any)
            .flat_map(|(_, ways)| ways.iter().map(|way| way.go.as_str()))
            .chain(row.otherwise.as_deref())
            .collect()
    }

    fn closure<'a>(&'a self, from: &'a str) -> BTreeSet<&'a str> {
        let mut seen = BTreeSet::from([from]);
        let mut open = vec![from];
        while let Some(state) = open.pop() {
            open.extend(
                self.targets(state)
                    .into_iter()
                    .filter(|next| seen.insert(next)),
            );
        }
        seen
    }

    /// All words the table uses: (events, guards, entry effects).
    pub fn vocabulary(&self) -> (BTreeSet<EventName>, BTreeSet<Guard>, BTreeSet<Entry>) {
        let routes = || self.state.values().map(|row| &row.on).chain([&self.any.on]);
        let events = routes().flat_map(|on| on.keys().copied()).collect();
        let when = routes().flat_map(|on| on.values().flatten().filter_map(|way| way.when));
        let guards = when
            .chain(self.state.values().filter_map(|row| row.only_if))
            .collect();
        let entries = self
            .state
            .values()
            .flat_map(|row| row.entry.iter().copied())
            .collect();
        (events, guards, entries)
    }

    /// The edges for a drawing: (from, label, to); routes of `any` are left out, they lead from every live state.
    fn edges(&self) -> Vec<(String, String, String)> {
        let mut edges = Vec::new();
        for (name, row) in &self.state {
            for (event, ways) in &row.on {
                for way in ways {
                    let guard = way
                        .when
                        .map_or(String::new(), |guard| format!(" [{guard}]"));
                    edges.push((name.clone(), format!("{event}{guard}"), way.go.clone()));
                }
            }
            if let (Some(guard), Some(to)) = (row.only_if, &row.otherwise) {
                edges.push((name.clone(), format!("not {guard}"), to.clone()));
            }
        }
        edges
    }

    /// The machine in Graphviz's language.
    pub fn dot(&self) -> String {
        let mut text = format!(
            "digraph {} {{\n  rankdir=LR;\n  node [shape=box, style=rounded];\n",
            self.machine
        );
        text += &format!("  start [shape=point];\n  start -> {};\n", self.initial);
        for (name, row) in self.state.iter().filter(|(_, row)| row.ends) {
            let _ = row;
            text += &format!("  {name} [peripheries=2];\n");
        }
        for (from, label, to) in self.edges() {
            text += &format!("  {from} -> {to} [label=\"{label}\"];\n");
        }
        text + &format!(
            "  // from every state that has not ended: {}\n}}\n",
            self.any_text()
        )
    }

    /// The machine in Mermaid's language, which forges draw inside Markdown.
    pub fn mermaid(&self) -> String {
        let mut text = format!("stateDiagram-v2\n  [*] --> {}\n", self.initial);
        for (from, label, to) in self.edges() {
            text += &format!("  {from} --> {to}: {label}\n");
        }
        for (name, _) in self.state.iter().filter(|(_, row)| row.ends) {
            text += &format!("  {name} --> [*]\n");
        }
        text + &format!(
            "  %% from every state that has not ended: {}\n",
            self.any_text()
        )
    }

    /// The machine as a table of text: a state a block, a route a line.
    pub fn text(&self) -> String {
        let mut text = format!("{}, beginning in {}\n", self.machine, self.initial);
        for (name, row) in &self.state {
            let bound = match (&row.deadline, &row.waits_for, row.ends) {
                (Some(deadline), _, _) => format!("at most {deadline}"),
                (_, Some(whom), _) => format!("waits for a {whom}"),
                _ => "ends".into(),
            };
            text += &format!("{name:<18} {bound}\n");
            for (_, label, to) in self.edges().iter().filter(|(from, _, _)| from == name) {
                text += &format!("    {label:<36} -> {to}\n");
            }
        }
        text + &format!("from every state that has not ended: {}\n", self.any_text())
    }

    fn any_text(&self) -> String {
        let each = |(event, ways): (&EventName, &Vec<Alternative>)| {
            let to: Vec<&str> = ways.iter().map(|way| way.go.as_str()).collect();
            format!("{event} -> {}", to.join(" | "))
        };
        let all: Vec<String> = self.any.on.iter().map(each).collect();
        if all.is_empty() {
            "nothing".into()
        } else {
            all.join(", ")
        }
    }
}

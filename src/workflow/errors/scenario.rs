//! The error scenarios of the queries: which error each raises, and what the run would then print.

use serde::{Deserialize, Serialize};

use super::catalogue::{Category, Entry, Level, Message, Place, Remedy, catalogue, entry};
use super::resolution::{Resolution, filled};
use super::slots::{Situation, Slots, mix};

/// What a scenario of `config/queries.toml` does to a run.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// Its name in the queries.
    #[serde(skip)]
    pub name: String,
    /// The kind of error it raises.
    pub error: Option<String>,
    /// Why it raises none: a property of the data that every tool takes without a word.
    pub reason: Option<String>,
    /// What the run prints, where the error's own messages do not fit.
    #[serde(default)]
    messages: Vec<Message>,
    /// What the plan does about it, where nothing is printed.
    resolution: Option<Remedy>,
}

/// A failure as it would be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorCase {
    /// The kind: the truth that a diagnosis is held against.
    pub kind: String,
    /// Its category.
    pub category: Category,
    /// The lines that tell of the error.
    pub message: String,
    /// The process that failed; none where the run did not come so far.
    pub process: Option<String>,
    /// Exit status of the task, where it had one.
    pub exit_status: Option<i32>,
    /// The whole report of the run.
    pub log: String,
}

impl Scenario {
    /// The messages of its own.
    #[cfg(test)]
    pub(super) fn messages(&self) -> &[Message] {
        &self.messages
    }
}

/// Every scenario, by name.
pub fn scenarios() -> impl Iterator<Item = &'static Scenario> {
    catalogue().scenarios.values()
}

/// The scenario of that name, such as `truncated_fastq`.
pub fn scenario(name: &str) -> Option<&'static Scenario> {
    catalogue().scenarios.get(name)
}

/// What the plan does about a scenario that raises no error.
pub fn remedy(scenario: &Scenario, situation: &Situation) -> Option<Resolution> {
    let remedy = scenario.resolution.as_ref()?;
    Some(filled(remedy, &Slots::of(situation)))
}

/// What a run in this situation prints when the scenario strikes; `None` where it raises no error. The same `chance`
/// always gives the same words.
pub fn render(scenario: &Scenario, situation: &Situation, chance: u64) -> Option<ErrorCase> {
    let entry = entry(scenario.error.as_deref()?)?;
    let messages = match scenario.messages.as_slice() {
        [] => &entry.messages,
        own => own,
    };
    let message = choose(messages, &situation.tool, chance)?;
    Some(case(entry, message, situation, chance))
}

/// The same for an error of the catalogue by its kind.
pub fn render_kind(kind: &str, situation: &Situation, chance: u64) -> Option<ErrorCase> {
    let entry = entry(kind)?;
    let message = choose(&entry.messages, &situation.tool, chance)?;
    Some(case(entry, message, situation, chance))
}

/// One of the messages that the tool itself prints, or else of those that any may; at worst any at all.
fn choose<'a>(messages: &'a [Message], tool: &str, chance: u64) -> Option<&'a Message> {
    let own = |message: &&Message| message.tools.iter().any(|t| t.eq_ignore_ascii_case(tool));
    let common = |message: &&Message| message.tools.is_empty();
    let mut fitting: Vec<&Message> = messages.iter().filter(own).collect();
    if fitting.is_empty() {
        fitting = messages.iter().filter(common).collect();
    }
    if fitting.is_empty() {
        fitting = messages.iter().collect();
    }
    let place = mix(chance) as usize % fitting.len().max(1);
    fitting.get(place).copied()
}

/// A message of an error in its report.
pub(super) fn case(
    entry: &Entry,
    message: &Message,
    situation: &Situation,
    chance: u64,
) -> ErrorCase {
    let mut slots = Slots::of(situation).and_chance(chance);
    let text = slots.fill(&message.text);
    let exit = match message.place {
        Place::Stderr => Some(message.exit.unwrap_or(1)),
        Place::Cause | Place::Launcher => message.exit,
    };
    slots.set("text", text.clone());
    slots.set("indented", text.replace('\n', "\n  "));
    slots.set("exit", exit.map_or("-".into(), |exit| exit.to_string()));
    let report = match message.place {
        Place::Stderr => STDERR,
        Place::Cause => CAUSE,
        Place::Launcher if entry.level == Level::Note => "{text}\n",
        Place::Launcher => LAUNCHER,
    };
    ErrorCase {
        kind: entry.name.clone(),
        category: entry.category,
        message: text,
        process: (message.place != Place::Launcher).then(|| situation.process.clone()),
        exit_status: exit,
        log: slots.fill(report),
    }
}

/// The report of a task that ran and failed.
const STDERR: &str = "ERROR ~ Error executing process > '{task}'

Caused by:
  Process `{task}` terminated with an error exit status ({exit})

Command executed:

  {tool} --threads {cpus} {reads}

Command exit status:
  {exit}

Command output:
  (empty)

Command error:
  {indented}

Work dir:
  {workdir}

Container:
  {container}

Tip: when you have fixed the problem you can continue the execution adding the option `-resume` to the run command line

 -- Check '.nextflow.log' file for details
";

/// The report of a task that Nextflow itself found wanting.
const CAUSE: &str = "ERROR ~ Error executing process > '{task}'

Caused by:
  {indented}

Command executed:

  {tool} --threads {cpus} {reads}

Command exit status:
  {exit}

Command output:
  (empty)

Work dir:
  {workdir}

Tip: you can try to figure out what's wrong by changing to the process work dir and showing the script file named `.command.sh`

 -- Check '.nextflow.log' file for details
";

/// The report of a run that ended before or beside its tasks.
const LAUNCHER: &str = "ERROR ~ {text}

 -- Check '.nextflow.log' file for details
";

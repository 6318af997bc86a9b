//! How the members of a sweep compare: `sweep.json` for programs, `report.html` for people.

use super::{Trained, halved::Summary, metrics, places::Places};
use crate::{
    artifacts::write_atomic,
    report,
    training::{
        job::{FineTune, PlanKey, Sweep},
        metrics::{Row, rows},
        words::Device,
    },
    worker::device,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{fs, io, path::Path};

/// What the directory says of all members to programs.
pub const SWEEP: &str = "sweep.json";
/// The same to people.
pub const REPORT: &str = "report.html";

/// What came of a sweep: `sweep.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Swept {
    /// Of this file's form.
    pub version: u32,
    /// The base model.
    pub base_model: String,
    /// Where was computed.
    pub device: Device,
    /// What every member's products are shaped by; none where numbers do not depend on it.
    pub plan_key: Option<PlanKey>,
    /// Its members, in the order of the request.
    pub members: Vec<Outcome>,
    /// With halving: the rungs, and what they saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub halving: Option<Summary>,
}

/// What came of one member.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// What it is called.
    pub name: String,
    /// The settings in which members differ, with this one's values.
    pub settings: serde_json::Map<String, Value>,
    /// What was trained, where it is complete.
    pub trained: Option<Trained>,
    /// Why it ended by itself.
    pub stopped: Option<String>,
}

impl Swept {
    /// Complete members, the best first: by the loss on the holdout, without one by that of the last step.
    pub fn ranked(&self) -> Vec<&Outcome> {
        let mut done: Vec<&Outcome> = self
            .members
            .iter()
            .filter(|one| one.loss().is_some())
            .collect();
        done.sort_by(|a, b| {
            let (a, b) = (a.loss().unwrap_or(f64::NAN), b.loss().unwrap_or(f64::NAN));
            a.total_cmp(&b)
        });
        done
    }
}

impl Outcome {
    /// What a member is ranked by.
    pub fn loss(&self) -> Option<f64> {
        let trained = self.trained.as_ref()?;
        trained.eval_loss.or(trained.last_loss)
    }

    /// What is said of its end at a rung, where it was left out.
    pub fn left_out(&self) -> Option<&str> {
        self.trained.as_ref()?.ended.as_deref()
    }
}

/// How a member ended: what was trained, or why it stopped by itself.
pub type End = Result<Trained, String>;

impl Swept {
    /// Of members that have ended, or not yet.
    pub fn of(sweep: &Sweep, plan_key: Option<PlanKey>, ends: Vec<Option<End>>) -> Self {
        let first = &sweep.members[0];
        let settings = varied(sweep);
        let outcome = |((job, end), settings): ((&FineTune, Option<End>), _)| {
            let (trained, stopped) = match end {
                Some(Ok(trained)) => (Some(trained), None),
                Some(Err(why)) => (None, Some(why)),
                None => (None, None),
            };
            Outcome {
                name: job.name.clone(),
                settings,
                trained,
                stopped,
            }
        };
        let all = sweep.members.iter().zip(ends).zip(settings);
        Self {
            version: 1,
            base_model: first.model.clone(),
            device: device::resolved(first.device),
            plan_key,
            members: all.map(outcome).collect(),
            halving: None,
        }
    }

    /// Steps that each member made.
    pub fn made(&self, places: &[Places]) -> Vec<u64> {
        let both = self.members.iter().zip(places);
        let made = both.map(|(one, places)| match &one.trained {
            Some(trained) => trained.steps,
            None => steps(&metrics_of(places)),
        });
        made.collect()
    }
}

/// Of each member, the settings in which members differ.
fn varied(sweep: &Sweep) -> Vec<serde_json::Map<String, Value>> {
    let of = |job: &FineTune| match serde_json::to_value(&job.settings) {
        Ok(Value::Object(settings)) => settings,
        _ => serde_json::Map::new(),
    };
    let all: Vec<serde_json::Map<String, Value>> = sweep.members.iter().map(of).collect();
    let differs = |key: &String| all.iter().any(|one| one.get(key) != all[0].get(key));
    let keys: Vec<String> = all[0].keys().filter(|key| differs(key)).cloned().collect();
    let own = |one: &serde_json::Map<String, Value>| {
        let of = |key: &String| (key.clone(), one.get(key).cloned().unwrap_or_default());
        keys.iter().map(of).collect()
    };
    all.iter().map(own).collect()
}

/// Writes what compares the members, for programs and for people.
pub fn describe(sweep: &Sweep, places: &[Places], swept: &Swept) -> io::Result<()> {
    let dir = Path::new(&sweep.output);
    write_atomic(&dir.join(SWEEP), &serde_json::to_vec_pretty(swept)?)?;
    let all: Vec<Vec<Row>> = places.iter().map(metrics_of).collect();
    let members = swept.members.iter().zip(&all);
    let members: Vec<report::sweep::Member<'_>> = members
        .map(|(one, rows)| report::sweep::Member {
            name: &one.name,
            varied: one
                .settings
                .iter()
                .map(|(k, v)| (k.clone(), shown(v)))
                .collect(),
            rows,
            result: one.loss(),
            base: base(rows),
            finished: one.trained.is_some(),
            stopped: one.stopped.as_deref(),
            left_out: one.left_out(),
            steps: steps(rows),
        })
        .collect();
    let name = dir
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let about = report::sweep::About {
        name: &name,
        members: &members,
        halved: swept.halving.as_ref().map(halved),
    };
    write_atomic(&dir.join(REPORT), report::sweep::render(&about).as_bytes())
}

/// What halving came to, for people.
fn halved(summary: &Summary) -> report::sweep::Halved<'_> {
    let mut rungs = Vec::new();
    for judged in &summary.rungs {
        let runs = judged.runs.iter().map(|run| report::sweep::Run {
            name: &run.name,
            loss: run.eval_loss,
            went_on: run.went_on,
        });
        rungs.push(report::sweep::Rung {
            step: judged.step,
            runs: runs.collect(),
        });
    }
    report::sweep::Halved {
        rungs,
        steps: summary.steps,
        steps_without: summary.steps_without,
    }
}

/// A value as people write it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(all) => all.iter().map(shown).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

/// The rows of a member's metrics, complete or not.
fn metrics_of(places: &Places) -> Vec<Row> {
    let text = |dir: &Path| fs::read_to_string(dir.join(metrics::NAME)).ok();
    let text = text(&places.output).or_else(|| text(&places.work));
    rows(&text.unwrap_or_default())
}

/// The loss on the holdout before the first step.
fn base(rows: &[Row]) -> Option<f64> {
    let looks = rows.iter().find_map(|row| match row {
        Row::Look(row) if row.step == 0 => Some(row.eval_loss),
        _ => None,
    });
    looks.filter(|loss| loss.is_finite())
}

/// Steps that are done.
fn steps(rows: &[Row]) -> u64 {
    let steps = rows.iter().map(|row| match row {
        Row::Step(row) => row.step,
        Row::Look(row) => row.step,
    });
    steps.max().unwrap_or(0)
}

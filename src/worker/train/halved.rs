//! Successive halving of a sweep: members train up to a rung, wait there for each other, are compared on the holdout, and the
//! better ones go on; `halving.json` keeps what was decided before anybody acts on it.
//!
//! A rung is judged when all its members have reported, by what they reported alone. That is a function of their requests, so
//! whoever is first, and wherever the process is killed, the same go on.

use super::{
    Told,
    identity::Identity,
    judged::{Judged, decide, judged_rungs},
    learn::{Learning, TellEach},
    places::Places,
    prepare::Prepared,
    rung::{LeftOut, Shown},
    undone,
};
use crate::{
    artifacts::{
        room::{patiently, say},
        write_atomic,
    },
    lora::backend::Backend,
    planning::halving::Rung,
    points::point,
    training::job::{Halving, Sweep},
    worker::Undone,
};
use serde::{Deserialize, Serialize};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// What was decided of whom.
pub const HALVING: &str = "halving.json";

/// A member, and what it was begun with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Begun {
    name: String,
    identity: Identity,
}

/// `halving.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Record {
    /// Of this file's form.
    version: u32,
    #[serde(flatten)]
    halving: Halving,
    members: Vec<Begun>,
    /// Those that were judged, the first first.
    rungs: Vec<Judged>,
}

/// What came of halving: a part of `sweep.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// How.
    #[serde(flatten)]
    pub halving: Halving,
    /// The rungs that were judged.
    pub rungs: Vec<Judged>,
    /// Steps that all members made.
    pub steps: u64,
    /// Steps that they would have made at most, had all gone on.
    pub steps_without: u64,
}

/// The halving of a sweep.
#[derive(Debug)]
pub struct Halved {
    path: PathBuf,
    record: Record,
    /// The rungs to be judged: all but the last, from which nobody goes on.
    rungs: Vec<Rung>,
    /// Planned steps of each member.
    planned: Vec<u64>,
}

impl Halved {
    /// Of a sweep that is begun now, or goes on as it was begun; none where it does not halve.
    ///
    /// # Errors
    /// A sentence: there is nothing to judge by, or no rung before the last step; it was begun in another way.
    pub fn begin(
        sweep: &Sweep,
        places: &[Places],
        prepared: &[Prepared],
    ) -> Result<Option<Self>, Undone> {
        let path = Path::new(&sweep.output).join(HALVING);
        let begun = places.iter().any(Places::is_there);
        let found = if begun { read(&path)? } else { None };
        let same = found.as_ref().map(|found| found.halving) == sweep.halving;
        if begun && !same {
            let how = |halving: Option<Halving>| match halving {
                Some(halving) => format!("with the halving {halving}"),
                None => "without halving".into(),
            };
            let (then, now) = (how(found.map(|found| found.halving)), how(sweep.halving));
            return Err(format!(
                "the sweep in {} was begun {then}, and is asked for {now}; another output begins anew",
                sweep.output
            )
            .into());
        }
        let Some(halving) = sweep.halving else {
            // What nobody began is of no halving.
            let _ = fs::remove_file(&path);
            return Ok(None);
        };
        let both = sweep.members.iter().zip(prepared);
        let members: Vec<Begun> = both
            .map(|(job, prepared)| Begun {
                name: job.name.clone(),
                identity: prepared.identity.clone(),
            })
            .collect();
        let planned = prepared.iter().map(|prepared| prepared.plan.steps());
        let planned: Vec<u64> = planned.collect();
        let rungs = judged_rungs(halving, &planned)?;
        if let Some(none) = prepared.iter().position(|one| one.looked.rows.is_empty()) {
            let name = &members[none].name;
            return Err(format!("{name}: the holdout has no row to judge by at a rung").into());
        }
        let record = match found {
            Some(found) => found.continued(&sweep.output, &members)?,
            None => Record {
                version: 1,
                halving,
                members,
                rungs: Vec::new(),
            },
        };
        let halved = Self {
            path,
            record,
            rungs,
            planned,
        };
        halved.write()?;
        Ok(Some(halved))
    }

    /// Trains all members, rung by rung.
    ///
    /// # Errors
    /// Those of machine and files; a member that is not where the rungs left it.
    pub fn train<B: Backend>(
        &mut self,
        learning: &mut Learning<'_, B>,
        tell: TellEach<'_>,
    ) -> Result<(), Undone> {
        self.act(learning);
        self.stand(learning)?;
        learning.end_at_rungs(tell)?;
        while let Some((rung, names)) = self.next() {
            for member in &mut learning.members {
                let there = names.contains(&member.job.name);
                member.rung = there.then_some(rung.resource);
            }
            learning.go_on(tell)?;
            let mut shown: Vec<(&str, Shown)> = Vec::new();
            for member in learning.members.iter_mut().filter(|one| one.rung.is_some()) {
                shown.push((&member.job.name, member.shown(&mut learning.engine)?));
                member.rung = None;
            }
            let judged = decide(rung, &shown);
            let (step, kept, all) = (rung.resource, judged.kept(), judged.runs.len());
            self.record.rungs.push(judged);
            point!("train.rung.judged");
            self.write()?;
            point!("train.rung.written");
            let text = format!("{kept} of {all} members go on from the rung at step {step}");
            tell(self.planned.len(), Told::Note(text));
            self.act(learning);
            let here = |left_out: &LeftOut| left_out.step == step;
            for member in &learning.members {
                if let Some(left_out) = member.left_out.as_ref().filter(|one| here(one)) {
                    tell(member.number, Told::Note(left_out.why.clone()));
                }
            }
            learning.end_at_rungs(tell)?;
            point!("train.rung.ended");
        }
        learning.go_on(tell)
    }

    /// The next rung to be judged, and who comes to it; none where nobody is left to be compared.
    fn next(&self) -> Option<(Rung, Vec<String>)> {
        let rung = self.rungs.get(self.record.rungs.len())?;
        let names: Vec<String> = match self.record.rungs.last() {
            Some(judged) => {
                let kept = judged.runs.iter().filter(|run| run.went_on);
                kept.map(|run| run.name.clone()).collect()
            }
            None => self
                .record
                .members
                .iter()
                .map(|one| one.name.clone())
                .collect(),
        };
        (names.len() > 1).then_some((*rung, names))
    }

    /// Tells the members what was decided.
    fn act<B: Backend>(&self, learning: &mut Learning<'_, B>) {
        for (name, left_out) in self.record.rungs.iter().flat_map(Judged::left_out) {
            let member = learning.members.iter_mut().find(|one| one.job.name == name);
            if let Some(member) = member {
                member.left_out = Some(left_out);
            }
        }
    }

    /// That every member is where the rungs left it.
    fn stand<B: Backend>(&self, learning: &Learning<'_, B>) -> Result<(), Undone> {
        let dir = self.path.parent().unwrap_or(&self.path).display();
        let wrong = |name: &str, what: String| {
            Err(format!("{name} in {dir} {what}: another output begins anew").into())
        };
        for member in &learning.members {
            let (name, step) = (&member.job.name, member.state.step);
            if let Some(left_out) = member.left_out.as_ref().filter(|one| one.step < step) {
                let rung = left_out.step;
                return wrong(
                    name,
                    format!("was left out at step {rung}, and has made {step}"),
                );
            }
        }
        let Some((rung, names)) = self.next() else {
            return Ok(());
        };
        let rung = rung.resource;
        for name in &names {
            let what = match learning.members.iter().find(|one| one.job.name == *name) {
                None => "has ended".to_string(),
                Some(member) if member.state.step > rung => {
                    format!("has made {} steps", member.state.step)
                }
                Some(_) => continue,
            };
            return wrong(
                name,
                format!("{what}, and the rung at step {rung} is not judged"),
            );
        }
        Ok(())
    }

    fn write(&self) -> Result<(), Undone> {
        let text = serde_json::to_vec_pretty(&self.record).map_err(|error| error.to_string())?;
        let waits = |error: &io::Error| say(&format!("{error}; waiting for room"));
        let written = patiently(waits, || write_atomic(&self.path, &text));
        written.map_err(|error| undone("what was decided at a rung cannot be written", &error))
    }

    /// What came of it, where each member made so many steps.
    pub fn summary(&self, made: &[u64]) -> Summary {
        let left_out = self.record.rungs.iter().flat_map(Judged::left_out);
        let left_out: Vec<&str> = left_out.map(|(name, _)| name).collect();
        let each = self.record.members.iter().zip(made).zip(&self.planned);
        let without = each.map(|((one, made), planned)| {
            if left_out.contains(&one.name.as_str()) {
                *planned
            } else {
                *made
            }
        });
        Summary {
            halving: self.record.halving,
            rungs: self.record.rungs.clone(),
            steps: made.iter().copied().fold(0, u64::saturating_add),
            steps_without: without.fold(0, u64::saturating_add),
        }
    }
}

impl Record {
    /// The same with the members that there are now, which must be those that it was begun with.
    fn continued(self, dir: &str, now: &[Begun]) -> Result<Self, Undone> {
        let names = |all: &[Begun]| {
            let names: Vec<&str> = all.iter().map(|one| one.name.as_str()).collect();
            names.join(", ")
        };
        let (had, has) = (names(&self.members), names(now));
        let anew = "its members were compared with each other; another output begins anew";
        if had != has {
            return Err(format!("the sweep in {dir} halves {had}, not {has}: {anew}").into());
        }
        for (then, now) in self.members.iter().zip(now) {
            if let Some(why) = then.identity.difference(&now.identity) {
                let name = &then.name;
                return Err(format!("{name} in {dir} was begun {why}: {anew}").into());
            }
        }
        Ok(self)
    }
}

/// The record; none where there is none.
fn read(path: &Path) -> Result<Option<Record>, Undone> {
    match fs::read(path) {
        Ok(text) => {
            let read = serde_json::from_slice(&text).map(Some);
            read.map_err(|error| format!("{}: {error}", path.display()).into())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(undone("what was decided at rungs cannot be read", &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        training::{settings::Settings, words::Device},
        worker::train::{identity::TRAINER, judged::Run},
    };

    fn begun(name: &str) -> Begun {
        Begun {
            name: name.into(),
            identity: Identity {
                trainer: TRAINER,
                model: "m".into(),
                tokenizer: vec![],
                device: Device::Cpu,
                data: vec![],
                holdout: vec![],
                adapter_init: None,
                stage: None,
                sources: vec![],
                settings: Settings::default(),
                plan_key: None,
            },
        }
    }

    fn halved(rungs: Vec<Judged>) -> Halved {
        let rung = |resource, runs, keep| Rung {
            resource,
            runs,
            keep,
        };
        Halved {
            path: PathBuf::new(),
            record: Record {
                version: 1,
                halving: Halving {
                    min_resource: 3,
                    reduction_factor: 2,
                },
                members: ["a", "b", "c", "d"].map(begun).into(),
                rungs,
            },
            rungs: vec![rung(3, 4, 2), rung(6, 2, 1)],
            planned: vec![24, 24, 24, 4],
        }
    }

    /// A rung from which those go on whose names are in capitals; the last has ended before.
    fn judged(step: u64, names: &[&str]) -> Judged {
        let run = |name: &&str| Run {
            name: name.to_lowercase(),
            step,
            eval_loss: Some(2.0),
            over: *name == "d",
            went_on: **name == name.to_uppercase(),
            why: None,
        };
        Judged {
            step,
            runs: names.iter().map(run).collect(),
        }
    }

    #[test]
    fn the_next_rung_is_of_those_that_went_on() {
        let next = |rungs: &[Judged]| {
            let next = halved(rungs.to_vec()).next();
            next.map(|(rung, names)| (rung.resource, names.concat()))
        };
        let first = judged(3, &["A", "b", "C", "d"]);
        assert_eq!(next(&[]), Some((3, "abcd".into())));
        assert_eq!(next(std::slice::from_ref(&first)), Some((6, "ac".into())));
        assert_eq!(next(&[first, judged(6, &["A", "c"])]), None);
        assert_eq!(
            next(&[judged(3, &["A", "b", "c", "d"])]),
            None,
            "one is left"
        );
        assert_eq!(next(&[judged(3, &["a", "b", "c", "d"])]), None, "nobody is");
    }

    #[test]
    fn what_was_saved_is_what_those_left_out_did_not_make() {
        let first = judged(3, &["A", "b", "C", "d"]);
        let summary = halved(vec![first, judged(6, &["A", "c"])]).summary(&[20, 3, 6, 4]);
        // a stopped early at 20; d had ended by itself.
        assert_eq!(
            (summary.steps, summary.steps_without),
            (33, 20 + 24 + 24 + 4)
        );
        let text = serde_json::to_value(&summary).unwrap();
        assert_eq!(text["min_resource"], 3);
    }

    #[test]
    fn a_halved_sweep_goes_on_with_its_own_members_alone() {
        let record = || halved(vec![]).record;
        let now = record().members;
        assert!(record().continued("out", &now).is_ok());
        let refused = |now: &[Begun]| record().continued("out", now).unwrap_err().text;
        let text = refused(&now[..3]);
        assert!(text.contains("halves a, b, c, d, not a, b, c:"), "{text}");
        let mut other = now.clone();
        other[1].identity.settings.r = 99;
        let text = refused(&other);
        assert!(
            text.starts_with("b in out was begun with other settings: r 16, now 99"),
            "{text}"
        );
        assert!(text.ends_with("another output begins anew"), "{text}");
    }
}

//! Training runs: those of a cycle side by side, the stages of each one after the other.

use super::{Refused, Stepper};
use crate::machines::{
    campaign::State,
    job::{Phase, Piece},
    table::{Entry, EventName, tables},
    training_run::{State as RunState, TrainingRun},
};

impl Stepper {
    /// The training runs of the present cycle begin, or begin again in the stage they stopped in. A run that is done stays
    /// so; when all are, training is.
    pub(super) fn start_training(&mut self) -> Result<(), Refused> {
        let cycle = self.tree.campaign.cycle;
        // What failed in an earlier cycle is in the history.
        self.tree.campaign.cause = None;
        let asked = self.tree.asked_runs().into_iter();
        let asked: Vec<(String, u32)> = asked
            .map(|run| (run.name.clone(), run.stage_count()))
            .collect();
        for (name, stages) in asked {
            let key = TrainingRun::key_of(cycle, &name);
            let before = self.tree.runs.get(&key);
            if before.is_some_and(|run| run.state == RunState::Done) {
                continue;
            }
            let run = TrainingRun {
                cycle,
                name,
                stage: before.map_or(0, |run| run.stage.saturating_sub(1)),
                stages,
                state: RunState::Queued,
                started_at: before.map_or(self.now, |run| run.started_at),
                ended_at: None,
            };
            self.tree.runs.insert(key.clone(), run);
            self.fire_run(&key, EventName::Started)?;
        }
        // Those that were begun above are not.
        self.close_training_if_over()
    }

    /// Moves a run along its table, and performs what entering its new state asks for.
    pub(super) fn fire_run(&mut self, key: &str, event: EventName) -> Result<(), Refused> {
        let now = self.now;
        let table = &tables().training_run;
        let run = self.tree.runs.get_mut(key).ok_or(Refused::Late)?;
        let to = table
            .route(run.state.name(), event, |guard| run.holds(guard))
            .ok_or(Refused::Late)?;
        run.state = to
            .parse()
            .expect("the table's states are the enum's: tests/machines.rs");
        let state = run.state;
        if state.ended() {
            run.ended_at = Some(now);
        }
        if table.row(to).entry.contains(&Entry::RunStage) {
            run.stage += 1;
            let stage = run.stage;
            self.say(format!("{key} stage {stage}"));
            self.run_piece(&Piece {
                phase: Phase::Train,
                run: Some(key.into()),
            });
        }
        self.renew_deadline();
        if !state.ended() {
            return Ok(());
        }
        let verb = if state == RunState::Failed {
            "has"
        } else {
            "is"
        };
        self.say(format!("{key} {verb} {state}"));
        self.close_training_if_over()
    }

    /// Training that gets on is not late, however many stages there are: its deadline counts from the latest launch, and the
    /// latest end of a stage.
    pub(super) fn renew_deadline(&mut self) {
        let (now, campaign) = (self.now, &mut self.tree.campaign);
        if campaign.state == State::Training {
            let row = tables().campaign.row(campaign.state.name());
            campaign.deadline_at = row.deadline().map(|limit| now.after(limit));
        }
    }

    /// Training ends with the last of its runs, and fails then if one of them did: what the others learn is kept. A campaign
    /// that plans goes on with those that are done, and learns from the others.
    pub(super) fn close_training_if_over(&mut self) -> Result<(), Refused> {
        let runs: Vec<&TrainingRun> = self.tree.present_runs().collect();
        if runs.iter().any(|run| !run.state.ended()) {
            return Ok(());
        }
        let done = |run: &&&TrainingRun| run.state == RunState::Done;
        let plans = self.tree.campaign.spec.planning.is_some();
        let enough = if plans { 1 } else { runs.len() };
        if runs.iter().filter(done).count() < enough {
            let cause = self.tree.campaign.cause.clone().unwrap_or_default();
            return self.fire(EventName::TrainingFailed, &cause);
        }
        let keys: Vec<String> = runs.iter().filter(done).map(|run| run.key()).collect();
        let are = if keys.len() == 1 { "is" } else { "are" };
        let text = format!("{} {are} done", keys.join(", "));
        self.fire(EventName::TrainingDone, &text)
    }
}

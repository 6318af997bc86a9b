//! Planned defects: put into the first plan or the first draft of a stated share of samples, and labelled.

use super::Work;
use crate::{
    generation::permutation::{draw, draw_unit},
    trajectory::record::{DefectKind, PlanDefect, PlannedDefect},
    workflow::{
        defect::{Defect, plant},
        plan::{Plan, missing},
        writer::Artefact,
    },
};

/// Streams of draws, apart from those of the plan of queries.
const WHETHER: u64 = 201;
const WHICH: u64 = 202;
const WHERE: u64 = 204;

impl Work<'_> {
    /// The kind of defect that this sample gets, as a number below the number of kinds; none for the others.
    fn kind(&self) -> Option<u64> {
        let (seed, index) = (self.settings.seed, self.record.index);
        let kinds = Defect::ALL.len() as u64 + 1;
        // A NaN compares false: no defects.
        (draw_unit(seed, WHETHER, index) < self.settings.defects)
            .then(|| draw(seed, WHICH, index) % kinds)
    }

    fn chance(&self) -> u64 {
        draw(self.settings.seed, WHERE, self.record.index)
    }

    /// The last kind is one of the plan: a step that others need is left out.
    pub(super) fn spoil_plan(&mut self, plan: &mut Plan) {
        if self.kind() != Some(Defect::ALL.len() as u64) {
            return;
        }
        let chance = self.chance();
        let steps = plan.steps.len() as u64;
        for turn in 0..steps {
            let at = ((chance % steps + turn) % steps) as usize;
            let step = plan.steps.remove(at);
            if !missing(plan).is_empty() {
                self.record.planned_defect = Some(PlannedDefect {
                    kind: DefectKind::Plan(PlanDefect::MissingStep),
                    rule: None,
                    line: 0,
                });
                return;
            }
            plan.steps.insert(at, step);
        }
    }

    /// The others are of the text. Where the text offers no place for the kind that was drawn, the next one is tried.
    pub(super) fn spoil_code(&mut self, artefact: &mut Artefact) {
        let Some(kind) = self.kind().filter(|kind| *kind < Defect::ALL.len() as u64) else {
            return;
        };
        let chance = self.chance();
        let from = kind as usize;
        let turns =
            (0..Defect::ALL.len()).map(|turn| Defect::ALL[(from + turn) % Defect::ALL.len()]);
        for defect in turns {
            if let Some((text, planted)) = plant(defect, &artefact.main_nf, chance) {
                artefact.main_nf = text;
                self.record.planned_defect = Some(PlannedDefect {
                    kind: DefectKind::Code(defect),
                    rule: Some(planted.rule),
                    line: planted.line,
                });
                return;
            }
        }
    }
}

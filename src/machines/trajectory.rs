//! One sample on its way through the agents: the record that `state-machines/trajectory.toml` asks its questions.

use super::table::{Entry, EventName, Guard, tables};
use crate::words::words;

words! {
    /// The states of `state-machines/trajectory.toml`.
    pub enum State {
        /// Planned, not begun.
        Queued = "queued",
        /// The planner picks and orders steps.
        Planning = "planning",
        /// The writer writes, or mends.
        Writing = "writing",
        /// The validator looks.
        Validating = "validating",
        /// The README is written.
        Documenting = "documenting",
        /// The whole is judged.
        Checking = "checking",
        /// The workflow runs.
        Executing = "executing",
        /// The cause of an error is sought.
        Diagnosing = "diagnosing",
        /// A failure is learned from.
        Reflecting = "reflecting",
        /// A workflow without findings.
        Success = "success",
        /// Findings, and repair is off.
        ValidationFailed = "validation_failed",
        /// Findings after the last cycle.
        MaxCyclesExceeded = "max_cycles_exceeded",
        /// It ran and failed.
        ExecutionFailed = "execution_failed",
        /// An agent took too long.
        Timeout = "timeout",
        /// A person ended it.
        UserCancelled = "user_cancelled",
        /// An agent could not answer.
        Error = "error",
    }
}

impl State {
    /// Whether the trajectory is over.
    pub fn ended(self) -> bool {
        matches!(
            self,
            State::Success
                | State::ValidationFailed
                | State::MaxCyclesExceeded
                | State::ExecutionFailed
                | State::Timeout
                | State::UserCancelled
                | State::Error
        )
    }
}

/// What the table's guards ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    /// Where it is.
    pub state: State,
    /// Cycles spent: ways back to the writer or the planner.
    pub cycles: u32,
    /// How many there may be; 0 switches repair off.
    pub max_cycles: u32,
    /// What was found is for the planner to mend.
    pub design_issue: bool,
    /// Workflows are run.
    pub has_execution: bool,
    /// The sample holds a planned error to recover from.
    pub error_planned: bool,
    /// The last run failed.
    pub execution_broke: bool,
}

impl Course {
    /// A sample that is not begun.
    pub fn new(max_cycles: u32) -> Self {
        Self {
            state: State::Queued,
            cycles: 0,
            max_cycles,
            design_issue: false,
            has_execution: false,
            error_planned: false,
            execution_broke: false,
        }
    }

    /// Whether a route's condition holds.
    pub fn holds(&self, guard: Guard) -> bool {
        match guard {
            Guard::RepairOff => self.max_cycles == 0,
            Guard::CyclesSpent => self.cycles >= self.max_cycles,
            Guard::DesignIssue => self.design_issue,
            Guard::HasExecution => self.has_execution,
            Guard::ErrorPlanned => self.error_planned,
            Guard::ExecutionBroke => self.execution_broke,
            _ => false,
        }
    }

    /// Takes an event; gives what entering the new state asks for, none where the trajectory ended.
    ///
    /// # Errors
    /// A sentence, when the state does not take the event; nothing has changed.
    pub fn fire(&mut self, event: EventName) -> Result<Option<Entry>, String> {
        let table = &tables().trajectory;
        let to = table
            .route(self.state.name(), event, |guard| self.holds(guard))
            .ok_or_else(|| format!("{event} does not fit: the trajectory is {}", self.state))?;
        let from = self.state;
        self.state = to
            .parse()
            .expect("the table's states are the enum's: tests/machines.rs");
        let back = matches!(self.state, State::Planning | State::Writing);
        if back && matches!(from, State::Validating | State::Diagnosing) {
            self.cycles += 1;
        }
        Ok(table.row(to).entry.first().copied())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn course(max_cycles: u32) -> Course {
        let mut course = Course::new(max_cycles);
        assert_eq!(course.fire(EventName::Started), Ok(Some(Entry::Plan)));
        assert_eq!(course.fire(EventName::PlanMade), Ok(Some(Entry::Write)));
        assert_eq!(
            course.fire(EventName::CodeWritten),
            Ok(Some(Entry::Validate))
        );
        course
    }

    #[test]
    fn every_way_back_costs_a_cycle_and_there_are_only_so_many() {
        let mut course = course(3);
        for cycle in 1..=3 {
            course.design_issue = cycle == 2;
            let entry = course.fire(EventName::IssuesFound).unwrap();
            if course.design_issue {
                assert_eq!(entry, Some(Entry::Plan));
                course.fire(EventName::PlanMade).unwrap();
            } else {
                assert_eq!(entry, Some(Entry::Write));
            }
            assert_eq!(course.cycles, cycle);
            course.fire(EventName::CodeWritten).unwrap();
        }
        assert_eq!(
            course.fire(EventName::IssuesFound),
            Ok(Some(Entry::Reflect))
        );
        assert_eq!(course.fire(EventName::Reflected), Ok(None));
        assert_eq!((course.state, course.cycles), (State::MaxCyclesExceeded, 3));
    }

    #[test]
    fn without_repair_the_first_finding_ends_it() {
        let mut course = course(0);
        course.fire(EventName::IssuesFound).unwrap();
        course.fire(EventName::Reflected).unwrap();
        assert_eq!(course.state, State::ValidationFailed);
    }

    #[test]
    fn a_planned_error_is_diagnosed_and_a_real_one_is_mended() {
        let mut planned = course(3);
        planned.error_planned = true;
        for event in [EventName::ValidationPassed, EventName::Documented] {
            planned.fire(event).unwrap();
        }
        assert_eq!(planned.fire(EventName::Checked), Ok(Some(Entry::Diagnose)));
        assert_eq!(planned.fire(EventName::Diagnosed), Ok(None));
        assert_eq!((planned.state, planned.cycles), (State::Success, 0));

        let mut real = course(1);
        real.has_execution = true;
        for event in [EventName::ValidationPassed, EventName::Documented] {
            real.fire(event).unwrap();
        }
        assert_eq!(real.fire(EventName::Checked), Ok(Some(Entry::Execute)));
        real.execution_broke = true;
        assert_eq!(
            real.fire(EventName::ExecutionFailed),
            Ok(Some(Entry::Diagnose))
        );
        assert_eq!(real.fire(EventName::Diagnosed), Ok(Some(Entry::Write)));
        for event in [
            EventName::CodeWritten,
            EventName::ValidationPassed,
            EventName::Documented,
            EventName::Checked,
            EventName::ExecutionFailed,
        ] {
            real.fire(event).unwrap();
        }
        assert_eq!(real.fire(EventName::Diagnosed), Ok(Some(Entry::Reflect)));
        real.fire(EventName::Reflected).unwrap();
        assert_eq!(real.state, State::ExecutionFailed);
    }

    #[test]
    fn an_event_that_does_not_fit_changes_nothing() {
        let mut course = course(3);
        let before = course;
        assert!(course.fire(EventName::Documented).is_err());
        assert_eq!(course, before);
        course.fire(EventName::AgentFailed).unwrap();
        assert!(course.state.ended() && course.fire(EventName::AgentFailed).is_err());
    }
}

//! The words of the tables: events, guards and entry effects, of all machines.

use crate::words::words;

words! {
    /// What a table can react to: facts, in the past tense.
    pub enum EventName {
        /// A person handed in a campaign.
        Submitted = "submitted",
        /// Another part of a halted campaign is asked for.
        Continued = "continued",
        /// A person approved the launch.
        ApprovalGranted = "approval_granted",
        /// A person refused the launch.
        ApprovalDenied = "approval_denied",
        /// A person changed what the gate compares.
        CriteriaAmended = "criteria_amended",
        /// A person wants a failed campaign to go on.
        RetryAsked = "retry_asked",
        /// A person ends the campaign.
        CancelAsked = "cancel_asked",
        /// The state lasted too long.
        DeadlinePassed = "deadline_passed",
        /// The phase's first job runs.
        WorkLaunched = "work_launched",
        /// All tasks of the phase, or of the stage, are done.
        WorkDone = "work_done",
        /// The phase, or the stage, cannot be done.
        WorkFailed = "work_failed",
        /// The gate gave its verdict.
        PilotJudged = "pilot_judged",
        /// All stages of a training run are done.
        TrainingDone = "training_done",
        /// A training run failed.
        TrainingFailed = "training_failed",
        /// The history holds the campaign's result.
        Recorded = "recorded",
        /// The next proposals are known.
        Planned = "planned",
        /// A person decided on proposals.
        ProposalsDecided = "proposals_decided",
        /// The budget forbids a launch.
        BudgetSpent = "budget_spent",
        /// A training run begins.
        Started = "started",
        /// The job's tasks are started.
        JobLaunched = "job_launched",
        /// The job could not be started.
        LaunchFailed = "launch_failed",
        /// Every task of the job has ended.
        TasksEnded = "tasks_ended",
        /// The campaign wants the job, or the run, to end.
        EndAsked = "end_asked",
        /// The planner has a plan.
        PlanMade = "plan_made",
        /// The writer has a workflow.
        CodeWritten = "code_written",
        /// The validator found nothing.
        ValidationPassed = "validation_passed",
        /// The validator found something.
        IssuesFound = "issues_found",
        /// The README is written.
        Documented = "documented",
        /// The whole is judged.
        Checked = "checked",
        /// The workflow ran to its end.
        ExecutionPassed = "execution_passed",
        /// The workflow ran and failed.
        ExecutionFailed = "execution_failed",
        /// The cause of an error is known, or known to be unknown.
        Diagnosed = "diagnosed",
        /// A failure is learned from.
        Reflected = "reflected",
        /// An agent could not answer.
        AgentFailed = "agent_failed",
    }
}

words! {
    /// Conditions of a route.
    pub enum Guard {
        /// The pilot and the gate are skipped on a person's word.
        SkipPilot = "skip_pilot",
        /// Only the pilot is asked for.
        OnlyPilot = "only_pilot",
        /// Only the gate is asked for.
        OnlyValidate = "only_validate",
        /// The gate wants more samples.
        VerdictExtend = "verdict_extend",
        /// The gate said no.
        VerdictReject = "verdict_reject",
        /// Nobody needs to be asked.
        AutoLaunch = "auto_launch",
        /// The campaign executes its workflows.
        HasExecution = "has_execution",
        /// The campaign curates.
        HasCuration = "has_curation",
        /// The campaign trains.
        HasTraining = "has_training",
        /// The campaign evaluates.
        HasEvaluation = "has_evaluation",
        /// Another cycle of training is asked for.
        CyclesLeft = "cycles_left",
        /// There is something left to try.
        HasProposal = "has_proposal",
        /// A proposal waits for a person.
        ProposalWaits = "proposal_waits",
        /// Too many experiments failed one after the other.
        BreakerOpen = "breaker_open",
        /// What fails is learned from: the campaign plans.
        ResultsAreKept = "results_are_kept",
        /// It failed while piloting.
        StoppedInPilot = "stopped_in_pilot",
        /// It failed while validating.
        StoppedInGate = "stopped_in_gate",
        /// It failed while launching or generating.
        StoppedInGeneration = "stopped_in_generation",
        /// It failed while executing.
        StoppedInExecution = "stopped_in_execution",
        /// It failed while curating.
        StoppedInCuration = "stopped_in_curation",
        /// It failed while training.
        StoppedInTraining = "stopped_in_training",
        /// It failed while planning.
        StoppedInPlanning = "stopped_in_planning",
        /// It failed while evaluating.
        StoppedInEvaluation = "stopped_in_evaluation",
        /// Every task is done.
        AllDone = "all_done",
        /// A task vanished.
        AnyLost = "any_lost",
        /// The run has further stages.
        StagesLeft = "stages_left",
        /// What the validator finds is not repaired.
        RepairOff = "repair_off",
        /// No way back is left.
        CyclesSpent = "cycles_spent",
        /// What was found is for the planner to mend.
        DesignIssue = "design_issue",
        /// The sample holds a planned error to recover from.
        ErrorPlanned = "error_planned",
        /// The last run of the workflow failed.
        ExecutionBroke = "execution_broke",
    }
}

words! {
    /// What entering a state does.
    pub enum Entry {
        /// Start the pilot's job.
        RunPilot = "run_pilot",
        /// Have the pilot judged.
        JudgePilot = "judge_pilot",
        /// Start the full generation's job.
        RunGeneration = "run_generation",
        /// Start the execution's job.
        RunExecution = "run_execution",
        /// Start the curation's job.
        RunCuration = "run_curation",
        /// Begin a training run.
        StartTraining = "start_training",
        /// Start the evaluation's job.
        RunEvaluation = "run_evaluation",
        /// Have the result recorded.
        WriteRecord = "write_record",
        /// Have kept what an unfinished cycle has come to.
        KeepResults = "keep_results",
        /// Have the next cycle planned.
        PlanNext = "plan_next",
        /// End every live job.
        EndJobs = "end_jobs",
        /// Have the job launched.
        Launch = "launch",
        /// Have the job watched.
        Watch = "watch",
        /// Have the job ended.
        End = "end",
        /// Start the job of the run's stage.
        RunStage = "run_stage",
        /// Ask the planner.
        Plan = "plan",
        /// Ask the writer.
        Write = "write",
        /// Ask the validator.
        Validate = "validate",
        /// Ask for the README.
        Document = "document",
        /// Have the whole judged.
        CheckQuality = "check_quality",
        /// Run the workflow.
        Execute = "execute",
        /// Ask the diagnostician.
        Diagnose = "diagnose",
        /// Ask what the failure teaches.
        Reflect = "reflect",
    }
}

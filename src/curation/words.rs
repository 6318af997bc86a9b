//! The words of curation: splits, data sets, reasons.

use crate::words::words;

words! {
    /// Where a kept row belongs.
    pub enum Split {
        /// To train on.
        Train = "train",
        /// To choose by.
        Validation = "validation",
        /// To test on.
        Test = "test",
        /// To test on: rows of templates that no other split has.
        TestUnseenTemplate = "test_unseen_template",
    }
}

words! {
    /// What a row is to be trained for (specification 1, 3.1 and 4.4).
    pub enum DataSet {
        /// Which model to send a request to.
        Routing = "routing",
        /// A workflow from a plan.
        Codegen = "codegen",
        /// What is wrong with a workflow.
        Validation = "validation",
        /// What to do about an error.
        ErrorRecovery = "error_recovery",
        /// Which of two validations is right.
        ValidationPreferences = "validation_preferences",
        /// Rows of generators that are not ours, as they are.
        Samples = "samples",
    }
}

words! {
    /// Why a row or a line is not in the data set.
    pub enum Reason {
        /// The line is no JSON object.
        InvalidJson = "invalid_json",
        /// The line is no UTF-8.
        InvalidUtf8 = "invalid_utf8",
        /// The line is longer than a row may be.
        LineTooLong = "line_too_long",
        /// Another row has its id.
        DuplicateId = "duplicate_id",
        /// Something that a row needs is not there.
        Incomplete = "incomplete",
        /// It asks or says too little.
        Trivial = "trivial",
        /// Its quality is below the bar.
        BelowMinQuality = "below_min_quality",
        /// Its generator did not accept it, and gave no score.
        NotAccepted = "not_accepted",
        /// A better row has its template and slots.
        DuplicateStructure = "duplicate_structure",
        /// A better row says the same.
        DuplicateText = "duplicate_text",
        /// A better row says nearly the same.
        NearDuplicate = "near_duplicate",
        /// It overlaps with an evaluation set.
        Contaminated = "contaminated",
        /// There are too many failures beside the successes.
        OutcomeBalance = "outcome_balance",
        /// There is too much of its analysis type.
        Diversity = "diversity",
    }
}

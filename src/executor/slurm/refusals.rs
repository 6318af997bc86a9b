//! What SLURM's programs say when they fail, and whether that is known to mean that nothing was done.
//!
//! The words are those of `slurm_strerror` in SLURM 20 to 25, as `sbatch` prints them behind `Batch job submission failed: `.
//! Everything that is not here leaves it open whether the job is queued.

use super::calls::Unanswered;

/// The controller refused the request, and would refuse it again: what it asks for does not exist, is not allowed or
/// contradicts itself.
const REFUSED: &[&str] = &[
    "Access denied to requested reservation",
    "Access/permission denied",
    "Burst Buffer permission denied",
    "Burst Buffer request invalid",
    "CPU count specification invalid",
    "Cannot request more threads per core than the job allocation",
    "Circular job dependency",
    "Duplicate generic resource (gres) specification",
    "Insufficient GRES available in allocation",
    "Invalid --nice value",
    "Invalid GRES specification",
    "Invalid Trackable RESource (TRES) specification",
    "Invalid account or account/partition combination specified",
    "Invalid cluster name",
    "Invalid feature specification",
    "Invalid generic resource (gres) specification",
    "Invalid group id",
    "Invalid job array specification",
    "Invalid license specification",
    "Invalid mcs_label specified",
    "Invalid node name specified",
    "Invalid partition name specified",
    "Invalid preferred feature specification",
    "Invalid qos specification",
    "Invalid time-min specification",
    "Invalid user id",
    "Invalid wckey specification",
    "Job --batch option is invalid",
    "Job dependency problem",
    "Job size specification needs to be provided",
    "Memory required by task is not available",
    "Memory specification can not be satisfied",
    "More processors requested than permitted",
    "Multiple partition job request not supported",
    "No partition specified or system default partition",
    "Node count specification invalid",
    "Only batch jobs are accepted or processed",
    "Pathname of a file, directory or other parameter too long",
    "Requested GRES option unsupported",
    "Requested more tasks than available processors",
    "Requested node configuration is not available",
    "Requested nodes not in this partition",
    "Requested operation not supported on this system",
    "Requested reservation is invalid",
    "Requested time limit is invalid",
    "Task count specification invalid",
    "Task distribution specification invalid",
    "User's group not permitted to use this partition",
];

/// The controller did not take the request now: it is full, spares itself, or what is asked for is switched off for a while.
const LATER: &[&str] = &[
    "Controller is in standby mode",
    "Job creation temporarily disabled",
    "Partition in DOWN state",
    "Rate limit exceeded",
    "Requested nodes are busy",
    "Requested partition configuration not available now",
    "Required node not available",
    "Required partition not available",
    // EAGAIN, which sbatch gives up with after minutes of "Slurm temporarily unable to accept job, sleeping and retrying".
    "Resource temporarily unavailable",
    "Slurm backup controller in standby mode",
    "Slurm job queue full",
    "System submissions disabled",
    "Unable to create job record, try again",
];

/// A limit on queued jobs is among these, and a limit on the size of one; the line above says which.
const POLICY: &str = "Job violates accounting/QOS policy";

/// sbatch gave up on its arguments or the script, before it asked anybody.
const UNASKED: &[&str] = &[
    "Batch script contains DOS line breaks",
    "Batch script is empty",
    "Invalid --",
    "Invalid directive found in batch script",
    "Script arguments not permitted",
    "This does not look like a batch script",
    "ambiguous option",
    "doesn't allow an argument",
    "invalid option",
    "requires an argument",
    "unrecognized option",
];

/// The longest text that is kept of what a program said.
const LONGEST: usize = 400;

/// What a program came to that ended with `status` (none: by a signal) and said `stderr`. It may be believed, or there is
/// no answer.
///
/// # Errors
/// Why there is none.
pub fn sort(program: &str, status: Option<i32>, stderr: &str) -> Result<(), Unanswered> {
    let lines = said(program, stderr);
    match (program, status) {
        ("sbatch", Some(0)) => Ok(()),
        ("sbatch", Some(_)) => Err(submission(&lines, text(program, status, &lines))),
        // Nothing to end is what was wanted.
        ("scancel", Some(_)) if lines.iter().all(|line| is_over(line)) && !lines.is_empty() => {
            Ok(())
        }
        // squeue ends with 0 and no rows after "squeue: error: Invalid user".
        (_, Some(0)) if !complains(program, stderr) => Ok(()),
        _ => Err(Unanswered::Unsure(text(program, status, &lines))),
    }
}

fn submission(lines: &[&str], text: String) -> Unanswered {
    let failed = |line: &&str| {
        line.strip_prefix("Batch job submission failed: ")
            .map(str::to_owned)
    };
    let has = |list: &[&str], line: &str| list.iter().any(|words| line.contains(words));
    // sbatch itself tries again several times: only what it said last is about the last time.
    let Some(reason) = lines.iter().rev().find_map(failed) else {
        return match lines {
            _ if lines
                .iter()
                .any(|line| line.starts_with("Unable to open file")) =>
            {
                // Where sbatch runs elsewhere, a script may be seen there a while after it was written.
                Unanswered::Later(text)
            }
            _ if lines.iter().any(|line| has(UNASKED, line)) => Unanswered::Refused(text),
            _ => Unanswered::Unsure(text),
        };
    };
    let begins = |list: &[&str]| list.iter().any(|words| reason.starts_with(words));
    if reason.starts_with(POLICY) {
        policy(lines, text)
    } else if begins(REFUSED) {
        Unanswered::Refused(text)
    } else if begins(LATER) {
        Unanswered::Later(text)
    } else {
        Unanswered::Unsure(text)
    }
}

/// `QOSMaxSubmitJobPerUserLimit` passes when jobs end, `QOSMaxWallDurationPerJobLimit` never. Without a word nothing was
/// done in either case, and asking again does no harm.
fn policy(lines: &[&str], text: String) -> Unanswered {
    let limit = |line: &&&str| {
        ["QOS", "Assoc", "Max", "Grp"]
            .iter()
            .any(|head| line.starts_with(head))
    };
    match lines.iter().rev().find(limit) {
        Some(line) if !line.contains("Submit") => Unanswered::Refused(text),
        _ => Unanswered::Later(text),
    }
}

/// scancel of a job that nobody knows any more, or that is over.
fn is_over(line: &str) -> bool {
    [
        "Invalid job id specified",
        "already completing or completed",
        "already finished",
    ]
    .iter()
    .any(|words| line.contains(words))
}

fn complains(program: &str, stderr: &str) -> bool {
    let error = format!("{program}: error: ");
    stderr.lines().any(|line| line.starts_with(&error))
}

/// The lines of a program, without the name that stands before each.
fn said<'a>(program: &str, stderr: &'a str) -> Vec<&'a str> {
    let bare = |line: &'a str| {
        let rest = line
            .strip_prefix(program)
            .and_then(|rest| rest.strip_prefix(": "));
        let rest = rest.unwrap_or(line);
        rest.strip_prefix("error: ").unwrap_or(rest).trim()
    };
    stderr
        .lines()
        .map(bare)
        .filter(|line| !line.is_empty())
        .collect()
}

/// One line for a person: how it ended, and what it said last.
fn text(program: &str, status: Option<i32>, lines: &[&str]) -> String {
    let end = match status {
        Some(status) => format!("{program} ended with status {status}"),
        None => format!("{program} was killed"),
    };
    if lines.is_empty() {
        return format!("{end} and said nothing");
    }
    let all = lines.join("; ");
    let kept = all
        .char_indices()
        .rev()
        .nth(LONGEST)
        .map_or(0, |(at, _)| at);
    format!("{end}: {}", &all[kept..])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sbatch(stderr: &str) -> Unanswered {
        sort("sbatch", Some(1), stderr).unwrap_err()
    }

    fn failed(reason: &str) -> Unanswered {
        sbatch(&format!(
            "sbatch: error: Batch job submission failed: {reason}\n"
        ))
    }

    // The texts are those of SLURM 22.05.8, each provoked once, unless the test says otherwise.

    #[test]
    fn what_the_controller_refuses_is_refused() {
        let refusals = [
            "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified\n",
            "sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: Requested node configuration is not available\n",
            "sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified\n",
            "sbatch: error: Batch job submission failed: Invalid qos specification\n",
            "sbatch: error: Batch job submission failed: Invalid feature specification\n",
            "sbatch: error: Batch job submission failed: Invalid job array specification\n",
            "sbatch: error: Invalid --time specification\n",
            "sbatch: unrecognized option '--nope'\nTry \"sbatch --help\" for more information\n",
            "sbatch: error: QOSMaxWallDurationPerJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n",
        ];
        for stderr in refusals {
            let sorted = sbatch(stderr);
            assert!(matches!(sorted, Unanswered::Refused(_)), "{sorted:?}");
        }
        assert_eq!(
            failed("Invalid qos specification").text(),
            "sbatch ended with status 1: Batch job submission failed: Invalid qos specification"
        );
    }

    #[test]
    fn what_passes_is_for_later() {
        let policy = "Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)";
        for limit in [
            "QOSMaxSubmitJobPerUserLimit",
            "QOSGrpSubmitJobsLimit",
            "AssocMaxSubmitJobLimit",
        ] {
            let sorted = sbatch(&format!(
                "sbatch: error: {limit}\nsbatch: error: {policy}\n"
            ));
            assert!(matches!(sorted, Unanswered::Later(_)), "{sorted:?}");
        }
        let full = "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\nsbatch: error: Batch job submission failed: Resource temporarily unavailable\n";
        assert!(matches!(sbatch(full), Unanswered::Later(_)));
        // Since SLURM 23.02.
        let limited = failed("Rate limit exceeded, please retry momentarily");
        assert!(matches!(limited, Unanswered::Later(_)), "{limited:?}");
    }

    #[test]
    fn everything_else_is_doubt() {
        for reason in [
            "Socket timed out on send/recv operation",
            "Unable to contact slurm controller (connect failure)",
            "Unable to contact slurm controller (send failure)",
            "Zero Bytes were transmitted or received",
            "Unspecified error",
            "I/O error writing script/environment to file",
            "Something nobody has seen",
        ] {
            assert!(matches!(failed(reason), Unanswered::Unsure(_)), "{reason}");
        }
        // It was refused once, and is in doubt the second time.
        let second = "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\nsbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n";
        assert!(matches!(sbatch(second), Unanswered::Unsure(_)));
        // Words of a refusal that the controller did not say.
        let banner = "Invalid qos specification is what you get without a project\nsbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n";
        assert!(matches!(sbatch(banner), Unanswered::Unsure(_)));
        assert!(matches!(sbatch(""), Unanswered::Unsure(_)));
        let killed = sort("sbatch", None, "").unwrap_err();
        assert!(matches!(killed, Unanswered::Unsure(_)), "{killed:?}");
    }

    #[test]
    fn a_script_that_is_not_seen_yet_is_tried_again() {
        let sorted = sbatch("sbatch: error: Unable to open file nofile.sh\n");
        assert!(matches!(sorted, Unanswered::Later(_)), "{sorted:?}");
    }

    #[test]
    fn a_listing_that_complains_is_no_news() {
        assert_eq!(sort("squeue", Some(0), "Welcome to the cluster\n"), Ok(()));
        let down = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)\n";
        let sorted = sort("squeue", Some(1), down).unwrap_err();
        assert!(matches!(sorted, Unanswered::Unsure(_)), "{sorted:?}");
        // squeue -u 12345 ended with 0 and printed no job.
        let nobody = sort("squeue", Some(0), "squeue: error: Invalid user: 12345\n\n").unwrap_err();
        assert!(matches!(nobody, Unanswered::Unsure(_)), "{nobody:?}");
        let dbd = "sacct: error: Sending PersistInit msg: Connection refused\nsacct: error: Problem talking to the database: Connection refused\n";
        assert!(sort("sacct", Some(1), dbd).is_err());
    }

    #[test]
    fn there_may_be_nothing_to_cancel() {
        assert_eq!(sort("scancel", Some(0), ""), Ok(()));
        let gone = "scancel: error: Kill job error on job id 7: Invalid job id specified\n";
        assert_eq!(sort("scancel", Some(1), gone), Ok(()));
        let down = "scancel: error: Kill job error on job id 1: Unable to contact slurm controller (connect failure)\n";
        assert!(sort("scancel", Some(8), down).is_err());
        assert!(sort("scancel", Some(1), &format!("{gone}{down}")).is_err());
        assert!(sort("scancel", Some(1), "").is_err());
    }

    #[test]
    fn long_texts_keep_their_end() {
        let sorted = sbatch(&format!("{}\nthe end é\n", "é".repeat(10_000)));
        assert!(sorted.text().len() < 1000 && sorted.text().ends_with("the end é"));
    }
}

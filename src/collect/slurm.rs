//! What SLURM says of a run: sacct's answer in a file, and the logs of jobs.

use std::collections::BTreeMap;

use crate::workflow::trace::instant;

/// A job as sacct has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Job {
    /// Its number.
    pub id: String,
    /// Its name; empty where the file does not say.
    pub name: String,
    /// The first word of its state: `COMPLETED`, `CANCELLED`.
    pub state: String,
    /// Exit status and signal, as they stand: `0:9`.
    pub exit: String,
    /// Milliseconds it ran.
    pub elapsed: Option<u64>,
    /// Milliseconds of processor time.
    pub cpu: Option<u64>,
    /// Most memory of a step, as it stands with its unit: `1234K`.
    pub memory: Option<u64>,
    /// When it was submitted, or else began: milliseconds.
    pub begin: Option<i64>,
    /// When it ended: milliseconds.
    pub end: Option<i64>,
}

/// Reads `sacct --parsable2` of any field set: jobs by number, with the most memory of their steps. None where no header
/// names `JobID` and `State`.
pub fn sacct(text: &str) -> Option<Vec<Job>> {
    let mut lines = text.lines().skip_while(|line| !line.contains('|'));
    let header: Vec<&str> = lines.next()?.split('|').map(str::trim).collect();
    let at = |name: &str| {
        header
            .iter()
            .position(|field| field.eq_ignore_ascii_case(name))
    };
    let (id, state) = (at("JobID")?, at("State")?);
    let mut jobs: BTreeMap<String, Job> = BTreeMap::new();
    let mut order = Vec::new();
    for line in lines {
        let cells: Vec<&str> = line.split('|').collect();
        let cell = |place: Option<usize>| place.and_then(|at| cells.get(at)).copied();
        let Some(number) = cell(Some(id)).filter(|number| !number.is_empty()) else {
            continue;
        };
        let (number, step) = number.split_once('.').unwrap_or((number, ""));
        let job = jobs.entry(number.to_owned()).or_insert_with(|| {
            order.push(number.to_owned());
            Job::default()
        });
        job.memory = job.memory.max(cell(at("MaxRSS")).and_then(bytes));
        if !step.is_empty() {
            continue;
        }
        let text = |name: &str| cell(at(name)).unwrap_or("").to_owned();
        let word = cell(Some(state)).and_then(|state| state.split_whitespace().next());
        *job = Job {
            id: number.to_owned(),
            name: text("JobName"),
            state: word.unwrap_or("").to_owned(),
            exit: text("ExitCode"),
            elapsed: cell(at("Elapsed")).and_then(clock),
            cpu: cell(at("TotalCPU")).and_then(clock),
            begin: cell(at("Submit"))
                .and_then(instant)
                .or(cell(at("Start")).and_then(instant)),
            end: cell(at("End")).and_then(instant),
            memory: job.memory,
        };
    }
    let found = order.iter().filter_map(|number| jobs.remove(number));
    Some(found.filter(|job| !job.id.is_empty()).collect())
}

/// The jobs as the text of a raw trace, so that they are added up as tasks are.
pub fn as_trace(jobs: &[Job]) -> String {
    let mut text =
        "native_id\tname\tstatus\texit\tsubmit\tcomplete\trealtime\t%cpu\tpeak_rss\n".to_owned();
    let number = |value: Option<u64>| value.map_or("-".into(), |value| value.to_string());
    let time = |value: Option<i64>| value.map_or("-".into(), |value| value.to_string());
    for job in jobs {
        let share = job.cpu.zip(job.elapsed).filter(|(_, elapsed)| *elapsed > 0);
        let share = share.map_or("-".into(), |(cpu, elapsed)| {
            format!("{:.3}", cpu as f64 / elapsed as f64 * 100.0)
        });
        let status = match job.state.as_str() {
            "COMPLETED" => "COMPLETED",
            state if ended_badly(state) => "FAILED",
            state => state,
        };
        let exit = job.exit.split(':').next().unwrap_or("-");
        let cells = [
            job.id.replace('\t', " "),
            job.name.replace('\t', " "),
            status.to_owned(),
            exit.to_owned(),
            time(job.begin),
            time(job.end),
            number(job.elapsed),
            share,
            number(job.memory),
        ];
        text += &cells.join("\t");
        text.push('\n');
    }
    text
}

/// Whether a state says that a job came to nothing. A word never seen does not.
pub fn ended_badly(state: &str) -> bool {
    matches!(
        state,
        "BOOT_FAIL"
            | "CANCELLED"
            | "DEADLINE"
            | "FAILED"
            | "NODE_FAIL"
            | "OUT_OF_MEMORY"
            | "PREEMPTED"
            | "TIMEOUT"
    )
}

/// `1-02:03:04`, `02:03:04`, `03:04.567` as milliseconds.
fn clock(text: &str) -> Option<u64> {
    let (days, rest) = text.split_once('-').unwrap_or(("0", text));
    let mut total = days.parse::<u64>().ok()?;
    let parts: Vec<&str> = rest.split(':').collect();
    let (seconds, whole) = parts.split_last()?;
    if whole.is_empty() || whole.len() > 2 {
        return None;
    }
    total = total.checked_mul(if whole.len() == 2 { 24 } else { 1_440 })?;
    for (at, part) in whole.iter().enumerate() {
        let base = if at == 0 { 1 } else { 60 };
        total = total.checked_mul(base)?.checked_add(part.parse().ok()?)?;
    }
    let (whole, fraction) = seconds.split_once('.').unwrap_or((seconds, "0"));
    let thousandths: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let seconds = total.checked_mul(60)?.checked_add(whole.parse().ok()?)?;
    seconds.checked_mul(1_000)?.checked_add(thousandths)
}

/// `1234K`, `5.5G`, `0` as bytes.
fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let (number, shift) = match text.char_indices().last()? {
        (at, 'K') => (&text[..at], 10),
        (at, 'M') => (&text[..at], 20),
        (at, 'G') => (&text[..at], 30),
        (at, 'T') => (&text[..at], 40),
        _ => (text, 0),
    };
    let number: f64 = number.parse().ok()?;
    let bytes = number * (1_u64 << shift) as f64;
    (bytes.is_finite() && bytes >= 0.0).then_some(bytes as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sacct_is_read_with_any_fields() {
        let text = "JobID|JobName|State|ExitCode|Elapsed|MaxRSS|TotalCPU\n\
            7|nf-A|OUT_OF_MEMORY|0:125|1-00:00:01||12:00:00\n\
            7.batch|batch|OUT_OF_MEMORY|0:125|00:00:20|2048K|\n\
            8|nf-B|CANCELLED by 1000|0:0|00:10|5|\n\
            9|nf-C|COMPLETED\n\n";
        let jobs = sacct(text).unwrap();
        assert_eq!(jobs.len(), 3);
        assert_eq!(
            (jobs[0].elapsed, jobs[0].memory),
            (Some(86_401_000), Some(2 << 20))
        );
        assert_eq!(
            (jobs[0].cpu, jobs[1].state.as_str()),
            (Some(43_200_000), "CANCELLED")
        );
        assert_eq!(jobs[1].elapsed, Some(10_000));
        assert_eq!(
            (jobs[2].state.as_str(), jobs[2].elapsed),
            ("COMPLETED", None)
        );
        for text in ["", "JobID JobName\n", "a|b\n1|2\n"] {
            assert_eq!(sacct(text), None, "{text}");
        }
        let trace = as_trace(&jobs);
        let account =
            crate::workflow::trace::Account::of(&[crate::workflow::trace::parse(&trace).unwrap()]);
        assert_eq!((account.rows, account.by_status["FAILED"]), (3, 2));
    }

    #[test]
    fn clocks_have_days_and_fractions() {
        assert_eq!(clock("01:02:03"), Some(3_723_000));
        assert_eq!(clock("02:03.5"), Some(123_500));
        assert_eq!(clock("2-01:00:00"), Some(176_400_000));
        for text in ["", "5", "a:b", "1:2:3:4", "UNLIMITED"] {
            assert_eq!(clock(text), None, "{text}");
        }
    }
}

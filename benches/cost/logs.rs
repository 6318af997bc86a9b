//! Following logs: the follower alone, with the reader of progress, and to a client over the socket.

use crate::{
    Plan,
    house::{House, PILOT},
    samples::{lines, newlines},
    table::Table,
    times::{median, short, timed},
};
use campaignd::{
    artifacts::follow::Follower, executor::job_dir::JobDir, generation::progress::ProgressReader,
};
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
    time::Duration,
};

/// What is read in one look.
const LOOK: u64 = 1 << 20;

/// Writes a log of about `bytes`: mostly chatter, every tenth line a count.
fn write_log(path: &Path, bytes: u64) {
    let mut log = BufWriter::new(File::create(path).unwrap());
    let (mut written, mut line) = (0, 0);
    while written < bytes {
        let text = match line % 10 {
            0 => format!("Progress: {line}/99999999 (0.1%) | Quality: 0.871\n"),
            _ => format!(
                "2026-03-02 09:14:02,117 INFO  worker.generate  batch {line}: 32 prompts sent, 32 answers kept\n"
            ),
        };
        log.write_all(text.as_bytes()).unwrap();
        (written, line) = (written + text.len() as u64, line + 1);
    }
}

/// Every way that a log is read, beside counting its lines.
pub fn logs(plan: &Plan, table: &mut Table) {
    let dir = plan.scratch();
    let path = dir.path().join("log");
    write_log(&path, plan.size(1 << 30, 256 << 20));
    let size = fs::metadata(&path).unwrap().len();
    let rounds = plan.size(5, 3);
    let total = lines(&path);
    let (mut bare, mut alone, mut read) = (Vec::new(), Vec::new(), Vec::new());
    let mut busy = (0.0, 0.0);
    for _ in 0..rounds {
        let (counted, time) = timed(|| lines(&path));
        assert_eq!(counted, total);
        bare.push(time);
        let before = thread_cpu();
        let (counted, time) = timed(|| follow_lines(&path));
        assert_eq!(counted, total);
        busy = (busy.0 + thread_cpu() - before, busy.1 + time.as_secs_f64());
        alone.push(time);
        let (counted, time) = timed(|| follow_progress(&path));
        assert_eq!(counted, total);
        read.push(time);
    }
    let rate = |times: &[Duration]| size as f64 / median(times) / 1e6;
    table.row(
        "log following: new bytes, lines counted",
        format!(
            "{} GB/s at {} % of a core",
            short(rate(&alone)),
            short(busy.0 / busy.1 * 100.0)
        ),
        format!(
            "counting the lines of the same file: {} GB/s",
            short(rate(&bare))
        ),
        "1 GB/s",
        rate(&alone) >= 1.0,
    );
    table.note(
        "log following with the reader of progress",
        format!("{} GB/s", short(rate(&read))),
        "one line in ten has a count".into(),
    );
    served(plan, table);
}

fn follow_lines(path: &Path) -> u64 {
    let (mut follower, mut lines) = (Follower::new(path), 0);
    let mut count = |chunk: &[u8]| lines += newlines(chunk);
    while follower.read_new(LOOK, &mut count).unwrap().bytes > 0 {}
    lines
}

fn follow_progress(path: &Path) -> u64 {
    let (mut follower, mut reader) = (Follower::new(path), ProgressReader::new(0));
    while follower
        .read_new(LOOK, |chunk| reader.feed(chunk))
        .unwrap()
        .bytes
        > 0
    {}
    reader.progress().lines
}

/// Processor time of this thread, in seconds.
fn thread_cpu() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds: f64 = text.split(' ').next().unwrap().parse().unwrap();
    nanoseconds / 1e9
}

/// A job's log, sent to a client as `campaignctl logs` asks for it.
fn served(plan: &Plan, table: &mut Table) {
    let house = House::new(plan);
    let log = house.path("log");
    write_log(&log, plan.size(256 << 20, 64 << 20));
    let (size, total) = (fs::metadata(&log).unwrap().len(), lines(&log));
    house.campaign(2 * PILOT);
    house.until("the whole log is printed", |house| printed(house) >= total);
    let before = house.cpu();
    let ((_, found), time) = timed(|| {
        let connection = house.connect().unwrap();
        connection.drain("/v1/campaigns/cost/logs").unwrap()
    });
    let busy = (house.cpu() - before) / time.as_secs_f64() * 100.0;
    assert!(found >= total, "{found} of {total} lines");
    let (ok, client) = timed(|| house.ctl(&["logs", "cost"]));
    assert!(ok);
    let rate = |time: Duration| size as f64 / time.as_secs_f64() / 1e9;
    table.note(
        "a job's log over the socket, each line a JSON value",
        format!(
            "{} GB/s, the daemon at {} % of a core",
            short(rate(time)),
            short(busy)
        ),
        format!(
            "`campaignctl logs` at its end: {} GB/s",
            short(rate(client))
        ),
    );
}

/// Lines of the log that stand in the job's directory.
fn printed(house: &House) -> u64 {
    let jobs = fs::read_dir(house.path("state/jobs")).unwrap();
    let files = jobs.map(|job| JobDir::new(job.unwrap().path()).stdout(0));
    files
        .filter(|file| file.exists())
        .map(|file| lines(&file))
        .sum()
}

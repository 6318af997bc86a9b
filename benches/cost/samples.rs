//! Samples and the real daemon: registering them, asking for them, losing and finding them, and what that takes.

use crate::{
    Plan,
    house::House,
    table::Table,
    times::{median, quantile, short, spread, thousands, timed},
};
use campaignd::{actors::seen::Seen, machines::job::Phase, time::Timestamp};
use std::{
    fs::{self, File},
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

/// Samples of the campaign that set the aims.
const SOME: u64 = 34_500;
/// As many as a campaign is to take without growing slow.
const MANY: u64 = 1_000_000;
/// How long a daemon settles before its memory and its idle time are read.
const SETTLE: Duration = Duration::from_secs(2);

/// A daemon that has nothing to do.
pub fn idle(plan: &Plan, table: &mut Table) {
    let house = House::new(plan);
    thread::sleep(SETTLE);
    let over = Duration::from_secs(plan.size(60, 20));
    let cpu = house.idle_cpu(over);
    let own = fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = own.split(' ').nth(1).unwrap().parse().unwrap();
    table.row(
        "resident memory, idle",
        format!("{} MB", short(house.resident())),
        format!("this measuring program: {} MB", short(pages * 4096.0 / 1e6)),
        "50 MB",
        house.resident() <= 50.0,
    );
    table.row(
        "processor time, idle",
        format!("{} % of a core", short(cpu)),
        format!("over {} s, to the hundredth of a second", over.as_secs()),
        "0.1 %",
        cpu <= 0.1,
    );
    round_trips(plan, table, &house);
}

fn round_trips(plan: &Plan, table: &mut Table, house: &House) {
    let count = plan.size(5_000, 1_000);
    let mut connection = house.connect().unwrap();
    let mut echo = echo();
    let (mut ours, mut bares) = (Vec::new(), Vec::new());
    let body = connection.get("/v1/status").unwrap();
    for _ in 0..count {
        ours.push(timed(|| connection.get("/v1/status").unwrap()).1);
        bares.push(timed(|| bounce(&mut echo, &body)).1);
    }
    table.row(
        "socket round trip: `status` over an open connection",
        spread(&ours),
        format!("echo of as many bytes by a thread: {}", spread(&bares)),
        "0.1 ms",
        median(&ours) <= 0.1,
    );
}

/// A thread that sends back what it reads.
fn echo() -> UnixStream {
    let (near, mut far) = UnixStream::pair().unwrap();
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        // It ends when the other end is closed.
        while let Ok(read @ 1..) = far.read(&mut bytes) {
            far.write_all(&bytes[..read]).unwrap();
        }
    });
    near
}

fn bounce(echo: &mut UnixStream, bytes: &[u8]) {
    echo.write_all(bytes).unwrap();
    echo.read_exact(&mut vec![0; bytes.len()]).unwrap();
}

/// The samples of an ordinary campaign.
pub fn some(plan: &Plan, table: &mut Table) {
    let mut house = House::new(plan);
    house.campaign(SOME);
    register(plan, table, &house, SOME);
    statuses(plan, table, &house, SOME);
    verbs(plan, table, &house);
    let mut times = Vec::new();
    for _ in 0..plan.size(15, 5) {
        times.push(lose_and_find(&mut house, SOME).0);
    }
    let mut empty = House::new(plan);
    empty.kill();
    let (_, bare) = timed(|| empty.serve());
    table.row(
        &format!(
            "`kill -9` until all {} are shown again",
            thousands(SOME as f64)
        ),
        format!(
            "p50 {} s, most {} s",
            short(median(&times) / 1e3),
            short(quantile(&times, 1.0) / 1e3)
        ),
        format!(
            "a daemon with nothing to find, started: {} s",
            short(bare.as_secs_f64())
        ),
        "2 s",
        quantile(&times, 1.0) <= 2e3,
    );
}

/// Far more samples than that.
pub fn many(plan: &Plan, table: &mut Table) {
    let mut house = House::new(plan);
    let before = house.resident();
    house.campaign(MANY);
    register(plan, table, &house, MANY);
    statuses(plan, table, &house, MANY);
    thread::sleep(SETTLE);
    let resident = house.resident();
    table.row(
        &format!("resident memory, {} samples", thousands(MANY as f64)),
        format!("{} MB", short(resident)),
        format!(
            "before them {} MB; their files are {} MB",
            short(before),
            files(&house).iter().map(length).sum::<u64>() / 1_000_000
        ),
        "100 MB",
        resident <= 100.0,
    );
    let over = Duration::from_secs(plan.size(60, 20));
    table.note(
        "processor time, a job with them alive and silent",
        format!("{} % of a core", short(house.idle_cpu(over))),
        format!("over {} s", over.as_secs()),
    );
    let (time, slowest) = lose_and_find(&mut house, MANY);
    table.note(
        &format!(
            "`kill -9` until all {} are shown again",
            thousands(MANY as f64)
        ),
        format!("{} s", short(time.as_secs_f64())),
        format!(
            "the slowest `status` while they were counted: {} ms",
            short(slowest.as_secs_f64() * 1e3)
        ),
    );
}

fn files(house: &House) -> [PathBuf; 2] {
    [house.path("rows-0"), house.path("rows-1")]
}

fn length(file: &PathBuf) -> u64 {
    fs::metadata(file).unwrap().len()
}

/// Counting every sample of a phase for the first time, as the daemon does.
fn register(plan: &Plan, table: &mut Table, house: &House, samples: u64) {
    let (mut ours, mut bares) = (Vec::new(), Vec::new());
    let id = "cost".parse().unwrap();
    for _ in 0..plan.size(5, 3) {
        let (seen, time) = timed(|| {
            let seen = Seen::default();
            for (shard, file) in (0..).zip(files(house)) {
                seen.look(&id, Phase::Generate, shard, &file, Timestamp(0))
                    .unwrap();
            }
            seen
        });
        assert_eq!(seen.count(&id, Phase::Generate).distinct, samples);
        ours.push(time);
        bares.push(timed(|| files(house).iter().map(lines).sum::<u64>()).1);
    }
    let what = format!("registering {} samples", thousands(samples as f64));
    let figure = format!("{} s", short(median(&ours) / 1e3));
    let beside = format!(
        "counting the lines of the same files: {} s",
        short(median(&bares) / 1e3)
    );
    if samples == SOME {
        table.row(&what, figure, beside, "1 s", median(&ours) <= 1e3);
    } else {
        table.note(&what, figure, beside);
    }
}

/// The lines of a file, counted as fast as this machine can.
pub fn lines(file: &PathBuf) -> u64 {
    let mut file = File::open(file).unwrap();
    let (mut block, mut lines) = (vec![0; 64 << 10], 0);
    while let read @ 1.. = file.read(&mut block).unwrap() {
        lines += newlines(&block[..read]);
    }
    lines
}

/// The newlines in some bytes: in groups whose count fits a byte, so that the compiler compares many at once.
pub fn newlines(bytes: &[u8]) -> u64 {
    let group = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|byte| u8::from(*byte == b'\n'))
            .sum::<u8>()
    };
    bytes.chunks(255).map(|bytes| u64::from(group(bytes))).sum()
}

fn statuses(plan: &Plan, table: &mut Table, house: &House, samples: u64) {
    let count = plan.size(1_000, 200);
    let times: Vec<_> = (0..count).map(|_| timed(|| house.status()).1).collect();
    let ctl: Vec<_> = (0..plan.size(50, 10))
        .map(|_| timed(|| assert!(house.ctl(&["status"]))).1)
        .collect();
    table.row(
        &format!("`status` with {} samples", thousands(samples as f64)),
        spread(&times),
        format!("`campaignctl status`, the process too: {}", spread(&ctl)),
        "10 ms, flat",
        quantile(&times, 0.99) <= 10.0,
    );
}

/// Changes asked for over the socket: through the coordinator, the journal and back.
fn verbs(plan: &Plan, table: &mut Table, house: &House) {
    let mut times = Vec::new();
    for _ in 0..plan.size(500, 100) {
        for verb in ["pause", "resume"] {
            let mut connection = house.connect().unwrap();
            let path = format!("/v1/campaigns/cost/{verb}");
            times.push(timed(|| connection.post(&path).unwrap()).1);
        }
    }
    let asked = timed(|| house.status()).1;
    table.note(
        "`pause` and `resume`, answered when durable",
        spread(&times),
        format!("a `status` then: {} ms", short(asked.as_secs_f64() * 1e3)),
    );
}

/// Kills the daemon and starts it again; how long until it shows every sample, and its slowest answer meanwhile.
fn lose_and_find(house: &mut House, samples: u64) -> (Duration, Duration) {
    let began = Instant::now();
    house.kill();
    house.serve();
    let mut slowest = Duration::ZERO;
    house.until("every sample is found", |house| {
        let (counts, time) = timed(|| house.counts());
        slowest = slowest.max(time);
        counts == (crate::house::PILOT, samples)
    });
    (began.elapsed(), slowest)
}

//! What a durable commit costs, beside a bare append and fdatasync on the same disk in the same run.
//!
//! `cargo bench --bench commit` prints the table of `benches/README.md`.

use campaignd::store::{Draft, SEGMENT_LIMIT, Store};
use std::{
    fs::File,
    io::Write,
    time::{Duration, Instant},
};

const COMMITS: usize = 500;
const BURST: usize = 1_000;

fn draft(number: usize) -> Draft {
    Draft {
        at_ms: 0,
        uid: None,
        campaign: "bench".into(),
        event: "task_ended".into(),
        what: format!("task {number}"),
        payload: vec![7; 200],
        changes: Vec::new(),
    }
}

fn quantile(times: &mut [Duration], share: f64) -> f64 {
    times.sort();
    times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir_in(".")?;
    let (mut store, _) = Store::open(&dir.path().join("state"), SEGMENT_LIMIT)?;
    let mut bare = File::create(dir.path().join("bare"))?;
    let (mut commits, mut appends) = (Vec::new(), Vec::new());
    // Alternating, so that a slow moment of the disk falls on both.
    for number in 0..COMMITS {
        let began = Instant::now();
        bare.write_all(&[7; 300])?;
        bare.sync_data()?;
        appends.push(began.elapsed());
        let began = Instant::now();
        store.commit(vec![draft(number)])?;
        commits.push(began.elapsed());
    }
    let began = Instant::now();
    store.commit((0..BURST).map(draft).collect())?;
    let burst = BURST as f64 / began.elapsed().as_secs_f64();
    let (bare50, bare99) = (quantile(&mut appends, 0.5), quantile(&mut appends, 0.99));
    let (ours50, ours99) = (quantile(&mut commits, 0.5), quantile(&mut commits, 0.99));
    println!("{:<28} {:>9} {:>9}", "", "p50 ms", "p99 ms");
    println!("{:<28} {bare50:>9.3} {bare99:>9.3}", "append + fdatasync");
    println!("{:<28} {ours50:>9.3} {ours99:>9.3}", "commit");
    println!(
        "{:<28} {:>9.2} {:>9.2}",
        "ratio",
        ours50 / bare50,
        ours99 / bare99
    );
    println!("{:<28} {burst:>9.0} entries/s", "one burst of 1,000");
    Ok(())
}

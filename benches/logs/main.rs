//! How fast what a run left behind is read: traces, and logs for errors; on one core, beside counting lines.
//!
//! `cargo bench --bench logs` prints a line for each; `-- --quick` takes smaller texts. Both texts are made here: a trace of
//! Nextflow's default columns, and ordinary lines of `.nextflow.log` and of tools, with a few errors among them.
#![allow(clippy::print_stdout, reason = "a measurement prints what it measured")]

use campaignd::workflow::{errors, trace};
use std::{fmt::Write, hint::black_box, time::Instant};

/// Of each the best of so many is told: what disturbs only slows.
const ROUNDS: usize = 5;

/// A trace of about `bytes`.
fn trace_text(bytes: usize) -> String {
    let mut text = "task_id\thash\tnative_id\tname\tstatus\texit\tsubmit\tduration\trealtime\t%cpu\tpeak_rss\tpeak_vmem\trchar\twchar\n".to_owned();
    let mut row = 0_u64;
    while text.len() < bytes {
        let (minute, second) = (row / 60 % 60, row % 60);
        let process = ["FASTQC", "STAR_ALIGN", "SAMTOOLS_SORT", "MULTIQC"][row as usize % 4];
        let (status, exit) = if row % 50 == 7 {
            ("FAILED", 137)
        } else {
            ("COMPLETED", 0)
        };
        let _ = writeln!(
            text,
            "{row}\t{:02x}/{:06x}\t{}\tRNASEQ:{process} (sample_{})\t{status}\t{exit}\t2024-06-27 02:{minute:02}:{second:02}.{:03}\t{minute}m {second}s\t{second}.{}s\t{}.{}%\t{}.{} MB\t3.8 GB\t{}.2 MB\t94.2 KB",
            row % 256,
            row * 7919 % 0xff_ffff,
            70_000 + row,
            row / 4,
            row % 1_000,
            row % 10,
            row % 800,
            row % 10,
            row % 900,
            row % 10,
            row % 70,
        );
        row += 1;
    }
    text
}

/// A log of about `bytes`, one line in 5,000 an error.
fn log_text(bytes: usize) -> String {
    let mut text = String::with_capacity(bytes + 400);
    let mut line = 0_u64;
    while text.len() < bytes {
        let (minute, second, ms) = (line / 60_000 % 60, line / 1_000 % 60, line % 1_000);
        let at = format!("Jun-27 02:{minute:02}:{second:02}.{ms:03}");
        let _ = match line % 5_000 {
            4_321 => writeln!(
                text,
                "samtools sort: failed writing to \"s{line}.bam\": No space left on device"
            ),
            other => match other % 6 {
                0 => writeln!(
                    text,
                    "{at} [Task submitter] DEBUG n.executor.local.LocalTaskHandler - Launch cmd line: /bin/bash -ue .command.run"
                ),
                1 => writeln!(
                    text,
                    "{at} [Task submitter] INFO  nextflow.Session - [8d/61af4f] Submitted process > RNASEQ:FASTQC (sample_{line})"
                ),
                2 => writeln!(
                    text,
                    "{at} [Task monitor] DEBUG n.processor.TaskPollingMonitor - Task completed > TaskHandler[id: {line}; name: RNASEQ:FASTQC (sample_{line}); status: COMPLETED; exit: 0; error: -; workDir: /scratch/work/8d/61af4f]"
                ),
                3 => writeln!(
                    text,
                    "[M::mem_process_seqs] Processed {line} reads in 12.402 CPU sec, 1.553 real sec"
                ),
                4 => writeln!(
                    text,
                    "Approx {}% complete for sample_{line}_R1.fastq.gz",
                    line % 100
                ),
                _ => writeln!(
                    text,
                    "INFO  2024-06-27 02:{minute:02}:{second:02} MarkDuplicates Read {line} records. Elapsed time: 00:00:12s. Last read position: chr1:{line}"
                ),
            },
        };
        line += 1;
    }
    text
}

/// Seconds of the quickest round.
fn best<T>(mut run: impl FnMut() -> T) -> f64 {
    let rounds = (0..ROUNDS).map(|_| {
        let began = Instant::now();
        black_box(run());
        began.elapsed().as_secs_f64()
    });
    rounds.fold(f64::INFINITY, f64::min)
}

fn tell(what: &str, bytes: usize, seconds: f64, beside: f64) {
    let rate = |seconds: f64| bytes as f64 / seconds / 1e6;
    println!(
        "{what}: {:.0} MB/s; counting its lines: {:.0} MB/s; {:.0} MB",
        rate(seconds),
        rate(beside),
        bytes as f64 / 1e6
    );
}

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let bytes = if quick { 8 << 20 } else { 64 << 20 };
    let text = trace_text(bytes);
    let beside = best(|| text.lines().count());
    let parse = best(|| trace::parse(&text).map(|trace| trace.len()).ok());
    tell("trace, parsed", text.len(), parse, beside);
    let whole = best(|| {
        trace::parse(&text)
            .map(|trace| trace::Account::of(&[trace]).rows)
            .ok()
    });
    tell("trace, parsed and added up", text.len(), whole, beside);
    let text = log_text(bytes);
    // What is made once a process is not the scan's.
    assert!(errors::diagnose("No space left on device").is_some());
    let beside = best(|| text.lines().count());
    let scan = best(|| errors::findings(&text).len());
    assert_eq!(errors::findings(&text).len(), 1);
    tell("log, searched for errors", text.len(), scan, beside);
}

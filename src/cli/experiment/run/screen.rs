//! What is seen of a running experiment: both tables, redrawn in place on a terminal, else a line a change.

use crate::{
    cli::{
        args::Shape,
        out,
        screen::fit::{self, WIDTH, labelled, width},
        style::Style,
    },
    experiment::{plan::Plan, status::Row},
    runner::Watcher,
};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// Rows that a live screen shows at most: those that ended well leave first.
const LIVE_ROWS: usize = 30;

/// Both tables.
pub fn tables(plan: &Plan, style: Style) -> String {
    let mut text = table("FINE-TUNE", &plan.fine_tuning, style);
    if !plan.evaluation.is_empty() {
        text += "\n";
        text += &table("EVALUATION", &plan.evaluation, style);
    }
    text
}

fn table(head: &str, all: &[Row], style: Style) -> String {
    let mut rows = vec![fit::Row {
        name: head.into(),
        cells: ["STATE", "JOB", "FOR"].map(String::from).into(),
    }];
    rows.extend(all.iter().map(|row| fit::Row {
        name: row.name.clone(),
        cells: vec![
            style.word(&row.state),
            row.job.clone().unwrap_or_else(|| "-".into()),
            row.duration.clone().unwrap_or_else(|| "-".into()),
        ],
    }));
    let notes = std::iter::once("NOTE").chain(all.iter().map(|row| row.note.as_str()));
    let mut text = String::new();
    for (line, note) in fit::table(&rows, "<>>").iter().zip(notes) {
        let last = line.rsplit('\n').next().unwrap_or(line);
        if width(last) + 2 + width(note) <= WIDTH {
            text += &format!("{line}  {note}");
            text = text.trim_end().to_string() + "\n";
        } else {
            text += &format!("{line}\n{}", labelled("    ", note));
        }
    }
    text
}

/// `2 completed, 1 running, 3 pending`, of both tables.
pub fn counts(plan: &Plan) -> String {
    let mut found: Vec<(String, usize)> = Vec::new();
    for row in plan.fine_tuning.iter().chain(&plan.evaluation) {
        let word = row.state.to_lowercase();
        match found.iter_mut().find(|(known, _)| *known == word) {
            Some((_, count)) => *count += 1,
            None => found.push((word, 1)),
        }
    }
    let each = found.iter().map(|(word, count)| format!("{count} {word}"));
    each.collect::<Vec<_>>().join(", ")
}

/// Who looks on at a terminal, or reads lines.
pub struct Screen {
    style: Style,
    quiet: bool,
    bars: Option<(MultiProgress, ProgressBar)>,
}

impl Screen {
    /// On stderr: stdout is for the answer.
    pub fn new(shape: Shape) -> Self {
        let terminal = std::io::stderr().is_terminal() && !shape.quiet;
        let bars = terminal.then(|| {
            let bars = MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(5));
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            (bars, bar)
        });
        Self {
            style: Style::of(&std::io::stderr(), shape.color),
            quiet: shape.quiet,
            bars,
        }
    }

    /// The live part leaves; what is said from now on stands alone.
    pub fn end(&mut self) {
        if let Some((_, bar)) = self.bars.take() {
            bar.finish_and_clear();
        }
    }
}

impl Watcher for Screen {
    fn changed(&mut self, row: &Row) {
        if self.bars.is_some() || self.quiet {
            return;
        }
        let job = row
            .job
            .as_ref()
            .map_or(String::new(), |job| format!("  job {job}"));
        let lasted = row
            .duration
            .as_ref()
            .map_or(String::new(), |ran| format!("  {ran}"));
        let note = match row.note.as_str() {
            "" => String::new(),
            note => format!("  {note}"),
        };
        let at = crate::cli::now().to_string();
        let clock = at.get(11..19).unwrap_or("");
        out::note(&format!(
            "{clock}  {}  {}{job}{lasted}{note}",
            row.name, row.state
        ));
    }

    fn say(&mut self, text: &str) {
        match &self.bars {
            Some((bars, _)) => bars.suspend(|| out::note(text)),
            None => out::note(text),
        }
    }

    fn tick(&mut self, now: &dyn Fn() -> Plan) {
        let Some((_, bar)) = &self.bars else {
            return;
        };
        let mut plan = now();
        let counted = counts(&plan);
        let mut left_out = 0;
        for rows in [&mut plan.fine_tuning, &mut plan.evaluation] {
            // What still goes on is what a person looks for.
            for state in ["COMPLETED", "skipped", "pending"] {
                while rows.len() > LIVE_ROWS {
                    let Some(at) = rows.iter().position(|row| row.state == state) else {
                        break;
                    };
                    rows.remove(at);
                    left_out += 1;
                }
            }
        }
        let more = match left_out {
            0 => String::new(),
            count => format!("{count} rows are not shown.  "),
        };
        bar.set_message(format!(
            "{}\n  {counted}\n  {more}Ctrl-C leaves; the jobs go on, and the same command comes back to them.",
            tables(&plan, self.style).trim_end()
        ));
        bar.tick();
    }
}

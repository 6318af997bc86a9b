//! `campaignctl review`: a person looks at a random sample, and each answer is recorded at once. The sample of a size and a
//! seed is always the same, so the same command goes on where one stopped; what was judged before counts and is not asked.

use super::{
    args::Shape,
    fail::Fail,
    now, out, screen,
    style::{Style, thousands},
    trajectory,
};
use crate::{
    artifacts::feedback::Opinion,
    control::{
        client::{Client, Target},
        trajectories::{FeedbackRequest, SampleView, TrajectoryView},
    },
    evaluation::proportion::wilson_interval,
};
use std::{
    io::{self, BufRead, IsTerminal},
    thread,
};
use tokio::sync::mpsc;

/// What is asked of each.
const QUESTION: &str = "[p]ositive  [n]egative  [=] neutral  [s]kip  [c]ode  [q]uit  ";
/// What is understood.
const ANSWERS: &str =
    "p, n or = with or without a note behind it; s to skip, c for the code, q to stop";

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Say(Opinion, Option<String>),
    Skip,
    Code,
    Quit,
}

/// `n wrong aligner` is a word and a note.
fn understood(line: &str) -> Option<Answer> {
    let line = line.trim();
    let (word, note) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let note = Some(note.trim().to_string()).filter(|note| !note.is_empty());
    let say = |opinion| Some(Answer::Say(opinion, note.clone()));
    match word {
        "p" | "positive" => say(Opinion::Positive),
        "n" | "negative" => say(Opinion::Negative),
        "=" | "neutral" => say(Opinion::Neutral),
        "s" | "skip" => Some(Answer::Skip),
        "c" | "code" => Some(Answer::Code),
        "q" | "quit" => Some(Answer::Quit),
        _ => None,
    }
}

/// How many of each there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    positive: u64,
    negative: u64,
    neutral: u64,
    skipped: u64,
}

impl Tally {
    fn count(&mut self, opinion: Opinion) {
        match opinion {
            Opinion::Positive => self.positive += 1,
            Opinion::Negative => self.negative += 1,
            Opinion::Neutral => self.neutral += 1,
        }
    }

    fn judged(self) -> u64 {
        self.positive + self.negative + self.neutral
    }
}

/// Lines of stdin, read on a thread of its own: it may wait for ever, and an interrupt must not wait for it.
fn lines() -> mpsc::Receiver<io::Result<String>> {
    let (sender, lines) = mpsc::channel(1);
    thread::spawn(move || {
        for line in io::stdin().lock().split(b'\n') {
            let line = line.map(|line| String::from_utf8_lossy(&line).into_owned());
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// `review [CAMPAIGN] --sample N [--seed S]`.
pub async fn review(
    client: &Client,
    shape: Shape,
    id: &str,
    sample: usize,
    seed: u64,
) -> Result<u8, Fail> {
    let target = Target::new(&["campaigns", id, "trajectories"])
        .query("sample", sample)
        .query("seed", seed);
    let drawn: SampleView = client.get(&target).await?;
    if shape.json {
        out::json(&drawn)?;
        return Ok(0);
    }
    if drawn.sample.is_empty() {
        let message = format!("{} has no trajectories yet", drawn.campaign);
        return Err(Fail::usage(
            message,
            format!("campaignctl status {}", drawn.campaign),
        ));
    }
    let mut session = Session {
        client,
        shape,
        answers: lines(),
        asked: 0,
        name: format!("sample {sample}, seed {seed}"),
    };
    let mut tally = Tally::default();
    for (at, view) in drawn.sample.iter().enumerate() {
        if let Some(said) = &view.feedback {
            tally.count(said.feedback);
            continue;
        }
        match session.judge(view, at + 1, drawn.sample.len()).await? {
            Answer::Say(opinion, _) => tally.count(opinion),
            Answer::Skip => tally.skipped += 1,
            Answer::Code | Answer::Quit => break,
        }
    }
    out::print(&summary(&drawn, sample, tally))?;
    Ok(0)
}

/// Somebody who is asked.
struct Session<'a> {
    client: &'a Client,
    shape: Shape,
    answers: mpsc::Receiver<io::Result<String>>,
    asked: u64,
    name: String,
}

impl Session<'_> {
    /// Shows one, asks until there is an answer, records it.
    async fn judge(&mut self, view: &TrajectoryView, at: usize, of: usize) -> Result<Answer, Fail> {
        let style = Style::of(&io::stderr(), self.shape.color);
        out::prompt(&format!("\n{}", screen::brief(view, style, now())));
        loop {
            match self.ask(&format!("{at} of {of}  {QUESTION}")).await? {
                Answer::Code => {
                    let code = trajectory::text_of(&view.trajectory, "generated_code");
                    let code = code.map(|code| screen::clean_lines(&code));
                    out::note(code.as_deref().unwrap_or("it has no code"));
                }
                Answer::Say(opinion, note) => {
                    let request = FeedbackRequest {
                        trajectory: view.id.clone(),
                        feedback: opinion.name().into(),
                        note: note.clone(),
                        review: Some(self.name.clone()),
                    };
                    trajectory::say(self.client, &view.campaign, &request).await?;
                    return Ok(Answer::Say(opinion, note));
                }
                other => return Ok(other),
            }
        }
    }

    /// The next answer; the end of what is said is an answer too. A person is asked again, a file is wrong.
    async fn ask(&mut self, question: &str) -> Result<Answer, Fail> {
        loop {
            out::prompt(question);
            let line = match self.answers.recv().await {
                Some(Ok(line)) => line,
                Some(Err(error)) => {
                    let message = format!("stdin cannot be read: {error}");
                    return Err(Fail::usage(message, "what was answered is recorded"));
                }
                None => {
                    out::note("");
                    return Ok(Answer::Quit);
                }
            };
            self.asked += 1;
            if let Some(answer) = understood(&line) {
                if !io::stdin().is_terminal() {
                    out::note(&screen::clean(&line));
                }
                return Ok(answer);
            }
            let message = format!("answer {} is not understood: {:?}", self.asked, line.trim());
            let fail = Fail::usage(message, ANSWERS);
            if !io::stdin().is_terminal() {
                out::note("");
                return Err(fail);
            }
            out::prompt(&fail.to_string());
        }
    }
}

/// How many of each, and how sure the share of good ones is: of those that were judged, in the order of the sample.
fn summary(drawn: &SampleView, asked: usize, tally: Tally) -> String {
    let (campaign, judged) = (&drawn.campaign, tally.judged());
    let (of, population) = (drawn.sample.len(), thousands(drawn.population));
    let mut text = format!(
        "{campaign}: {judged} of {of} judged, drawn from {population} (seed {})\n",
        drawn.seed
    );
    let share = wilson_interval(tally.positive, judged).map(|(low, high)| {
        let percent = |share: f64| format!("{:.1}", 100.0 * share);
        let share = tally.positive as f64 / judged as f64;
        format!(
            "   {} % ({} to {}, n = {judged})",
            percent(share),
            percent(low),
            percent(high)
        )
    });
    text += &format!(
        "  positive  {:>4}{}\n",
        tally.positive,
        share.unwrap_or_default()
    );
    text += &format!(
        "  negative  {:>4}\n  neutral   {:>4}\n",
        tally.negative, tally.neutral
    );
    if tally.skipped > 0 {
        text += &format!("  skipped   {:>4}\n", tally.skipped);
    }
    let left = of as u64 - judged;
    if left > 0 {
        let seed = drawn.seed;
        text += &format!(
            "  next      {left} to go: campaignctl review {campaign} --sample {asked} --seed {seed}\n"
        );
    } else {
        text += &format!(
            "  next      {} more: campaignctl review {campaign} --sample {} --seed {}\n",
            of,
            2 * of,
            drawn.seed
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_a_sign_and_perhaps_a_note() {
        let say = |opinion, note: Option<&str>| Some(Answer::Say(opinion, note.map(String::from)));
        assert_eq!(understood(" p "), say(Opinion::Positive, None));
        assert_eq!(
            understood("n wrong  aligner"),
            say(Opinion::Negative, Some("wrong  aligner"))
        );
        assert_eq!(understood("="), say(Opinion::Neutral, None));
        assert_eq!(understood("quit"), Some(Answer::Quit));
        for unclear in ["", "x", "pp", "yes"] {
            assert_eq!(understood(unclear), None, "{unclear:?}");
        }
    }

    #[test]
    fn nothing_judged_has_no_share() {
        let mut drawn = SampleView {
            campaign: "a".into(),
            population: 34_500,
            sample: vec![TrajectoryView::default(); 4],
            ..SampleView::default()
        };
        let none = summary(&drawn, 4, Tally::default());
        assert!(!none.contains('%') && none.contains("4 to go"), "{none}");
        drawn.seed = 3;
        let tally = Tally {
            positive: 3,
            negative: 1,
            ..Tally::default()
        };
        let all = summary(&drawn, 4, tally);
        assert!(all.contains("75.0 % (30.1 to 95.4, n = 4)"), "{all}");
        assert!(
            all.contains("drawn from 34,500 (seed 3)") && all.contains("--sample 8 --seed 3"),
            "{all}"
        );
    }
}

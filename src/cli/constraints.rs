//! `campaignctl constraints`: what failures taught and persons ruled; looked at, explained, kept, deleted, written.

use super::{
    args::Shape, fail::Fail, history::wrong, now, out, screen::fit::labelled, style::Style,
};
use crate::{
    control::{
        client::{Client, Target},
        history::{Act, ActedView, ConstraintsView},
    },
    history::constraints::{ANY, Constraint, Origin, Strength, parse},
};

/// For the help.
pub const EXAMPLES: &str = "\
Examples:
  campaignctl constraints
  campaignctl constraints explain c-1a2b3c4d5e
  campaignctl constraints add 'learning_rate <= 0.01'
  campaignctl constraints add 'batch_size < 16 or max_seq_length < 4096' --model Qwen3-8B --soft

A text says what is allowed. A hard constraint refuses, a soft one doubts. A pinned one stays
whatever is learned; a deleted one is learned again only from two new failures.";

/// The flags of `constraints`.
#[derive(clap::Args, Clone, Debug)]
pub struct ConstraintsArgs {
    #[command(subcommand)]
    verb: Option<ConstraintsVerb>,
    /// The campaign
    #[arg(long, global = true, value_name = "CAMPAIGN")]
    campaign: Option<String>,
}

#[derive(clap::Subcommand, Clone, Debug)]
enum ConstraintsVerb {
    /// All in force
    List,
    /// One, with its evidence
    Explain {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Keep one, whatever is learned
    Pin {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Remove one
    Delete {
        /// Its id, or the beginning of it
        id: String,
    },
    /// Write one
    Add {
        /// What is allowed, such as 'learning_rate <= 0.01'
        #[arg(value_name = "TEXT")]
        text: String,
        /// Only for this model
        #[arg(long, value_name = "MODEL")]
        model: Option<String>,
        /// Doubt what breaks it instead of refusing it
        #[arg(long)]
        soft: bool,
    },
}

/// `constraints [list|explain ID|pin ID|delete ID|add TEXT]`.
pub async fn constraints(
    client: &Client,
    shape: Shape,
    args: &ConstraintsArgs,
) -> Result<u8, Fail> {
    let act = match args.verb.clone().unwrap_or(ConstraintsVerb::List) {
        ConstraintsVerb::List => return list(client, shape, args).await,
        ConstraintsVerb::Explain { id } => return explain(client, shape, args, &id).await,
        ConstraintsVerb::Pin { id } => Act::Pin { id },
        ConstraintsVerb::Delete { id } => Act::Delete { id },
        ConstraintsVerb::Add { text, model, soft } => {
            // What is wrong with a text is told without a daemon.
            parse(&text, model.as_deref().unwrap_or(ANY), now()).map_err(|problem| {
                let mut fail = wrong(&problem);
                if let Some(error) = fail.0.first_mut() {
                    error.at = problem
                        .column
                        .map(|column| format!("{text:?}, column {column}"));
                }
                fail
            })?;
            let strength = if soft { Strength::Soft } else { Strength::Hard };
            Act::Add {
                text,
                model,
                strength,
            }
        }
    };
    let campaign = args.campaign.as_deref().unwrap_or("-");
    let acted: ActedView = client
        .post(&Target::new(&["constraints", campaign]), &act)
        .await?;
    if shape.json {
        out::json(&acted)?;
    } else if !shape.quiet {
        out::line(&acted.what)?;
    }
    Ok(0)
}

async fn get(client: &Client, args: &ConstraintsArgs) -> Result<ConstraintsView, Fail> {
    let target = Target::new(&["constraints"]).query_some("campaign", args.campaign.as_deref());
    Ok(client.get(&target).await?)
}

async fn list(client: &Client, shape: Shape, args: &ConstraintsArgs) -> Result<u8, Fail> {
    let view = get(client, args).await?;
    if shape.json {
        out::json(&view)?;
    } else {
        out::print(&screen(&view, Style::of(&std::io::stdout(), shape.color)))?;
    }
    Ok(0)
}

async fn explain(
    client: &Client,
    shape: Shape,
    args: &ConstraintsArgs,
    id: &str,
) -> Result<u8, Fail> {
    let view = get(client, args).await?;
    let bare = id.trim_start_matches("c-");
    let begins = |one: &&Constraint| one.id.trim_start_matches("c-").starts_with(bare);
    let fits: Vec<&Constraint> = view.constraints.iter().filter(begins).collect();
    let names = |all: &[&Constraint]| {
        all.iter()
            .map(|one| one.id.clone())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let one = match fits.as_slice() {
        [one] => one,
        [] => {
            let all: Vec<&Constraint> = view.constraints.iter().collect();
            let known = if all.is_empty() {
                "there is none yet".into()
            } else {
                names(&all)
            };
            return Err(Fail::usage(
                format!("there is no constraint \"{id}\""),
                known,
            ));
        }
        several => {
            return Err(Fail::usage(
                format!("\"{id}\" is ambiguous"),
                names(several),
            ));
        }
    };
    if shape.json {
        out::json(one)?;
    } else {
        out::print(&page(one))?;
    }
    Ok(0)
}

/// All of them, two lines each; contradictions last, because they need a person.
fn screen(view: &ConstraintsView, style: Style) -> String {
    let all = &view.constraints;
    if all.is_empty() {
        return "no constraint: nothing has failed in a way that teaches, and nobody wrote one\n"
            .into();
    }
    let hard = all
        .iter()
        .filter(|one| one.strength == Strength::Hard)
        .count();
    let plural = if all.len() == 1 {
        "constraint"
    } else {
        "constraints"
    };
    let mut text = format!("{} {plural}, {hard} hard\n", all.len());
    for one in all {
        text += &labelled(&format!("  {}  {}  ", one.id, one.strength), &one.text());
        text += &labelled("                      ", &basis(one));
    }
    for one in &view.contradictions {
        text += &labelled(&format!("{}: ", style.word("open")), &one.text);
    }
    text
}

/// Why it is there, how surely, for whom, until when.
fn basis(one: &Constraint) -> String {
    let runs = |count: usize| format!("{count} {}", if count == 1 { "run" } else { "runs" });
    let mut parts = vec![match one.cause {
        Some(cause) => format!("{cause}: {}", runs(one.evidence.len())),
        None => "a person's".into(),
    }];
    if one.confidence > 0.0 {
        parts.push(format!(
            "fails at least {:.0} % of the time",
            one.confidence * 100.0
        ));
    }
    if one.counter_evidence > 0 {
        parts.push(format!("{} completed there", one.counter_evidence));
    }
    if one.scope != ANY {
        parts.push(format!("for {}", one.scope));
    }
    if one.pinned {
        parts.push("pinned".into());
    }
    parts.extend(
        one.expires_at
            .map(|at| format!("until {}", day(&at.to_string()))),
    );
    parts.join(", ")
}

fn day(instant: &str) -> String {
    instant.chars().take(10).collect()
}

/// One, with all that is known of it.
fn page(one: &Constraint) -> String {
    let mut text = labelled("", &format!("{}  {}", one.id, one.strength));
    let from = match (one.origin, one.pinned) {
        (Origin::Person, _) => "a person",
        (Origin::Learned, true) => "failures; a person pinned it",
        (Origin::Learned, false) => "failures",
    };
    let until = match one.expires_at {
        Some(at) => format!("{at}, unless it is seen again"),
        None => "a person deletes it".into(),
    };
    let scope = if one.scope == ANY {
        "every model"
    } else {
        &one.scope
    };
    let evidence = if one.evidence.is_empty() {
        "none".into()
    } else {
        one.evidence.join(", ")
    };
    for (label, said) in [
        ("allowed", one.text()),
        ("for", scope.into()),
        ("from", from.into()),
        ("why", one.reason.clone()),
        ("evidence", evidence),
        (
            "against it",
            format!("{} completed where it forbids", one.counter_evidence),
        ),
        (
            "confidence",
            format!(
                "{:.2}: a failure there is at least so probable, with 95 % certainty",
                one.confidence
            ),
        ),
        ("since", one.learned_at.to_string()),
        ("until", until),
    ] {
        text += &labelled(&format!("  {label:<10} "), &said);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{history::FailureCause, time::Timestamp};

    fn view() -> ConstraintsView {
        let mut learned = parse(
            "batch_size < 16 or max_seq_length < 4096",
            "Qwen/Qwen3-8B-with-a-long-name",
            Timestamp(0),
        )
        .unwrap();
        learned.cause = Some(FailureCause::Memory);
        learned.origin = Origin::Learned;
        learned.evidence = (1..=9).map(|n| format!("alttp-run-{n}")).collect();
        learned.confidence = 0.741;
        learned.expires_at = Some(Timestamp(90 * 86_400_000));
        let mut written = parse("learning_rate <= 0.01", ANY, Timestamp(0)).unwrap();
        written.strength = Strength::Soft;
        ConstraintsView {
            version: 1,
            constraints: vec![learned, written],
            contradictions: Vec::new(),
        }
    }

    #[test]
    fn every_constraint_is_there_with_its_basis_in_80_columns() {
        let text = screen(&view(), Style::PLAIN);
        for part in [
            "2 constraints, 1 hard",
            "batch_size < 16 or max_seq_length < 4096",
            "memory: 9 runs",
            "74 %",
            "until 1970-04-01",
            "a person's",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let page = page(&view().constraints[0]);
        assert!(
            page.contains("alttp-run-9") && page.contains("0.74"),
            "{page}"
        );
        for line in text.lines().chain(page.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
        assert!(screen(&ConstraintsView::default(), Style::PLAIN).starts_with("no constraint"));
    }
}

//! `budget ID`: what a campaign's models cost, by tier, and what is left.

use super::{
    args::Shape,
    fail::Fail,
    out,
    style::{Style, thousands},
};
use crate::control::{
    budget::{BudgetView, TierBudget},
    client::{Client, Target},
};

/// Gets it and shows it.
pub async fn budget(client: &Client, shape: Shape, id: &str) -> Result<u8, Fail> {
    let view: BudgetView = client
        .get(&Target::new(&["campaigns", id, "budget"]))
        .await?;
    if shape.json {
        out::json(&view)?;
    } else {
        let style = Style::of(&std::io::stdout(), shape.color);
        out::print(&screen(&view, style))?;
    }
    Ok(0)
}

fn screen(view: &BudgetView, style: Style) -> String {
    if view.brain != "endpoint" {
        return format!(
            "{}: brain = \"{}\" asks no model of ours: it costs no tokens\n",
            view.id, view.brain
        );
    }
    let bound = |spent: String, all: Option<String>, left: Option<String>| match (all, left) {
        (Some(all), Some(left)) => format!("{spent} of {all}, {left} left"),
        _ => format!("{spent}, no limit"),
    };
    let usd = bound(
        dollars(view.spent_usd),
        view.usd.map(dollars),
        view.left_usd.map(dollars),
    );
    let tokens = bound(
        thousands(view.spent_tokens),
        view.tokens.map(thousands),
        view.left_tokens.map(thousands),
    );
    let mut text = format!(
        "{}\n  USD     {usd}\n  tokens  {tokens}\n",
        style.word(&view.id)
    );
    if view.tiers.is_empty() {
        return text + "  no model was asked yet\n";
    }
    text += &format!(
        "\n  {:<12} {:>8} {:>13} {:>13} {:>13} {:>11} {:>9}\n",
        "TIER", "ANSWERS", "PROMPT", "CACHED", "COMPLETION", "REASONING", "USD"
    );
    for tier in &view.tiers {
        text += &row(tier);
    }
    text
}

fn row(tier: &TierBudget) -> String {
    let mut text = format!(
        "  {:<12} {:>8} {:>13} {:>13} {:>13} {:>11} {:>9}\n",
        tier.tier,
        thousands(tier.answers),
        thousands(tier.prompt_tokens),
        thousands(tier.cached_tokens),
        thousands(tier.completion_tokens),
        thousands(tier.reasoning_tokens),
        dollars(tier.cost_usd),
    );
    if tier.failed > 0 {
        text += &format!(
            "    {} requests cost something and brought no answer\n",
            tier.failed
        );
    }
    if tier.unsettled > 0 {
        text += &format!(
            "    {} requests are in flight or lost: up to {}\n",
            tier.unsettled,
            dollars(tier.unsettled_usd)
        );
    }
    if tier.estimated {
        text += "    the server told no usage for some: counted here\n";
    }
    text
}

/// Cents are enough for sums that matter; below a dollar four decimals are.
fn dollars(usd: f64) -> String {
    if usd != 0.0 && usd.abs() < 1.0 {
        format!("{usd:.4}")
    } else {
        format!("{usd:.2}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_shown_as_people_read_them() {
        assert_eq!(
            (dollars(0.0), dollars(0.01234), dollars(12.345)),
            ("0.00".into(), "0.0123".into(), "12.35".into())
        );
    }
}

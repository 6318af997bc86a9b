//! The budget, dealt: what the ledger of each task that is about to start may come to.
//!
//! A slice is a ceiling on the task's ledger, which every attempt of the task shares. So a task that runs holds what its
//! ceiling leaves, whatever it has spent of it by now, and nothing that is dealt can pass the campaign's budget.

use crate::{
    executor::job_dir::{JobDir, Request},
    llm::{Amount, Money, spent_in},
    machines::{job::Phase, spec::BudgetSpec, tree::CampaignTree},
    manifest::StateDir,
};
use std::io;

/// What a campaign's models may still cost.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Left {
    usd: Option<f64>,
    tokens: Option<u64>,
}

/// A shard's ledger: what it came to, and up to what a running task may go.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Account {
    spent: Amount,
    ceiling: Option<(Option<f64>, Option<u64>)>,
}

/// Writes its slice into each task of a request.
///
/// # Errors
/// Those of reading the ledgers; `Ok(Err)`, a sentence, when nothing is left to deal.
pub(super) fn deal(
    state: &StateDir,
    tree: &CampaignTree,
    request: &mut Request,
) -> io::Result<Result<(), String>> {
    let Some(budget) = &tree.campaign.spec.budget else {
        return Ok(Ok(()));
    };
    if request.tasks.iter().all(|task| task.ledger.is_none()) {
        return Ok(Ok(()));
    }
    let accounts = accounts(state, tree)?;
    let left = left(budget, &accounts);
    if left.usd.is_some_and(|usd| usd <= 0.0) || left.tokens == Some(0) {
        return Ok(Err(format!("the budget is spent: {}", shown(budget))));
    }
    let all: u64 = request.tasks.iter().map(|task| task.target).sum();
    for task in &mut request.tasks {
        let share = task.target as f64 / all.max(1) as f64;
        let spent = match &task.ledger {
            Some(ledger) => spent_in(ledger.as_ref())?.amount(),
            None => continue,
        };
        task.budget = Some(BudgetSpec {
            usd: left.usd.map(|usd| spent.cost_usd.usd() + usd * share),
            tokens: left
                .tokens
                .map(|tokens| spent.tokens + (tokens as f64 * share) as u64),
            ..BudgetSpec::default()
        });
    }
    Ok(Ok(()))
}

fn shown(budget: &BudgetSpec) -> String {
    let usd = budget.usd.map(|usd| format!("{usd} USD"));
    let tokens = budget.tokens.map(|tokens| format!("{tokens} tokens"));
    let bounds: Vec<String> = usd.into_iter().chain(tokens).collect();
    format!(
        "{}; more: campaignctl amend --budget-usd, then retry",
        bounds.join(" or ")
    )
}

/// What is neither spent nor held by a task that runs.
fn left(budget: &BudgetSpec, accounts: &[Account]) -> Left {
    let usd = |account: &Account| match account.ceiling {
        Some((Some(ceiling), _)) => ceiling.max(account.spent.cost_usd.usd()),
        _ => account.spent.cost_usd.usd(),
    };
    let tokens = |account: &Account| match account.ceiling {
        Some((_, Some(ceiling))) => ceiling.max(account.spent.tokens),
        _ => account.spent.tokens,
    };
    let held_usd: f64 = accounts.iter().map(usd).sum();
    let held_tokens: u64 = accounts.iter().map(tokens).sum();
    Left {
        usd: budget.usd.map(|all| Money::from_usd(all - held_usd).usd()),
        tokens: budget.tokens.map(|all| all.saturating_sub(held_tokens)),
    }
}

/// The ledgers of a campaign that could have been written by now.
fn accounts(state: &StateDir, tree: &CampaignTree) -> io::Result<Vec<Account>> {
    let paths = state.campaign(&tree.campaign.id);
    let mut all = Vec::new();
    for phase in [Phase::Pilot, Phase::Generate] {
        for shard in 0..tree.campaign.spec.shards(phase == Phase::Pilot) {
            let spent = spent_in(&paths.ledger(phase.name(), shard))?.amount();
            let ceiling = ceiling(state, tree, phase, shard);
            all.push(Account { spent, ceiling });
        }
    }
    Ok(all)
}

/// Up to what a task that runs, or is about to, may go. Its request says so; one that is not written yet holds nothing.
fn ceiling(
    state: &StateDir,
    tree: &CampaignTree,
    phase: Phase,
    shard: u32,
) -> Option<(Option<f64>, Option<u64>)> {
    let live = tree.jobs.values().find(|job| {
        let task = job.task(shard).filter(|task| task.end.is_none());
        job.phase == phase && task.is_some()
    })?;
    let request = JobDir::new(state.job(&live.id)).read_request().ok()?;
    let task = request.tasks.iter().find(|task| task.shard == shard)?;
    let budget = task.budget.as_ref()?;
    Some((budget.usd, budget.tokens))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(usd: f64, ceiling: Option<f64>) -> Account {
        Account {
            spent: Amount {
                tokens: (usd * 1000.0) as u64,
                cost_usd: Money::from_usd(usd),
            },
            ceiling: ceiling.map(|usd| (Some(usd), Some((usd * 1000.0) as u64))),
        }
    }

    fn budget() -> BudgetSpec {
        BudgetSpec {
            usd: Some(10.0),
            tokens: Some(10_000),
            ..BudgetSpec::default()
        }
    }

    #[test]
    fn what_runs_holds_its_ceiling_and_what_ended_what_it_spent() {
        let accounts = [
            account(1.0, None),
            account(0.5, Some(3.0)),
            account(0.0, None),
        ];
        let left = left(&budget(), &accounts);
        assert_eq!((left.usd, left.tokens), (Some(6.0), Some(6_000)));
    }

    #[test]
    fn nothing_is_left_of_a_budget_that_was_overshot() {
        let left = left(&budget(), &[account(12.0, Some(10.0))]);
        assert_eq!((left.usd, left.tokens), (Some(0.0), Some(0)));
    }
}

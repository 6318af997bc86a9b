//! `GET /v1/campaigns/ID/budget`: what its models cost, read from the ledgers, which are the only home of that fact.

use super::{Answered, Room, refusal};
use crate::{
    control::{
        api::VERSION,
        budget::{BudgetView, TierBudget},
    },
    llm::{Spent, Tier, TierSpent, spent_in},
    machines::{job::Phase, tree::CampaignTree},
    manifest::StateDir,
};
use actix_web::{http::StatusCode, web};
use std::{io, sync::Arc};

pub(super) async fn budget(
    room: web::Data<Room>,
    path: web::Path<String>,
) -> Answered<web::Json<BudgetView>> {
    let tree = room.find(&path).await?;
    let (state, campaign) = (room.state.clone(), Arc::clone(&tree));
    let read = tokio::task::spawn_blocking(move || spent(&state, &campaign)).await;
    let spent = read.unwrap_or_else(|panicked| Err(io::Error::other(panicked)));
    let spent = spent.map_err(|error| {
        let message = format!("the ledgers cannot be read: {error}");
        refusal(
            StatusCode::INTERNAL_SERVER_ERROR,
            "state",
            message,
            None,
            None,
        )
    })?;
    Ok(web::Json(view(&tree, &spent)))
}

fn spent(state: &StateDir, tree: &CampaignTree) -> io::Result<Spent> {
    let paths = state.campaign(&tree.campaign.id);
    let mut all = Spent::default();
    for phase in [Phase::Pilot, Phase::Generate] {
        for shard in 0..tree.campaign.spec.shards(phase == Phase::Pilot) {
            all.add(&spent_in(&paths.ledger(phase.name(), shard))?);
        }
    }
    Ok(all)
}

fn view(tree: &CampaignTree, spent: &Spent) -> BudgetView {
    let spec = &tree.campaign.spec;
    let amount = spent.amount();
    let (usd, tokens) = match &spec.budget {
        Some(budget) => (budget.usd, budget.tokens),
        None => (None, None),
    };
    let spent_usd = amount.cost_usd.usd();
    let tier = |(tier, of): (&Tier, &TierSpent)| TierBudget {
        tier: tier.to_string(),
        answers: of.answers,
        failed: of.failed,
        unsettled: of.unsettled,
        prompt_tokens: of.usage.prompt,
        cached_tokens: of.usage.cached,
        completion_tokens: of.usage.completion,
        reasoning_tokens: of.usage.reasoning,
        estimated: of.usage.estimated,
        cost_usd: of.cost_usd.usd(),
        unsettled_usd: of.unsettled_amount.cost_usd.usd(),
    };
    BudgetView {
        version: VERSION,
        id: tree.campaign.id.to_string(),
        brain: spec.generator.brain.to_string(),
        usd,
        tokens,
        spent_usd,
        spent_tokens: amount.tokens,
        left_usd: usd.map(|usd| (usd - spent_usd).max(0.0)),
        left_tokens: tokens.map(|tokens| tokens.saturating_sub(amount.tokens)),
        tiers: spent.tiers.iter().map(tier).collect(),
    }
}

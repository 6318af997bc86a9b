//! The keys of the built-in agents, their models and what those may cost.

use super::{
    keys::{Key, Kind, key},
    layers::Layers,
};
use crate::{
    machines::spec::{AgentsSpec, TierSpec},
    trajectory::record::{Agent, Tier},
};

const TIERS: &[&str] = &["local_small", "local_large", "cloud_small", "cloud_large"];
/// Tokens that a prompt and its completion may have together where nothing else is said.
const CONTEXT: &str = "32768";

/// The keys of one tier's table.
macro_rules! tier {
    ($tier:literal) => {{
        const KEYS: &[Key] = &[
            key(
                concat!("generator.tiers.", $tier, ".url"),
                Kind::Text,
                "",
                "URL",
                "an OpenAI-compatible server, up to and with /v1",
            ),
            key(
                concat!("generator.tiers.", $tier, ".model"),
                Kind::Text,
                "",
                "name",
                "the model's name there",
            ),
            key(
                concat!("generator.tiers.", $tier, ".prompt_price"),
                Kind::Amount,
                "0.0",
                "USD",
                "for a million prompt tokens",
            ),
            key(
                concat!("generator.tiers.", $tier, ".cached_price"),
                Kind::Amount,
                "",
                "USD",
                "for a million prompt tokens that the server had cached; without it prompt_price",
            ),
            key(
                concat!("generator.tiers.", $tier, ".completion_price"),
                Kind::Amount,
                "0.0",
                "USD",
                "for a million completion tokens, reasoning among them",
            ),
            key(
                concat!("generator.tiers.", $tier, ".context_length"),
                Kind::Whole(256, 100_000_000),
                CONTEXT,
                "tokens",
                "prompt and completion together",
            ),
            key(
                concat!("generator.tiers.", $tier, ".api_key"),
                Kind::Text,
                "",
                "source",
                "env:NAME, file:PATH or credential:NAME; never the key itself",
            ),
        ];
        KEYS
    }};
}

macro_rules! route {
    ($agent:literal) => {
        key(
            concat!("generator.routing.", $agent),
            Kind::Word(TIERS),
            "",
            "tier",
            concat!("where ", $agent, " is sent"),
        )
    };
}

/// The keys, in the order in which they are shown.
pub const KEYS: &[&[Key]] = &[
    &[
        key(
            "generator.defects",
            Kind::Share,
            "0.2",
            "0 to 1",
            "share of samples whose workflow gets one known defect",
        ),
        key(
            "generator.repair",
            Kind::Flag,
            "true",
            "",
            "false ends a sample at the validator's first finding",
        ),
        key(
            "generator.max_cycles",
            Kind::Whole(1, 100),
            "3",
            "cycles",
            "ways back to writer or planner that a sample has",
        ),
        key(
            "generator.counterfactual",
            Kind::Share,
            "0.02",
            "0 to 1",
            "share of requests that a second tier is asked as well",
        ),
        key(
            "generator.concurrency",
            Kind::Whole(1, 1024),
            "64",
            "requests",
            "in flight at once from one task, at most",
        ),
    ],
    tier!("local_small"),
    tier!("local_large"),
    tier!("cloud_small"),
    tier!("cloud_large"),
    &[
        route!("planner"),
        route!("codegen"),
        route!("validator"),
        route!("documenter"),
        route!("quality_checker"),
        route!("diagnostician"),
        route!("reflect"),
    ],
    &[
        key(
            "budget.usd",
            Kind::Amount,
            "",
            "USD",
            "what the models of the campaign may cost; without it no limit",
        ),
        key(
            "budget.tokens",
            Kind::Whole(0, i64::MAX as u64),
            "",
            "tokens",
            "prompt and completion together; without it no limit",
        ),
    ],
];

/// Whether a key was set at all, default or not.
fn amount(layers: &Layers, key: &str) -> Option<f64> {
    layers.get(key).map(|_| layers.number(key))
}

fn tier(layers: &Layers, tier: Tier) -> TierSpec {
    let key = |name: &str| format!("generator.tiers.{tier}.{name}");
    let prompt_price = layers.number(&key("prompt_price"));
    TierSpec {
        tier,
        url: layers.string(&key("url")).trim_end_matches('/').into(),
        model: layers.string(&key("model")),
        prompt_price,
        cached_price: amount(layers, &key("cached_price")).unwrap_or(prompt_price),
        completion_price: layers.number(&key("completion_price")),
        context_length: layers.whole(&key("context_length")),
        api_key: layers.string(&key("api_key")),
    }
}

/// The tiers whose table the file has.
fn tiers_given(layers: &Layers) -> impl Iterator<Item = Tier> {
    let given = |tier: Tier| {
        let table = format!("generator.tiers.{tier}");
        layers.tables.iter().any(|(name, _)| *name == table)
    };
    Tier::ALL.iter().copied().filter(move |tier| given(*tier))
}

/// Whether a key says anything: those of a tier do where the tier is given.
pub fn concerns(layers: &Layers, key: &str) -> bool {
    let tier = key
        .strip_prefix("generator.tiers.")
        .and_then(|rest| rest.split('.').next());
    tier.is_none_or(|tier| tiers_given(layers).any(|given| given.name() == tier))
}

/// What the layers say of the agents.
pub fn agents(layers: &Layers) -> AgentsSpec {
    let whole = |key: &str| u32::try_from(layers.whole(key)).unwrap_or(u32::MAX);
    let route = |agent: &Agent| {
        let tier = layers.string(&format!("generator.routing.{agent}"));
        Some((*agent, tier.parse::<Tier>().ok()?))
    };
    AgentsSpec {
        defects: layers.number("generator.defects"),
        repair: layers.yes("generator.repair"),
        max_cycles: whole("generator.max_cycles"),
        tiers: tiers_given(layers).map(|name| tier(layers, name)).collect(),
        routing: Agent::ALL.iter().filter_map(route).collect(),
        counterfactual: layers.number("generator.counterfactual"),
        concurrency: whole("generator.concurrency"),
    }
}

/// What is wrong with the models of an endpoint generator.
pub fn finish(layers: &mut Layers) {
    if layers.string("generator.brain") != "endpoint" {
        return;
    }
    let given: Vec<Tier> = tiers_given(layers).collect();
    if given.is_empty() {
        layers.complain(
            "generator.brain",
            "brain = \"endpoint\" has no model to ask".into(),
            Some(
                "[generator.tiers.local_small] with url = \"http://host:8000/v1\" and model".into(),
            ),
        );
    }
    for tier in given {
        for (name, example) in [
            ("url", "\"http://host:8000/v1\""),
            ("model", "\"Qwen/Qwen2.5-Coder-7B-Instruct\""),
        ] {
            let key = format!("generator.tiers.{tier}.{name}");
            if layers.string(&key).is_empty() {
                layers.complain(
                    &key,
                    format!("tier {tier} has no {name}"),
                    Some(format!("{name} = {example}")),
                );
            }
        }
        check_url(layers, tier);
        check_key(layers, tier);
    }
    let routed = Agent::ALL
        .iter()
        .map(|agent| format!("generator.routing.{agent}"));
    for key in routed.collect::<Vec<_>>() {
        let tier = layers.string(&key);
        let there = tiers_given(layers).any(|given| given.name() == tier);
        if !tier.is_empty() && !there {
            layers.complain(
                &key,
                format!("there is no tier {tier}"),
                Some(format!("[generator.tiers.{tier}] with url and model")),
            );
        }
    }
}

fn check_url(layers: &mut Layers, tier: Tier) {
    let key = format!("generator.tiers.{tier}.url");
    let url = layers.string(&key);
    let plain = url.starts_with("http://") || url.starts_with("https://");
    if !url.is_empty() && (!plain || url.contains('@')) {
        let message = if plain {
            "a URL with a password in it would be stored and shown"
        } else {
            "this is no http:// or https:// URL"
        };
        let right = "url = \"https://host/v1\", and the key by api_key".to_string();
        if plain {
            layers.hide(&key);
        }
        layers.complain(&key, message.into(), Some(right));
    }
}

/// A key that somebody wrote into the file would be stored, shown and copied: it is refused, and not shown either.
fn check_key(layers: &mut Layers, tier: Tier) {
    let key = format!("generator.tiers.{tier}.api_key");
    let source = layers.string(&key);
    let kind = source.split_once(':').map(|(kind, _)| kind);
    if source.is_empty() || matches!(kind, Some("env" | "file" | "credential")) {
        return;
    }
    let right =
        "api_key = \"env:OPENAI_API_KEY\", \"file:PATH\" or \"credential:NAME\"".to_string();
    layers.hide(&key);
    layers.complain(
        &key,
        "api_key says where the key is, it is not the key".into(),
        Some(right),
    );
}

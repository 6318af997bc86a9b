//! The plan's numbers against those that the design promises, and its refusals.

use super::*;
use crate::lora::{
    backend::{Heads, Rope},
    decoder::Decoder,
};

/// The shape of Llama 3.1 8B.
fn llama() -> Decoder {
    let heads = Heads {
        heads: 32,
        kv_heads: 8,
        head_dim: 128,
        window: None,
        scale: 1.0,
    };
    Decoder {
        architecture: "LlamaForCausalLM".into(),
        vocabulary: 128_256,
        hidden: 4096,
        intermediate: 14_336,
        layers: vec![heads; 32],
        epsilon: 1e-5,
        rope: Rope {
            frequencies: vec![1.0; 64],
            attention_factor: 1.0,
        },
        qkv_bias: false,
        o_bias: false,
        mlp_bias: false,
        head_norm: false,
        tied: false,
        context: 131_072,
    }
}

fn ask<'a>(decoder: &'a Decoder, rank: &'a dyn Fn(Site) -> usize, tokens: usize) -> Ask<'a> {
    Ask {
        decoder,
        rank,
        tokens,
        supervised: tokens / 2,
    }
}

/// bf16 numbers of a token and a layer.
fn elements(decoder: &Decoder, rank: &dyn Fn(Site) -> usize, level: Level) -> u64 {
    let (tokens, layers) = (1 << 14, decoder.layers.len() as u64);
    let passing = match level {
        Level::Layer => elements(decoder, rank, Level::Selective) * 2 * tokens as u64,
        _ => 0,
    };
    let saved = at(&ask(decoder, rank, tokens), level).saved - passing;
    saved / 2 / tokens as u64 / layers
}

#[test]
fn saved_elements_of_a_token_and_a_layer() {
    let llama = llama();
    // x, qkv, out, mid, gate, up; tails of out and gate-up; h of qkv, gate-up, down; lse and two rstd in f32.
    let exact = 3 * 4096 + 6144 + 2 * 14_336 + 5 * 64 + 2 * (32 + 2);
    assert_eq!(exact, 47_492);
    let found = elements(&llama, &|_| 16, Level::Selective);
    assert_eq!(found, exact);
    assert!(found <= 47_500);
    // Both normed rows and the activation on top; h stands beside them.
    let everything = elements(&llama, &|_| 16, Level::Everything);
    assert_eq!(everything, exact - 3 * 64 + 2 * (4096 + 64) + 14_336 + 64);
    assert_eq!(elements(&llama, &|_| 16, Level::Layer), 4096);
}

#[test]
fn forty_thousand_tokens_on_one_h200() {
    let llama = llama();
    let room = 139 << 30;
    let plan = choose(&ask(&llama, &|_| 16, 40_000), room).unwrap();
    assert_eq!(plan.level, Level::Selective);
    assert!(
        (16.0..17.0).contains(&(plan.weights as f64 / 1e9)),
        "{plan:?}"
    );
    // Masters, two moments and gradients of 41.9 million numbers.
    assert!(
        (0.67..0.70).contains(&(plan.adapters as f64 / 1e9)),
        "{plan:?}"
    );
    assert_eq!(
        choose(&ask(&llama, &|_| 16, 8192), room).unwrap().level,
        Level::Everything
    );
    let long = choose(&ask(&llama, &|_| 16, 120_000), room).unwrap();
    assert_eq!(long.level, Level::Layer);
}

#[test]
fn what_does_not_fit_is_refused_with_numbers() {
    let llama = llama();
    let asked = ask(&llama, &|_| 16, 65_536);
    let Trouble(said) = choose(&asked, 24 << 30).unwrap_err();
    let most = most_tokens(&asked, 24 << 30);
    assert!(
        said.starts_with("a microbatch of 65536 tokens needs "),
        "{said}"
    );
    assert!(said.contains("the GPU has 25.8 GB: 16."), "{said}");
    assert!(
        said.ends_with(&format!("at most {most} tokens fit")),
        "{said}"
    );
    assert!(choose(&ask(&llama, &|_| 16, most), 24 << 30).is_ok());
    assert!(choose(&ask(&llama, &|_| 16, most + 2), 24 << 30).is_err());
    let Trouble(said) = choose(&asked, 12 << 30).unwrap_err();
    assert!(said.contains("no batch fits"), "{said}");
}

#[test]
fn heads_without_kernels_are_refused_before_anything_is_loaded() {
    let mut phi = llama();
    phi.layers[7].head_dim = 96;
    let Trouble(said) = choose(&ask(&phi, &|_| 16, 64), 139 << 30).unwrap_err();
    assert!(said.starts_with("heads of 96 columns"), "{said}");
}

#[test]
fn more_tokens_and_more_kept_need_more() {
    let llama = llama();
    let mut before = 0;
    for tokens in [1, 2, 255, 256, 1024, 1025, 9000] {
        let asked = ask(&llama, &|_| 16, tokens);
        let totals = LEVELS.map(|level| at(&asked, level).total());
        assert!(totals[1] > before);
        assert!(
            tokens < 256 || totals.is_sorted_by(|a, b| a > b),
            "{totals:?}"
        );
        before = totals[1];
    }
}

#[test]
fn below_the_lowest_adapter_nothing_is_kept() {
    let llama = llama();
    let upper = |site: Site| if site.layer >= 16 { 16 } else { 0 };
    let half = at(&ask(&llama, &upper, 4096), Level::Selective).saved;
    let all = at(&ask(&llama, &|_| 16, 4096), Level::Selective).saved;
    assert!((0.5..0.54).contains(&(half as f64 / all as f64)));
}

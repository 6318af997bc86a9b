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

fn ask<'a>(decoder: &'a Decoder, ranks: &'a dyn Fn(Site) -> Vec<usize>, tokens: usize) -> Ask<'a> {
    Ask {
        decoder,
        ranks,
        tokens,
        supervised: tokens / 2,
    }
}

/// bf16 numbers of a token and a layer.
fn elements(decoder: &Decoder, ranks: &dyn Fn(Site) -> Vec<usize>, level: Level) -> u64 {
    let (tokens, layers) = (1 << 14, decoder.layers.len() as u64);
    let passing = match level {
        Level::Layer => elements(decoder, ranks, Level::Selective) * 2 * tokens as u64,
        _ => 0,
    };
    let saved = at(&ask(decoder, ranks, tokens), level).saved - passing;
    let elements = saved / 2 / tokens as u64 / layers;
    let kept = at(&ask(decoder, ranks, tokens), level).kept;
    assert_eq!(kept, 2 * elements);
    elements
}

#[test]
fn saved_elements_of_a_token_and_a_layer() {
    let llama = llama();
    // x, qkv, out, mid, gate, up; tails of out and gate-up; h of qkv, gate-up, down; lse and two rstd in f32.
    let exact = 3 * 4096 + 6144 + 2 * 14_336 + 5 * 64 + 2 * (32 + 2);
    assert_eq!(exact, 47_492);
    let found = elements(&llama, &|_| vec![16], Level::Selective);
    assert_eq!(found, exact);
    assert!(found <= 47_500);
    // Both normed rows and the activation on top; h stands beside them.
    let everything = elements(&llama, &|_| vec![16], Level::Everything);
    assert_eq!(everything, exact - 3 * 64 + 2 * (4096 + 64) + 14_336 + 64);
    assert_eq!(elements(&llama, &|_| vec![16], Level::Layer), 4096);
}

#[test]
fn forty_thousand_tokens_on_one_h200() {
    let llama = llama();
    let room = 139 << 30;
    let plan = choose(&ask(&llama, &|_| vec![16], 40_000), room, 1).unwrap();
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
        choose(&ask(&llama, &|_| vec![16], 8192), room, 1)
            .unwrap()
            .level,
        Level::Everything
    );
    let long = choose(&ask(&llama, &|_| vec![16], 120_000), room, 1).unwrap();
    assert_eq!(long.level, Level::Layer);
}

#[test]
fn what_does_not_fit_is_refused_with_numbers() {
    let llama = llama();
    let asked = ask(&llama, &|_| vec![16], 65_536);
    let Trouble(said) = choose(&asked, 24 << 30, 1).unwrap_err();
    let most = most_tokens(&asked, 24 << 30);
    assert!(
        said.starts_with("a microbatch of 65536 tokens needs "),
        "{said}"
    );
    assert!(said.contains("the GPU has 25.8 GB: 16."), "{said}");
    let advice = "take a smaller per_device_train_batch_size or max_seq_length";
    let end = format!("; at most {most} tokens fit: {advice}");
    assert!(said.ends_with(&end), "{said}");
    let Trouble(shared) = choose(&asked, 24 << 30, 3).unwrap_err();
    assert!(
        shared.contains(", each of 3 fine-tunes side by side has 25.8 GB: 16."),
        "{shared}"
    );
    let end = format!("{end}, or fewer at once (limits.max_training_jobs)");
    assert!(shared.ends_with(&end), "{shared}");
    assert!(choose(&ask(&llama, &|_| vec![16], most), 24 << 30, 1).is_ok());
    assert!(choose(&ask(&llama, &|_| vec![16], most + 2), 24 << 30, 1).is_err());
    let Trouble(said) = choose(&asked, 12 << 30, 1).unwrap_err();
    assert!(said.contains("no batch fits"), "{said}");
}

#[test]
fn heads_without_kernels_are_refused_before_anything_is_loaded() {
    let mut phi = llama();
    phi.layers[7].head_dim = 96;
    let Trouble(said) = choose(&ask(&phi, &|_| vec![16], 64), 139 << 30, 1).unwrap_err();
    assert!(said.starts_with("heads of 96 columns"), "{said}");
}

#[test]
fn more_tokens_and_more_kept_need_more() {
    let llama = llama();
    let mut before = 0;
    for tokens in [1, 2, 255, 256, 1024, 1025, 9000] {
        let asked = ask(&llama, &|_| vec![16], tokens);
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
    let upper = |site: Site| vec![if site.layer >= 16 { 16 } else { 0 }];
    let half = at(&ask(&llama, &upper, 4096), Level::Selective).saved;
    let all = at(&ask(&llama, &|_| vec![16], 4096), Level::Selective).saved;
    assert!((0.5..0.54).contains(&(half as f64 / all as f64)));
}

#[test]
fn a_pack_has_one_base_and_adapters_of_each() {
    let llama = llama();
    let of = |ranks: &[usize]| {
        let ranks = |_| ranks.to_vec();
        at(&ask(&llama, &ranks, 4096), Level::Selective)
    };
    let (one, eight) = (of(&[16]), of(&[16; 8]));
    // Borders of 384, 128, 256 and 128 columns instead of 64 each: 11.5 million numbers a layer, 4.5 % of all.
    let border = eight.weights as f64 / one.weights as f64;
    assert!((1.044..1.047).contains(&border), "{border}");
    let each = eight.adapters as f64 / one.adapters as f64;
    assert!((7.99..8.01).contains(&each), "{each}");
    // Partial sums are one member's after the other, and one may have all rows.
    assert_eq!(eight.workspace, one.workspace);
    assert_eq!(of(&[16, 64]).workspace, of(&[64]).workspace);
    assert_eq!(of(&[16, 0, 0]), one);
}

#[test]
fn fewer_answers_at_a_time_where_there_is_little_room_and_none_are_refused() {
    use looking::{Answers, looking, sequences};
    let llama = llama();
    let asked = ask(&llama, &|_| vec![16], 4096);
    let answers = Answers {
        most: 8,
        longest: 30_000,
        capacity: 32_000,
    };
    let of = |most| looking(&asked, Answers { most, ..answers });
    assert!((1..8).all(|most| of(most) < of(most + 1)));
    // Keys and values of 32 layers, 2 * 1024 of 2 bytes.
    let cache = 32 * 32_000 * 2 * 1024 * 2;
    assert!(of(2) - of(1) > cache, "{}", of(2) - of(1));
    for most in 1..=8 {
        assert_eq!(sequences(&asked, answers, of(most)), Ok(most));
        assert_eq!(sequences(&asked, answers, of(most) + 1), Ok(most));
    }
    let Trouble(said) = sequences(&asked, answers, of(1) - 1).unwrap_err();
    assert!(
        said.starts_with("batches of 4096 tokens and 1 answer of up to 32000 at a time need "),
        "{said}"
    );
    let none = Answers { most: 0, ..answers };
    assert_eq!(sequences(&asked, none, of(0)), Ok(0));
    assert!(sequences(&asked, none, of(0) - 1).is_err());
}

//! `config.json`: each architecture's defaults, both generations of keys, and what is refused. Numbers are transformers' own.

use super::made::{config, decoder, llama};
use crate::lora::{
    decoder::Decoder,
    files::{config as parsed, keys::Keys},
};
use serde_json::{Value, json};

fn refused(config: &Value) -> String {
    let keys = Keys::parse(config.to_string().as_bytes()).unwrap();
    parsed::decoder(&keys).unwrap_err()
}

fn windows(decoder: &Decoder) -> Vec<Option<usize>> {
    decoder.layers.iter().map(|heads| heads.window).collect()
}

fn qwen(kind: &str, change: Value) -> Decoder {
    decoder(&config(&format!("Qwen{kind}ForCausalLM"), change))
}

#[test]
fn a_missing_key_means_what_transformers_takes_it_to_mean() {
    let bare = |name: &str| decoder(&json!({"architectures": [name]}));
    let shape = |d: &Decoder| {
        let heads = d.layers[0];
        let attention = (heads.heads, heads.kv_heads, heads.head_dim, heads.window);
        (
            d.vocabulary,
            d.intermediate,
            d.layers.len(),
            d.context,
            attention,
        )
    };
    let whole = |kv, window| (32, kv, 128, window);
    assert_eq!(
        shape(&bare("LlamaForCausalLM")),
        (32000, 11008, 32, 2048, whole(32, None))
    );
    assert_eq!(
        shape(&bare("Qwen2ForCausalLM")),
        (151936, 22016, 32, 32768, whole(32, None))
    );
    assert_eq!(
        shape(&bare("Qwen3ForCausalLM")),
        (151936, 22016, 32, 32768, whole(32, None))
    );
    assert_eq!(
        shape(&bare("MistralForCausalLM")),
        (32000, 14336, 32, 131072, whole(8, Some(4096)))
    );
    for name in ["Llama", "Qwen2", "Qwen3", "Mistral"] {
        let d = bare(&format!("{name}ForCausalLM"));
        assert_eq!((d.hidden, d.epsilon, d.tied), (4096, 1e-6, false), "{name}");
        assert_eq!(
            (d.qkv_bias, d.o_bias, d.mlp_bias),
            (name == "Qwen2", false, false)
        );
        assert_eq!(d.head_norm, name == "Qwen3");
        assert_eq!((d.rope.frequencies[0], d.rope.frequencies[32]), (1.0, 0.01));
    }
    assert_eq!(
        bare("LlamaForCausalLM"),
        decoder(&json!({"model_type": "llama"}))
    );
}

#[test]
fn null_says_nothing_but_of_windows_and_heads() {
    let null = |name, key: &str| decoder(&config(name, json!({ key: null })));
    for key in [
        "num_key_value_heads",
        "head_dim",
        "rope_scaling",
        "rope_parameters",
        "quantization_config",
        "tie_word_embeddings",
    ] {
        let heads = null("LlamaForCausalLM", key).layers[0];
        let kv = if key == "num_key_value_heads" { 2 } else { 1 };
        assert_eq!((heads.kv_heads, heads.head_dim), (kv, 4), "{key}");
    }
    assert_eq!(
        null("MistralForCausalLM", "num_key_value_heads").layers[0].kv_heads,
        2
    );
    assert_eq!(
        windows(&null("MistralForCausalLM", "sliding_window")),
        [None; 3]
    );
}

#[test]
fn flags_are_the_architectures_own() {
    let all = json!({"attention_bias": true, "mlp_bias": true, "tie_word_embeddings": true, "head_dim": 6, "rms_norm_eps": 1e-5});
    let flags = |name| {
        let d = decoder(&config(name, all.clone()));
        assert_eq!((d.tied, d.layers[0].head_dim, d.epsilon), (true, 6, 1e-5));
        (d.qkv_bias, d.o_bias, d.mlp_bias)
    };
    assert_eq!(flags("LlamaForCausalLM"), (true, true, true));
    assert_eq!(flags("Qwen2ForCausalLM"), (true, false, false));
    assert_eq!(flags("Qwen3ForCausalLM"), (true, true, false));
    assert_eq!(flags("MistralForCausalLM"), (false, false, false));
}

#[test]
fn windows_are_by_layer() {
    for kind in ["2", "3"] {
        let some = |change: Value| {
            let mut on = json!({"use_sliding_window": true, "sliding_window": 8});
            on.as_object_mut()
                .unwrap()
                .extend(change.as_object().unwrap().clone());
            windows(&qwen(kind, on))
        };
        assert_eq!(some(json!({"max_window_layers": 2})), [None, None, Some(8)]);
        assert_eq!(some(json!({"max_window_layers": 0})), [Some(8); 3]);
        assert_eq!(some(json!({})), [None; 3], "28 layers come before");
        assert_eq!(
            some(json!({"use_sliding_window": false, "max_window_layers": 0})),
            [None; 3]
        );
        assert_eq!(
            some(json!({"sliding_window": null, "max_window_layers": 0})),
            [None; 3]
        );
        let types = json!({"layer_types": ["sliding_attention", "full_attention", "sliding_attention"], "max_window_layers": 1});
        assert_eq!(some(types), [Some(8), None, Some(8)]);
    }
    let mistral = |change| windows(&decoder(&config("MistralForCausalLM", change)));
    assert_eq!(mistral(json!({"sliding_window": 7})), [Some(7); 3]);
    assert_eq!(mistral(json!({})), [Some(4096); 3]);
    assert_eq!(
        windows(&decoder(&config(
            "LlamaForCausalLM",
            json!({"sliding_window": 7})
        ))),
        [None; 3]
    );
}

/// What transformers 5.23 computes, for a head of 8.
#[test]
fn frequencies_are_those_of_transformers() {
    let wide = |mut change: Value| {
        change["head_dim"] = json!(8);
        change["max_position_embeddings"] = json!(131072);
        decoder(&config("LlamaForCausalLM", change)).rope
    };
    let near = |found: &[f32], right: &[f32]| {
        assert_eq!(found.len(), right.len());
        for (found, right) in found.iter().zip(right) {
            assert!(
                (found - right).abs() <= right * 3e-7,
                "{found} is not {right}"
            );
        }
    };
    let plain = wide(json!({}));
    near(&plain.frequencies, &[1.0, 0.1, 0.01, 0.001]);
    assert_eq!(plain.attention_factor, 1.0);
    let old =
        wide(json!({"rope_theta": 500000.0, "rope_scaling": {"type": "linear", "factor": 4}}));
    let new = wide(
        json!({"rope_parameters": {"rope_theta": 500000.0, "rope_type": "linear", "factor": 4.0}}),
    );
    assert_eq!(old, new);
    near(&old.frequencies, LINEAR);
    let llama3 = json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192});
    let scaled = wide(json!({"rope_theta": 500000.0, "rope_scaling": llama3}));
    near(&scaled.frequencies, LLAMA3);
    let yarn = json!({"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768});
    let scaled = wide(json!({"rope_theta": 1e6, "rope_scaling": yarn}));
    near(&scaled.frequencies, YARN);
    near(&[scaled.attention_factor], &[YARN_ATTENTION]);
    // The scaling comes first, then its own base, then the one outside.
    let both = wide(
        json!({"rope_theta": 7.0, "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0}}),
    );
    assert_eq!(both, plain);
    let both = wide(
        json!({"rope_theta": 500000.0, "rope_scaling": {"type": "linear", "factor": 4}, "rope_parameters": {"rope_type": "default"}}),
    );
    assert_eq!(both, old);
}

#[test]
fn what_would_be_computed_otherwise_is_refused_by_name() {
    let cases = [
        (
            json!({"architectures": ["GPT2LMHeadModel"]}),
            "the architecture is GPT2LMHeadModel, supported are LlamaForCausalLM, Qwen2ForCausalLM, Qwen3ForCausalLM, MistralForCausalLM",
        ),
        (
            json!({"architectures": ["MixtralForCausalLM"], "model_type": "mixtral"}),
            "MixtralForCausalLM",
        ),
        (
            json!({"architectures": null, "model_type": "gemma"}),
            "the architecture is gemma",
        ),
        (
            json!({"architectures": [], "model_type": null}),
            "names no architecture",
        ),
        (
            json!({"model_type": "mistral"}),
            "model_type is \"mistral\"",
        ),
        (json!({"hidden_act": "gelu"}), "hidden_act is \"gelu\""),
        (
            json!({"attention_dropout": 0.1}),
            "attention_dropout is 0.1",
        ),
        (
            json!({"quantization_config": {"quant_method": "gptq"}}),
            "quantised (gptq)",
        ),
        (json!({"num_local_experts": 8}), "num_local_experts is 8"),
        (
            json!({"rope_scaling": {"type": "dynamic", "factor": 2.0}}),
            "rope_type is \"dynamic\", supported are default, linear, llama3, yarn",
        ),
        (
            json!({"rope_scaling": {"rope_type": "longrope"}}),
            "\"longrope\"",
        ),
        (json!({"rope_scaling": {"type": "linear"}}), "no factor"),
        (
            json!({"rope_scaling": {"type": "linear", "factor": 0}}),
            "factor is 0",
        ),
        (
            json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}}),
            "full_attention",
        ),
        (
            json!({"rope_parameters": {"rope_type": "default", "partial_rotary_factor": 0.5}}),
            "partial_rotary_factor",
        ),
        (json!({"rope_theta": -1}), "rope_theta is -1"),
        (
            json!({"rope_scaling": {"rope_type": "llama3", "factor": 8, "low_freq_factor": 4, "high_freq_factor": 4}}),
            "high_freq_factor is 4",
        ),
        (json!({"hidden_size": 0}), "hidden_size is 0"),
        (json!({"hidden_size": "8"}), "hidden_size is \"8\""),
        (json!({"hidden_size": 9}), "hidden_size is 9"),
        (json!({"vocab_size": 1u64 << 40}), "vocab_size is"),
        (json!({"num_key_value_heads": 3}), "num_key_value_heads"),
        (json!({"head_dim": 3}), "head_dim is 3"),
        (
            json!({"num_hidden_layers": 1 << 29}),
            "num_hidden_layers is",
        ),
        (json!({"rms_norm_eps": 0}), "rms_norm_eps is 0"),
        (
            json!({"tie_word_embeddings": "yes"}),
            "tie_word_embeddings is \"yes\"",
        ),
    ];
    for (change, expected) in cases {
        let error = refused(&config("LlamaForCausalLM", change));
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        assert!(!error.ends_with('.') && !error.contains('\n'), "{error}");
    }
    let types = |types: Value| config("Qwen2ForCausalLM", json!({"layer_types": types}));
    assert!(refused(&types(json!(["full_attention"]))).contains("1 entries"));
    assert!(
        refused(&types(json!([
            "sliding_attention",
            "full_attention",
            "full_attention"
        ])))
        .contains("is off")
    );
    assert!(
        refused(&types(json!([
            "chunked_attention",
            "full_attention",
            "full_attention"
        ])))
        .contains("chunked_attention")
    );
    assert!(decoder(&llama()).layers.len() == 3);
}

const LINEAR: &[f32] = &[0.25, 0.009401508, 0.00035355336, 1.3295739e-05];
const LLAMA3: &[f32] = &[1.0, 0.03760603, 0.000524846, 6.6478697e-06];
const YARN: &[f32] = &[1.0, 0.03162278, 0.00062500004, 7.905694e-06];
const YARN_ATTENTION: f32 = 1.1386294;

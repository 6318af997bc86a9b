//! Adapters: what is written is read again, PEFT's ways of naming modules, golden bytes, and everything that is refused.

use super::made::{self, adapters, llama, raw, settings};
use crate::{
    lora::{
        backend::Adapter,
        decoder::Decoder,
        files::{AdapterDir, Dtype, read_adapter, write_adapter},
    },
    training::{settings::Settings, site::Site, words::Module},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs, path::Path};

fn decoder() -> Decoder {
    made::decoder(&llama())
}

fn is(modules: &[Module]) -> impl Fn(&Site) -> bool {
    move |site| modules.contains(&site.module)
}

/// Something done to an adapter.
type Damage<'a> = &'a dyn Fn(&mut Adapter);

/// A directory with adapters of rank 2 on q and v, and what its config says changed.
fn changed(dir: &Path, change: Value) -> Result<AdapterDir, String> {
    let all = adapters(&decoder(), 2, 2.0, is(&[Module::Q, Module::V]));
    write_adapter(dir, &settings(2, 4.0), "base", &all).unwrap();
    let path = dir.join("adapter_config.json");
    let mut config: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for (key, value) in change.as_object().unwrap() {
        config[key] = value.clone();
    }
    fs::write(path, config.to_string()).unwrap();
    read_adapter(dir, &decoder())
}

const GOLDEN: &str = r#"{
  "alpha_pattern": {},
  "base_model_name_or_path": "meta/base",
  "bias": "none",
  "exclude_modules": null,
  "fan_in_fan_out": false,
  "inference_mode": true,
  "init_lora_weights": true,
  "layers_pattern": null,
  "layers_to_transform": null,
  "loftq_config": {},
  "lora_alpha": 32,
  "lora_dropout": 0.1,
  "modules_to_save": null,
  "peft_type": "LORA",
  "r": 16,
  "rank_pattern": {},
  "revision": null,
  "target_modules": [
    "k_proj",
    "o_proj",
    "q_proj",
    "v_proj"
  ],
  "task_type": "CAUSAL_LM",
  "use_dora": false,
  "use_rslora": false
}
"#;

#[test]
fn the_files_have_these_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let all = adapters(
        &decoder(),
        16,
        2.0,
        is(&[Module::Q, Module::K, Module::V, Module::O]),
    );
    write_adapter(dir.path(), &Settings::default(), "meta/base", &all).unwrap();
    let config = fs::read_to_string(dir.path().join("adapter_config.json")).unwrap();
    assert_eq!(config, GOLDEN);
    // The tensors are those that the format's own library writes, byte for byte.
    let tensors = all.iter().flat_map(|(site, adapter)| {
        let name = |m| format!("base_model.model.{site}.lora_{m}.weight");
        let (a, b) = (&adapter.a, &adapter.b);
        [
            raw(&name("A"), &[16, a.len() / 16], Dtype::F32, a),
            raw(&name("B"), &[b.len() / 16, 16], Dtype::F32, b),
        ]
    });
    let theirs = dir.path().join("theirs");
    made::save(&theirs, &tensors.collect::<Vec<_>>());
    let mine = fs::read(dir.path().join("adapter_model.safetensors")).unwrap();
    assert!(mine == fs::read(theirs).unwrap());
    let again = dir.path().join("again/deep");
    write_adapter(&again, &Settings::default(), "meta/base", &all).unwrap();
    assert!(mine == fs::read(again.join("adapter_model.safetensors")).unwrap());
}

#[test]
fn what_is_written_is_read_again() {
    let decoder = decoder();
    let all = |_: &Site| true;
    let odd = |site: &Site| site.layer != 1;
    let ragged = |site: &Site| site.layer == 1 || site.module == Module::Down;
    let mut mixed = adapters(&decoder, 4, 1.5, all);
    let other = adapters(&decoder, 3, 0.7, |site| {
        site.layer == 2 || site.module == Module::Up
    });
    mixed.extend(other);
    let cases = [
        adapters(&decoder, 2, 2.0, all),
        adapters(&decoder, 5, 10.0 / 3.0, is(&[Module::Down, Module::Gate])),
        adapters(&decoder, 2, 1.0, odd),
        adapters(&decoder, 2, 1.0, ragged),
        mixed,
    ];
    for use_rslora in [false, true] {
        for (at, all) in cases.iter().enumerate() {
            let dir = tempfile::tempdir().unwrap();
            let settings = Settings {
                use_rslora,
                ..settings(2, 4.0)
            };
            write_adapter(dir.path(), &settings, "base", all).unwrap();
            let found = read_adapter(dir.path(), &decoder).unwrap();
            assert_eq!(&found.adapters, all, "case {at}, rslora {use_rslora}");
            assert_eq!(
                (found.base.as_deref(), found.use_rslora),
                (Some("base"), use_rslora)
            );
            assert!(!found.is_zero);
        }
    }
}

#[test]
fn patterns_of_the_settings_stay_where_they_lead_to_the_same() {
    let patterned = Settings {
        rank_pattern: [
            ("layers.0.self_attn.q_proj".to_string(), 3),
            ("q_proj".to_string(), 1),
        ]
        .into(),
        alpha_pattern: [("v_proj".to_string(), 2.5)].into(),
        ..settings(2, 4.0)
    };
    let decoder = decoder();
    let mut all = adapters(&decoder, 1, 4.0, is(&[Module::Q]));
    all.extend(adapters(&decoder, 3, (4.0f64 / 3.0) as f32, |s| {
        s.layer == 0 && s.module == Module::Q
    }));
    all.extend(adapters(&decoder, 2, 1.25, is(&[Module::V])));
    let written = |all: &BTreeMap<_, _>| {
        let dir = tempfile::tempdir().unwrap();
        write_adapter(dir.path(), &patterned, "base", all).unwrap();
        assert_eq!(&read_adapter(dir.path(), &decoder).unwrap().adapters, all);
        let config = fs::read(dir.path().join("adapter_config.json")).unwrap();
        serde_json::from_slice::<Value>(&config).unwrap()
    };
    let config = written(&all);
    assert_eq!(
        config["rank_pattern"],
        json!({"layers.0.self_attn.q_proj": 3, "q_proj": 1})
    );
    assert_eq!(config["alpha_pattern"], json!({"v_proj": 2.5}));
    // Adapters of another origin: the patterns are theirs.
    all.values_mut().for_each(|adapter| adapter.scale = 2.0);
    let config = written(&all);
    assert_eq!(config["alpha_pattern"]["v_proj"], Value::Null);
    assert_eq!(
        config["alpha_pattern"]["model.layers.0.self_attn.q_proj"],
        6
    );
}

#[test]
fn modules_are_named_as_peft_names_them() {
    let same = |change: Value| {
        let dir = tempfile::tempdir().unwrap();
        changed(dir.path(), change.clone())
            .map(|found| assert_eq!(found.adapters.len(), 6, "{change}"))
    };
    let right = [
        json!({}),
        json!({"target_modules": ["self_attn.q_proj", "v_proj", "score"]}),
        json!({"target_modules": r".*\.(q|v)_proj"}),
        json!({"target_modules": r"(?:.*?(?:language|text).*?k_proj)|(?:\bmodel\.layers\.[\d]{1,}\.self_attn\.(?:(?:q_proj|v_proj)))"}),
        json!({"target_modules": ["q_proj", "v_proj", "k_proj"], "exclude_modules": ["k_proj"]}),
        json!({"target_modules": "all-linear", "exclude_modules": r".*mlp.*|.*[ko]_proj"}),
        json!({"layers_to_transform": [0, 1, 2]}),
        json!({"layers_to_transform": [2, 0, 1, 7], "layers_pattern": "layers"}),
        json!({"layers_to_transform": [0, 1, 2], "layers_pattern": ["h", "layers"]}),
        json!({"layers_to_transform": []}),
        json!({"init_lora_weights": "gaussian", "loftq_config": null, "bias": null, "use_dora": null}),
        json!({"a_key_of_the_future": 1, "peft_version": "9.9"}),
    ];
    for change in right {
        same(change.clone()).unwrap_or_else(|error| panic!("{change}: {error}"));
    }
    let wrong = [
        json!({"target_modules": ["q_proj"]}),
        json!({"target_modules": ["_attn.q_proj", "v_proj"]}),
        json!({"target_modules": r"model\.layers\.0.*[qv]_proj"}),
        json!({"target_modules": r"(q|v)_proj"}),
        json!({"target_modules": "all-linear"}),
        json!({"layers_to_transform": 1}),
        json!({"layers_to_transform": [0, 1, 2], "layers_pattern": "h"}),
    ];
    for change in wrong {
        same(change.clone()).expect_err(&change.to_string());
    }
}

/// PEFT takes the first pattern that matches, in the order of the file.
#[test]
fn patterns_are_expressions_and_their_order_counts() {
    let dir = tempfile::tempdir().unwrap();
    let scales = |patterns: &str| {
        changed(dir.path(), json!({})).unwrap();
        let path = dir.path().join("adapter_config.json");
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace(
            r#""alpha_pattern":{}"#,
            &format!(r#""alpha_pattern":{patterns}"#),
        );
        fs::write(path, text).unwrap();
        let found = read_adapter(dir.path(), &decoder()).map(|found| found.adapters);
        found.map(|all| {
            all.values()
                .map(|adapter| adapter.scale)
                .collect::<Vec<_>>()
        })
    };
    // q and v of each layer in turn.
    assert_eq!(scales("{}").unwrap(), [2.0; 6]);
    assert_eq!(
        scales(r#"{"v_proj": 2, "layers.1.*": 6}"#).unwrap(),
        [2.0, 1.0, 3.0, 1.0, 2.0, 1.0]
    );
    assert_eq!(
        scales(r#"{"layers.1.*": 6, "v_proj": 2}"#).unwrap(),
        [2.0, 1.0, 3.0, 3.0, 2.0, 1.0]
    );
    assert_eq!(
        scales(r#"{"_proj": 6, "model.layers.(0|2).self_attn.q_proj": 8}"#).unwrap(),
        [4.0, 2.0, 2.0, 2.0, 4.0, 2.0]
    );
    assert!(
        scales(r#"{"(?=x)q_proj": 6}"#)
            .unwrap_err()
            .contains("(?=x)q_proj")
    );
    assert!(
        scales(r#"{"q_proj": "6"}"#)
            .unwrap_err()
            .contains("alpha_pattern \"q_proj\" is \"6\"")
    );
}

#[test]
fn what_is_not_plain_lora_is_refused_by_name() {
    let cases = [
        (json!({"peft_type": "LOHA"}), "peft_type is LOHA"),
        (json!({"peft_type": null}), "peft_type is missing"),
        (json!({"use_dora": true}), "use_dora is true"),
        (json!({"bias": "all"}), "bias is \"all\""),
        (json!({"lora_bias": true}), "lora_bias"),
        (json!({"fan_in_fan_out": true}), "fan_in_fan_out"),
        (
            json!({"modules_to_save": ["lm_head"]}),
            "modules_to_save is [\"lm_head\"]",
        ),
        (
            json!({"trainable_token_indices": [1]}),
            "trainable_token_indices",
        ),
        (json!({"layer_replication": [[0, 1]]}), "layer_replication"),
        (json!({"target_parameters": ["x"]}), "target_parameters"),
        (
            json!({"init_lora_weights": "pissa_niter_4"}),
            "pissa_niter_4",
        ),
        (
            json!({"target_modules": ["embed_tokens", "q_proj"]}),
            "names model.embed_tokens",
        ),
        (json!({"target_modules": ["lm_head"]}), "names lm_head"),
        (json!({"target_modules": null}), "target_modules is missing"),
        (json!({"target_modules": 3}), "target_modules is 3"),
        (
            json!({"target_modules": ["query_key_value"]}),
            "matches no module of the model, which is a LlamaForCausalLM of 3 layers",
        ),
        (json!({"target_modules": []}), "matches no module"),
        (json!({"target_modules": "(unclosed"}), "(unclosed"),
        (json!({"r": 0}), "r is 0"),
        (
            json!({"r": 3}),
            "has the shape [2, 8], model and adapter_config.json ask for [3, 8]",
        ),
        (
            json!({"rank_pattern": {"q_proj": -1}}),
            "rank_pattern \"q_proj\" is -1",
        ),
        (
            json!({"rank_pattern": {"v_proj": 1}}),
            "v_proj.lora_A.weight has the shape [2, 8]",
        ),
        (json!({"lora_alpha": "big"}), "lora_alpha is \"big\""),
        (
            json!({"layers_to_transform": "all"}),
            "layers_to_transform is \"all\"",
        ),
    ];
    for (change, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        let error = changed(dir.path(), change).unwrap_err();
        assert!(error.contains(expected), "{expected:?} is not in {error:?}");
        assert!(
            error.contains(&dir.path().display().to_string()) && !error.contains('\n'),
            "{error}"
        );
    }
}

#[test]
fn an_adapter_of_another_model_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    changed(dir.path(), json!({})).unwrap();
    let of = |change| {
        let other = made::decoder(&made::config("LlamaForCausalLM", change));
        read_adapter(dir.path(), &other).unwrap_err()
    };
    let error = of(json!({"num_hidden_layers": 2}));
    assert!(error.contains("is of layer 2, the model has 2"), "{error}");
    let error = of(json!({"num_hidden_layers": 4}));
    assert!(
        error.contains("model.layers.3.self_attn.q_proj.lora_A.weight is missing"),
        "{error}"
    );
    let error = of(json!({"hidden_size": 16}));
    assert!(
        error.contains("[2, 8], model and adapter_config.json ask for [2, 16]"),
        "{error}"
    );
}

#[test]
fn tensors_that_belong_nowhere_are_refused() {
    let names = [
        (
            "base_model.model.model.layers.0.self_attn.q_proj.lora_magnitude_vector",
            "DoRA",
        ),
        (
            "base_model.model.model.embed_tokens.lora_embedding_A",
            "embeddings",
        ),
        (
            "base_model.model.lm_head.weight",
            "no adapter on a linear module",
        ),
        (
            "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight",
            "has no adapter on model.layers.0.mlp.up_proj",
        ),
        (
            "base_model.model.model.layers.7.mlp.up_proj.lora_A.weight",
            "is of layer 7, the model has 3",
        ),
    ];
    for (name, expected) in names {
        let dir = tempfile::tempdir().unwrap();
        changed(dir.path(), json!({})).unwrap();
        let path = dir.path().join("adapter_model.safetensors");
        let bytes = fs::read(&path).unwrap();
        let theirs = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let views = theirs.tensors();
        let mut all: Vec<made::Raw> = views
            .into_iter()
            .map(|(name, view)| made::Raw {
                name,
                shape: view.shape().into(),
                dtype: view.dtype(),
                bytes: view.data().into(),
            })
            .collect();
        all.push(raw(name, &[2], Dtype::F32, &[0.0; 2]));
        made::save(&path, &all);
        let error = read_adapter(dir.path(), &decoder()).unwrap_err();
        assert!(error.contains(name) && error.contains(expected), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    changed(dir.path(), json!({})).unwrap();
    let path = dir.path().join("adapter_model.safetensors");
    fs::rename(&path, dir.path().join("adapter_model.bin")).unwrap();
    assert!(
        read_adapter(dir.path(), &decoder())
            .unwrap_err()
            .contains("convert")
    );
    fs::remove_file(dir.path().join("adapter_model.bin")).unwrap();
    assert!(
        read_adapter(dir.path(), &decoder())
            .unwrap_err()
            .contains("adapter_model.safetensors")
    );
}

#[test]
fn adapters_come_in_every_type_and_untrained_ones_are_known() {
    let decoder = decoder();
    let mut all = adapters(&decoder, 2, 2.0, is(&[Module::Q, Module::V]));
    for dtype in Dtype::ALL {
        let dir = tempfile::tempdir().unwrap();
        write_adapter(dir.path(), &settings(2, 4.0), "base", &all).unwrap();
        let tensors = all.iter().flat_map(|(site, adapter)| {
            let name = |m| format!("base_model.model.{site}.lora_{m}.weight");
            let (a, b) = (&adapter.a, &adapter.b);
            [
                raw(&name("A"), &[2, a.len() / 2], *dtype, a),
                raw(&name("B"), &[b.len() / 2, 2], *dtype, b),
            ]
        });
        made::save(
            &dir.path().join("adapter_model.safetensors"),
            &tensors.collect::<Vec<_>>(),
        );
        let found = read_adapter(dir.path(), &decoder).unwrap();
        for (site, adapter) in &all {
            let found = &found.adapters[site];
            let near = found
                .b
                .iter()
                .zip(&adapter.b)
                .all(|(a, b)| (a - b).abs() < 0.002);
            assert!(
                near && found.a.len() == adapter.a.len(),
                "{site} as {dtype}"
            );
        }
    }
    all.values_mut().for_each(|adapter| adapter.b.fill(0.0));
    let dir = tempfile::tempdir().unwrap();
    write_adapter(dir.path(), &settings(2, 4.0), "base", &all).unwrap();
    assert!(read_adapter(dir.path(), &decoder).unwrap().is_zero);
}

#[test]
fn what_is_no_adapter_is_not_written() {
    let refused = |all| {
        let dir = tempfile::tempdir().unwrap();
        let error =
            write_adapter(&dir.path().join("out"), &settings(2, 4.0), "base", &all).unwrap_err();
        assert!(
            fs::read_dir(dir.path()).unwrap().next().is_none(),
            "something is there"
        );
        error.to_string()
    };
    let decoder = decoder();
    let all = || adapters(&decoder, 2, 2.0, is(&[Module::Q]));
    assert!(refused(Default::default()).contains("no adapter to write"));
    let site = Site {
        layer: 1,
        module: Module::Q,
    };
    let broken: [(Damage, &str); 4] = [
        (&|adapter| adapter.a[3] = f32::NAN, "is not finite"),
        (&|adapter| adapter.scale = f32::INFINITY, "is not finite"),
        (&|adapter| adapter.b.truncate(3), "no shape of rank 2"),
        (&|adapter| adapter.rank = 0, "no shape of rank 0"),
    ];
    for (damage, expected) in broken {
        let mut all = all();
        damage(all.get_mut(&site).unwrap());
        let error = refused(all);
        assert!(
            error.contains(expected) && error.contains("layers.1"),
            "{error}"
        );
    }
}

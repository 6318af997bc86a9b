//! A directory with a tiny model, its tokenizer, rows and adapters.

use crate::{
    evaluation::job::Measure,
    executor::job_dir::{JobDir, Request, TaskRequest, Work},
    lora::{
        backend::{AdamStep, Use},
        batch::Batch,
        cpu::Cpu,
        engine::{Adapters, Engine, fresh},
        files::{ModelDir, write_adapter, write_tensors},
        tokens::{Row, Tokens, made::make},
    },
    training::{
        philox::{philox, unit},
        settings::Settings,
    },
    worker::evaluate::language::Language,
};
use serde_json::{Value, json};
use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// What may be answered: what is asked decides.
pub fn answers() -> Vec<String> {
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"]
        .map(|word| format!("{word} {word}"))
        .into()
}

/// A row whose answer is a function of its question; two rows share a trajectory.
pub fn row(n: u32) -> Value {
    let all = answers();
    let answer = &all[n as usize % all.len()];
    let question = format!("say {} {n}", answer.split(' ').next().unwrap());
    json!({
        "id": format!("row-{n}"), "trajectory_id": format!("t-{}", n / 2),
        "messages": [{ "role": "user", "content": question }, { "role": "assistant", "content": answer }],
    })
}

pub struct Place {
    dir: TempDir,
}

impl Place {
    pub fn with_model() -> Self {
        let place = Self {
            dir: TempDir::new().unwrap(),
        };
        place.model("model", 32, 1);
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.path(name).to_string_lossy().into_owned()
    }

    pub fn rows(&self, name: &str, numbers: Range<u32>) {
        let lines: String = numbers.map(|n| format!("{}\n", row(n))).collect();
        fs::write(self.path(name), lines).unwrap();
    }

    /// A Llama of this width, with weights of usual size.
    fn model(&self, name: &str, hidden: usize, layers: usize) {
        let dir = self.path(name);
        fs::create_dir(&dir).unwrap();
        let texts: Vec<String> = (0..40).map(|n| row(n).to_string()).collect();
        let tokenizer = make(texts.iter().map(String::as_str), 320, 128).unwrap();
        fs::write(dir.join("tokenizer.json"), &tokenizer.tokenizer).unwrap();
        fs::write(dir.join("tokenizer_config.json"), &tokenizer.config).unwrap();
        let (vocabulary, wide) = (tokenizer.tokens, hidden * 2);
        let config = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": hidden, "intermediate_size": wide,
            "num_hidden_layers": layers, "num_attention_heads": 2, "num_key_value_heads": 2, "vocab_size": vocabulary,
            "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "tie_word_embeddings": false, "hidden_act": "silu",
        });
        fs::write(dir.join("config.json"), config.to_string()).unwrap();
        let mut tensors = vec![
            (
                "model.embed_tokens.weight".to_owned(),
                vec![vocabulary, hidden],
            ),
            ("model.norm.weight".into(), vec![hidden]),
            ("lm_head.weight".into(), vec![vocabulary, hidden]),
        ];
        for layer in 0..layers {
            let at = |name: &str| format!("model.layers.{layer}.{name}.weight");
            for name in ["q_proj", "k_proj", "v_proj", "o_proj"] {
                tensors.push((at(&format!("self_attn.{name}")), vec![hidden, hidden]));
            }
            tensors.push((at("mlp.gate_proj"), vec![wide, hidden]));
            tensors.push((at("mlp.up_proj"), vec![wide, hidden]));
            tensors.push((at("mlp.down_proj"), vec![hidden, wide]));
            tensors.push((at("input_layernorm"), vec![hidden]));
            tensors.push((at("post_attention_layernorm"), vec![hidden]));
        }
        let numbers: Vec<Vec<f32>> = (0..)
            .zip(&tensors)
            .map(|(tensor, (name, shape))| {
                let norm = name.contains("norm");
                let number = |at: u32| match norm {
                    true => 1.0,
                    false => (unit(philox([at, tensor, 0, 0], [9, 9])[0]) - 0.5) * 0.6,
                };
                (0..shape.iter().product::<usize>() as u32)
                    .map(number)
                    .collect()
            })
            .collect();
        let given: Vec<(String, Vec<usize>, &[f32])> = tensors
            .into_iter()
            .zip(&numbers)
            .map(|((name, shape), numbers)| (name, shape, numbers.as_slice()))
            .collect();
        write_tensors(&dir.join("model.safetensors"), &given, BTreeMap::new()).unwrap();
    }

    /// The same model with an output layer whose sums overflow.
    pub fn huge_model(&self, name: &str) {
        self.model(name, 32, 1);
        let path = self.path(name).join("model.safetensors");
        let mut bytes = fs::read(&path).unwrap();
        let numbers = 8 + u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let header: Value = serde_json::from_slice(&bytes[8..numbers]).unwrap();
        let at = |end: usize| {
            let offset = &header["lm_head.weight"]["data_offsets"][end];
            numbers + offset.as_u64().unwrap() as usize
        };
        for four in bytes[at(0)..at(1)].chunks_exact_mut(4) {
            let number = f32::from_le_bytes(four.try_into().unwrap());
            four.copy_from_slice(&f32::MAX.copysign(number).to_le_bytes());
        }
        fs::write(&path, bytes).unwrap();
    }

    pub fn append(&self, name: &str, text: &str) {
        let before = fs::read_to_string(self.path(name)).unwrap();
        fs::write(self.path(name), before + text).unwrap();
    }

    pub fn cut(&self, name: &str, bytes: usize) {
        let text = fs::read_to_string(self.path(name)).unwrap();
        fs::write(self.path(name), &text[..text.len() - bytes]).unwrap();
    }

    pub fn other_model(&self, name: &str) {
        self.model(name, 48, 2);
    }

    fn opened(&self, name: &str) -> (ModelDir, Settings, Adapters) {
        let model = ModelDir::open(&self.path(name)).unwrap();
        let settings = Settings {
            r: 8,
            lora_alpha: 16.0,
            ..Settings::default()
        };
        let adapters = fresh(&settings, &model.decoder);
        (model, settings, adapters)
    }

    /// An adapter whose B is noise of this size.
    pub fn fresh_adapter(&self, name: &str, size: f32) {
        let (_, settings, mut adapters) = self.opened("model");
        for (at, adapter) in (0..).zip(adapters.values_mut()) {
            for (n, b) in (0..).zip(&mut adapter.b) {
                *b = (unit(philox([n, at, 1, 0], [7, 7])[0]) - 0.5) * size;
            }
        }
        self.write(name, &settings, &adapters);
    }

    pub fn adapter_for(&self, model: &str, name: &str) {
        let (_, settings, adapters) = self.opened(model);
        self.write(name, &settings, &adapters);
    }

    /// An adapter that took so many steps over all of `train.jsonl`.
    pub fn trained_adapter(&self, name: &str, steps: u64) {
        let (model, settings, adapters) = self.opened("model");
        let tokens = Tokens::open(&self.path("model"), model.decoder.vocabulary).unwrap();
        let mut batch = Batch::default();
        for line in fs::read_to_string(self.path("train.jsonl"))
            .unwrap()
            .lines()
        {
            let row: Value = serde_json::from_str(line).unwrap();
            let Row::Sft(example) = Language::row(&tokens, &row).unwrap() else {
                panic!("no preference was written");
            };
            batch.push(0, &example.ids, &example.learned);
        }
        let mut engine = Engine::new(Cpu::new(2), &model.decoder, &model, &adapters).unwrap();
        for step in 1..=steps {
            let weight = 1.0 / batch.supervised.len() as f32;
            engine.clear(0).unwrap();
            engine.learn(&batch, weight, Use::On).unwrap();
            let step = AdamStep {
                step,
                learning_rate: 0.02,
                beta1: 0.9,
                beta2: 0.999,
                epsilon: 1e-8,
                weight_decay: 0.0,
                gradient_scale: 1.0,
            };
            engine.update(0, &step).unwrap();
        }
        self.write(name, &settings, &engine.adapters(0).unwrap());
    }

    fn write(&self, name: &str, settings: &Settings, adapters: &Adapters) {
        let dir = self.path(name);
        fs::create_dir_all(&dir).unwrap();
        write_adapter(&dir, settings, "toy", adapters).unwrap();
    }

    /// A job directory `jobs/j` that asks for these.
    pub fn job(&self, jobs: Vec<Measure>) {
        let request = Request {
            job: "toy-1".into(),
            name: "toy".into(),
            campaign: "toy".into(),
            phase: "evaluate".into(),
            attempt: 1,
            directory: self.text(""),
            time_seconds: None,
            slurm: None,
            side_by_side: 1,
            work: Work::Evaluate { jobs },
            tasks: vec![TaskRequest {
                shard: 0,
                shards: 1,
                target: 0,
                first: 0,
                output: None,
                seed: 0,
                experience: None,
                ledger: None,
                budget: None,
            }],
        };
        fs::create_dir(self.path("jobs")).unwrap();
        let dir = JobDir::new(self.path("jobs/j"));
        dir.write_request(&request).unwrap();
        fs::create_dir_all(dir.task(0)).unwrap();
    }
}

/// A language for tests without a tokenizer: a token a letter, 0 ends an answer.
pub struct Letters;

impl Language for Letters {
    fn row(&self, row: &Value) -> Result<Row, String> {
        use crate::lora::tokens::Example;
        let example = |answer: &str| {
            let given: Vec<u32> = row["prompt"]
                .as_str()
                .unwrap_or("")
                .chars()
                .map(u32::from)
                .collect();
            let said = answer.chars().map(u32::from).chain([0]);
            let ids: Vec<u32> = given.iter().copied().chain(said).collect();
            let learned = (0..ids.len()).map(|at| at >= given.len()).collect();
            Example { ids, learned }
        };
        let answer = row["completion"].as_str().ok_or("it has no completion")?;
        Ok(match row["rejected"].as_str() {
            Some(rejected) => Row::Pair {
                chosen: example(answer),
                rejected: example(rejected),
            },
            None => Row::Sft(example(answer)),
        })
    }

    fn text(&self, ids: &[u32]) -> String {
        ids.iter().filter_map(|id| char::from_u32(*id)).collect()
    }

    fn ends(&self) -> &[u32] {
        &[0]
    }
}

/// Writes rows as lines of a file.
pub fn lines(path: &Path, rows: &[Value]) {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).unwrap();
    }
    let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
    fs::write(path, text).unwrap();
}

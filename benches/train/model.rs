//! The models that are trained: two sizes of random Llama, their numbers a function of the tensor's name.

use campaignd::{
    lora::{
        backend::{Adapter, Heads, Rope},
        batch::Batch,
        decoder::{Decoder, Tensors},
        engine::Adapters,
    },
    training::{
        philox::{philox, unit},
        site::Site,
        words::Module,
    },
};
use serde_json::json;
use std::{
    fs::{self, File},
    io::{BufWriter, Write},
    path::Path,
};

/// Tokens of a row.
pub const LENGTH: usize = 512;
/// Rows of a batch.
pub const ROWS: usize = 4;
/// Rank of every adapter.
pub const RANK: usize = 16;
/// Their alpha.
pub const ALPHA: f32 = 32.0;
/// Modules that have one.
pub const TARGETS: [Module; 4] = [Module::Q, Module::K, Module::V, Module::O];

const VOCABULARY: usize = 8192;
const HEAD: usize = 64;

/// A size of model.
#[derive(Clone, Copy)]
pub struct Size {
    /// What it is called.
    pub name: &'static str,
    pub hidden: usize,
    pub layers: usize,
}

/// Both.
pub const SIZES: [Size; 2] = [
    Size {
        name: "256 x 4",
        hidden: 256,
        layers: 4,
    },
    Size {
        name: "768 x 12",
        hidden: 768,
        layers: 12,
    },
];

impl Size {
    fn intermediate(self) -> usize {
        self.hidden * 8 / 3 / 64 * 64
    }

    fn heads(self) -> (usize, usize) {
        let heads = self.hidden / HEAD;
        (heads, heads / 2)
    }

    /// Outputs and inputs of a module.
    fn shape(self, module: Module) -> (usize, usize) {
        let (h, f) = (self.hidden, self.intermediate());
        let (q, kv) = (self.heads().0 * HEAD, self.heads().1 * HEAD);
        match module {
            Module::Q => (q, h),
            Module::K | Module::V => (kv, h),
            Module::O => (h, q),
            Module::Gate | Module::Up => (f, h),
            Module::Down => (h, f),
        }
    }

    pub fn decoder(self) -> Decoder {
        let (heads, kv_heads) = self.heads();
        let attention = Heads {
            heads,
            kv_heads,
            head_dim: HEAD,
            window: None,
            scale: 1.0 / (HEAD as f32).sqrt(),
        };
        let frequency = |i: usize| 10_000_f32.powf(-(2.0 * i as f32) / HEAD as f32);
        Decoder {
            architecture: "LlamaForCausalLM".into(),
            vocabulary: VOCABULARY,
            hidden: self.hidden,
            intermediate: self.intermediate(),
            layers: vec![attention; self.layers],
            epsilon: 1e-5,
            rope: Rope {
                frequencies: (0..HEAD / 2).map(frequency).collect(),
                attention_factor: 1.0,
            },
            qkv_bias: false,
            o_bias: false,
            mlp_bias: false,
            head_norm: false,
            tied: false,
            context: LENGTH,
        }
    }

    /// Every tensor: its name and shape.
    fn tensors(self) -> Vec<(String, Vec<usize>)> {
        let h = self.hidden;
        let mut all = vec![
            ("model.embed_tokens.weight".into(), vec![VOCABULARY, h]),
            ("model.norm.weight".into(), vec![h]),
            ("lm_head.weight".into(), vec![VOCABULARY, h]),
        ];
        for layer in 0..self.layers as u32 {
            for norm in ["input", "post_attention"] {
                let name = format!("model.layers.{layer}.{norm}_layernorm.weight");
                all.push((name, vec![h]));
            }
            for &module in Module::ALL {
                let (outputs, inputs) = self.shape(module);
                let name = format!("{}.weight", Site { layer, module });
                all.push((name, vec![outputs, inputs]));
            }
        }
        all
    }

    /// Fresh adapters: B is 0.
    pub fn adapters(self) -> Adapters {
        let sites =
            (0..self.layers as u32).flat_map(|layer| TARGETS.map(|module| Site { layer, module }));
        let fresh = |site: Site| {
            let (outputs, inputs) = self.shape(site.module);
            let bound = 1.0 / (inputs as f32).sqrt();
            Adapter {
                rank: RANK,
                scale: ALPHA / RANK as f32,
                a: numbers(&site.to_string(), RANK * inputs, bound),
                b: vec![0.0; outputs * RANK],
            }
        };
        sites.map(|site| (site, fresh(site))).collect()
    }

    /// Multiplications and additions of one step over M tokens of which S are learned, at the least: what the frozen
    /// weights, attention, the loss head and the adapters cannot do without. Nothing is propagated below the first layer's
    /// attention.
    pub fn operations(self, m: usize, s: usize) -> f64 {
        let weights = |module: Module| {
            let (outputs, inputs) = self.shape(module);
            (outputs * inputs) as f64
        };
        let all: f64 = Module::ALL.iter().copied().map(weights).sum();
        let lowest: f64 = [Module::Q, Module::K, Module::V].map(weights).iter().sum();
        let layers = self.layers as f64;
        let frozen = 4.0 * m as f64 * (all * layers) - 2.0 * m as f64 * lowest;
        let head = 4.0 * s as f64 * (VOCABULARY * self.hidden) as f64;
        // Two products forward and four back, half of each below the diagonal.
        let attention = 6.0 * m as f64 * (LENGTH * self.heads().0 * HEAD) as f64 * layers;
        let thin = |module: Module| {
            let (outputs, inputs) = self.shape(module);
            (6 * m * RANK * (outputs + inputs)) as f64
        };
        let adapters = TARGETS.into_iter().map(thin).sum::<f64>() * layers;
        frozen + head + attention + adapters
    }

    /// Writes the model as a Hugging Face directory.
    pub fn write(self, dir: &Path) {
        let (heads, kv_heads) = self.heads();
        let config = json!({
            "architectures": ["LlamaForCausalLM"], "model_type": "llama",
            "vocab_size": VOCABULARY, "hidden_size": self.hidden,
            "intermediate_size": self.intermediate(), "num_hidden_layers": self.layers,
            "num_attention_heads": heads, "num_key_value_heads": kv_heads, "head_dim": HEAD,
            "max_position_embeddings": LENGTH, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
            "hidden_act": "silu", "tie_word_embeddings": false, "torch_dtype": "float32",
        });
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("config.json"), config.to_string()).unwrap();
        let (mut header, mut at) = (serde_json::Map::new(), 0);
        for (name, shape) in self.tensors() {
            let end = at + 4 * shape.iter().product::<usize>();
            let tensor = json!({"dtype": "F32", "shape": shape, "data_offsets": [at, end]});
            header.insert(name, tensor);
            at = end;
        }
        let header = serde_json::to_vec(&header).unwrap();
        let mut file = BufWriter::new(File::create(dir.join("model.safetensors")).unwrap());
        file.write_all(&(header.len() as u64).to_le_bytes())
            .unwrap();
        file.write_all(&header).unwrap();
        for (name, _) in self.tensors() {
            for number in self.tensor(&name).unwrap() {
                file.write_all(&number.to_le_bytes()).unwrap();
            }
        }
        file.flush().unwrap();
    }
}

impl Tensors for Size {
    fn tensor(&self, name: &str) -> Result<Vec<f32>, String> {
        let found = self.tensors().into_iter().find(|(known, _)| known == name);
        let (_, shape) = found.ok_or_else(|| format!("there is no {name}"))?;
        let len = shape.iter().product();
        match shape[..] {
            [_] => Ok(vec![1.0; len]),
            _ => Ok(numbers(name, len, 0.035)),
        }
    }
}

/// Numbers from -bound to bound, a function of the name.
fn numbers(name: &str, len: usize, bound: f32) -> Vec<f32> {
    let mix = |seed: u32, byte: u8| seed.wrapping_mul(31).wrapping_add(byte.into());
    let seed = name.bytes().fold(7, mix);
    let quads = 0..len.div_ceil(4) as u32;
    let all = quads.flat_map(|q| philox([q, seed, 0, 0], [1, 2]));
    all.take(len)
        .map(|bits| bound * (2.0 * unit(bits) - 1.0))
        .collect()
}

/// A batch: rows of whole length, of which all tokens are learned or, with a prompt, the last quarter. No padding, so both
/// sides see the same.
pub fn batch(number: u32, prompts: bool) -> Batch {
    let mut batch = Batch::default();
    for (row, (ids, learned)) in (0..).zip(rows(number, prompts)) {
        batch.push(number * ROWS as u32 + row, &ids, &learned);
    }
    batch
}

/// Its rows: token ids, and which of them are learned.
pub fn rows(number: u32, prompts: bool) -> Vec<(Vec<u32>, Vec<bool>)> {
    let from = if prompts { LENGTH * 3 / 4 } else { 0 };
    let row = |row: usize| {
        let seed = [number, row as u32];
        let id = |at: usize| philox([at as u32, 0, seed[0], seed[1]], [3, 4])[0] % 8192;
        let learned = (0..LENGTH).map(|at| at >= from).collect();
        ((0..LENGTH).map(id).collect(), learned)
    };
    (0..ROWS).map(row).collect()
}

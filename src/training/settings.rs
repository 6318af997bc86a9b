//! The settings of one fine-tune, by the names of PEFT's `LoraConfig` and Hugging Face's `TrainingArguments`.

use super::{
    site::Site,
    words::{Loss, Module, Scheduler},
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What `train.toml` and `[training]` say. Defaults: specification 1, section 4.2; what it is silent about, as Hugging Face has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// Rank of the adapters.
    pub r: u32,
    /// Their alpha: an adapter's output is scaled by alpha / r, with `use_rslora` by alpha / sqrt(r).
    pub lora_alpha: f64,
    /// Share of an adapter's inputs that are dropped in training, from 0 to below 1.
    pub lora_dropout: f64,
    /// The modules that have adapters.
    pub target_modules: Vec<Module>,
    /// Other ranks: a module's name, or the end of one (`layers.0.self_attn.q_proj`), to its rank.
    pub rank_pattern: BTreeMap<String, u32>,
    /// Other alphas, in the same way.
    pub alpha_pattern: BTreeMap<String, f64>,
    /// Rank-stabilised scaling (Kalajdzievski 2023).
    pub use_rslora: bool,
    /// What is learned from.
    pub loss: Loss,
    /// DPO's temperature.
    pub beta: f64,
    /// The highest learning rate.
    pub learning_rate: f64,
    /// Decay of AdamW's first moment.
    pub adam_beta1: f64,
    /// Decay of its second.
    pub adam_beta2: f64,
    /// Added to its denominator.
    pub adam_epsilon: f64,
    /// Decoupled weight decay.
    pub weight_decay: f64,
    /// L2 norm of all gradients above which they are scaled down; 0: never.
    pub max_grad_norm: f64,
    /// How the learning rate develops.
    pub lr_scheduler_type: Scheduler,
    /// Steps of linear warmup; 0: `warmup_ratio` decides.
    pub warmup_steps: u64,
    /// Share of all steps that are warmup, rounded up.
    pub warmup_ratio: f64,
    /// Passes over the rows.
    pub num_train_epochs: f64,
    /// Steps; 0: `num_train_epochs` decides.
    pub max_steps: u64,
    /// Rows of a micro-batch (pairs with DPO; packed sequences with `packing`).
    pub per_device_train_batch_size: u32,
    /// Micro-batches of a step.
    pub gradient_accumulation_steps: u32,
    /// Tokens of a row at most; 0: what the model can.
    pub max_seq_length: u32,
    /// Whether several rows share a sequence of `max_seq_length`; none of them attends to another.
    pub packing: bool,
    /// Whether each epoch has an order of its own.
    pub shuffle: bool,
    /// Root of all chance.
    pub seed: u64,
    /// Steps between looks at the holdout; 0: at the end of each epoch.
    pub eval_steps: u64,
    /// Steps between checkpoints; 0: with each look at the holdout.
    pub save_steps: u64,
    /// Looks at the holdout without a better one, after which training stops; 0: never.
    pub early_stopping_patience: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            r: 16,
            lora_alpha: 32.0,
            lora_dropout: 0.1,
            target_modules: vec![Module::Q, Module::K, Module::V, Module::O],
            rank_pattern: BTreeMap::new(),
            alpha_pattern: BTreeMap::new(),
            use_rslora: false,
            loss: Loss::Sft,
            beta: 0.1,
            learning_rate: 2e-4,
            adam_beta1: 0.9,
            adam_beta2: 0.999,
            adam_epsilon: 1e-8,
            weight_decay: 0.0,
            max_grad_norm: 1.0,
            lr_scheduler_type: Scheduler::Cosine,
            warmup_steps: 0,
            warmup_ratio: 0.03,
            num_train_epochs: 3.0,
            max_steps: 0,
            per_device_train_batch_size: 8,
            gradient_accumulation_steps: 1,
            max_seq_length: 2048,
            packing: false,
            shuffle: true,
            seed: 42,
            eval_steps: 0,
            save_steps: 0,
            early_stopping_patience: 0,
        }
    }
}

/// The first pattern, in the order of names, that a module's full name matches, as PEFT's `re.match(r"(.*\.)?KEY$", name)`
/// decides it for a name without wildcards: the whole of it, or its end behind a dot.
fn pattern<'a, T>(patterns: &'a BTreeMap<String, T>, module: &str) -> Option<&'a T> {
    let matches = |key: &str| {
        module
            .strip_suffix(key)
            .is_some_and(|before| before.is_empty() || before.ends_with('.'))
    };
    let mut found = patterns.iter().filter(|(key, _)| matches(key));
    found.next().map(|(_, value)| value)
}

/// What is wrong with a setting: (its key, what it is, what would be right).
pub type Wrong = (&'static str, String, String);

impl Settings {
    /// Rank and scale of the adapter at `site`; none where the settings ask for none. The scale is alpha / rank, with
    /// `use_rslora` alpha / sqrt(rank).
    pub fn adapter(&self, site: Site) -> Option<(u32, f64)> {
        if !self.target_modules.contains(&site.module) {
            return None;
        }
        let name = site.to_string();
        let rank = *pattern(&self.rank_pattern, &name).unwrap_or(&self.r);
        let alpha = *pattern(&self.alpha_pattern, &name).unwrap_or(&self.lora_alpha);
        let rank_size = f64::from(rank);
        let scale = if self.use_rslora {
            alpha / rank_size.sqrt()
        } else {
            alpha / rank_size
        };
        Some((rank, scale))
    }

    /// Everything that no training can be done with.
    pub fn problems(&self) -> Vec<Wrong> {
        let mut found = Vec::new();
        self.wrong_adapters(&mut found);
        self.wrong_steps(&mut found);
        found
    }

    fn wrong_adapters(&self, found: &mut Vec<Wrong>) {
        let mut check = |key, sound: bool, value: String, right: &str| {
            if !sound {
                found.push((key, value, right.to_string()));
            }
        };
        let rank = |rank: u32| (1..=MOST_RANK).contains(&rank);
        // An adapter's scale is an f32.
        let alpha = |alpha: f64| alpha > 0.0 && (alpha as f32).is_finite();
        let ranks = format!("1 to {MOST_RANK}");
        check("r", rank(self.r), self.r.to_string(), &ranks);
        let above = "a number above 0";
        let value = self.lora_alpha;
        check("lora_alpha", alpha(value), value.to_string(), above);
        let value = self.lora_dropout;
        let sound = (0.0..1.0).contains(&value);
        check("lora_dropout", sound, value.to_string(), "0 to below 1");
        let modules = &self.target_modules;
        let all: Vec<&str> = Module::ALL.iter().map(|module| module.name()).collect();
        let some = format!("some of {}", all.join(", "));
        check("target_modules", !modules.is_empty(), "[]".into(), &some);
        let twice = |module: Module| modules.iter().filter(|other| **other == module).count() > 1;
        if let Some(module) = modules.iter().find(|module| twice(**module)) {
            check("target_modules", false, module.to_string(), "each once");
        }
        for (key, value) in &self.rank_pattern {
            let said = format!("{key} = {value}");
            check("rank_pattern", rank(*value), said, &ranks);
        }
        for (key, value) in &self.alpha_pattern {
            let said = format!("{key} = {value}");
            check("alpha_pattern", alpha(*value), said, above);
        }
        let ranks = self.rank_pattern.keys().map(|key| ("rank_pattern", key));
        let alphas = self.alpha_pattern.keys().map(|key| ("alpha_pattern", key));
        for (pattern, key) in ranks.chain(alphas) {
            if let Some(right) = self.wrong_pattern(key) {
                check(pattern, false, key.clone(), &right);
            }
        }
    }

    /// Why a pattern's key can decide nothing, as what would be right.
    fn wrong_pattern(&self, key: &str) -> Option<String> {
        let plain = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '_' | '.');
        if !key.chars().all(plain) {
            let right = "a module's name or the end of one, such as layers.0.self_attn.q_proj; \
                         regular expressions are not read";
            return Some(right.into());
        }
        let module = key.rsplit('.').next().unwrap_or(key).parse::<Module>();
        match module {
            Ok(module) if self.target_modules.contains(&module) => None,
            Ok(module) => Some(format!("{module} among target_modules")),
            Err(_) => Some("the end of a module's name, such as q_proj".into()),
        }
    }

    fn wrong_steps(&self, found: &mut Vec<Wrong>) {
        let above = |value: f64| value > 0.0 && value.is_finite();
        let not_below = |value: f64| value >= 0.0 && value.is_finite();
        let below_one = |value: f64| (0.0..1.0).contains(&value);
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let numbers: [(&'static str, f64, bool, &str); 10] = [
            ("beta", self.beta, above(self.beta), "above 0"),
            (
                "learning_rate",
                self.learning_rate,
                above(self.learning_rate) && self.learning_rate <= 1.0,
                "above 0 to 1",
            ),
            (
                "adam_beta1",
                self.adam_beta1,
                below_one(self.adam_beta1),
                "0 to below 1",
            ),
            (
                "adam_beta2",
                self.adam_beta2,
                below_one(self.adam_beta2),
                "0 to below 1",
            ),
            (
                "adam_epsilon",
                self.adam_epsilon,
                above(self.adam_epsilon),
                "above 0",
            ),
            (
                "weight_decay",
                self.weight_decay,
                not_below(self.weight_decay),
                "0 or more",
            ),
            (
                "max_grad_norm",
                self.max_grad_norm,
                not_below(self.max_grad_norm),
                "0 or more; 0: never clipped",
            ),
            (
                "warmup_ratio",
                self.warmup_ratio,
                share(self.warmup_ratio),
                "0 to 1",
            ),
            (
                "num_train_epochs",
                self.num_train_epochs,
                (above(self.num_train_epochs) || self.max_steps > 0)
                    && not_below(self.num_train_epochs)
                    && self.num_train_epochs <= MOST_EPOCHS,
                "above 0 to 100000, or max_steps",
            ),
            // Checked here so that a product of it and any other setting stays a number.
            (
                "max_steps",
                self.max_steps as f64,
                self.max_steps <= MOST_STEPS,
                "0 to 1000000000",
            ),
        ];
        for (key, value, sound, right) in numbers {
            if !sound {
                found.push((key, value.to_string(), right.into()));
            }
        }
        let rows = 1..=MOST_ROWS;
        let wholes = [
            (
                "per_device_train_batch_size",
                self.per_device_train_batch_size,
            ),
            (
                "gradient_accumulation_steps",
                self.gradient_accumulation_steps,
            ),
        ];
        for (key, value) in wholes {
            if !rows.contains(&value) {
                found.push((key, value.to_string(), format!("1 to {MOST_ROWS}")));
            }
        }
        if self.packing && self.loss == Loss::Dpo {
            let right = "packing = false: pairs are compared, not packed";
            found.push(("packing", "true".into(), right.into()));
        }
    }
}

/// The highest rank.
const MOST_RANK: u32 = 4096;
/// The most epochs and steps that are no slip of the finger.
const MOST_EPOCHS: f64 = 100_000.0;
const MOST_STEPS: u64 = 1_000_000_000;
/// The most rows of a micro-batch, and micro-batches of a step.
const MOST_ROWS: u32 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    fn site(layer: u32, module: Module) -> Site {
        Site { layer, module }
    }

    #[test]
    fn the_defaults_are_the_specifications_and_sound() {
        let settings = Settings::default();
        assert_eq!(settings.problems(), Vec::<Wrong>::new());
        assert_eq!(settings.adapter(site(3, Module::Q)), Some((16, 2.0)));
        assert_eq!(settings.adapter(site(0, Module::Gate)), None);
    }

    /// What `peft.utils.other.get_pattern_key` says of the same keys, which it is given in this order.
    #[test]
    fn patterns_match_as_peft_does() {
        let ranks = [
            ("layers.0.self_attn.q_proj", 4),
            ("model.layers.1.self_attn.k_proj", 2),
            ("q_proj", 8),
            ("v_pro", 99),
        ];
        let alphas = [("1.self_attn.q_proj", 64.0), ("o_proj", 4.0)];
        let settings = Settings {
            rank_pattern: ranks.map(|(key, rank)| (key.into(), rank)).into(),
            alpha_pattern: alphas.map(|(key, alpha)| (key.into(), alpha)).into(),
            ..Settings::default()
        };
        for (layer, module, expected) in [
            (0, Module::Q, (4, 8.0)),
            (1, Module::Q, (8, 8.0)),
            // `10.self_attn` ends in `0.self_attn`, and not behind a dot.
            (10, Module::Q, (8, 4.0)),
            (11, Module::Q, (8, 4.0)),
            (1, Module::K, (2, 16.0)),
            (0, Module::K, (16, 2.0)),
            (0, Module::V, (16, 2.0)),
            (5, Module::O, (16, 0.25)),
        ] {
            let found = settings.adapter(site(layer, module));
            assert_eq!(found, Some(expected), "{layer} {module}");
        }
        let stable = Settings {
            use_rslora: true,
            ..settings
        };
        assert_eq!(stable.adapter(site(0, Module::Q)), Some((4, 16.0)));
    }

    #[test]
    fn every_setting_has_its_range() {
        type Change = fn(&mut Settings);
        let changes: [(&str, Change); 23] = [
            ("r", |s| s.r = 0),
            ("lora_alpha", |s| s.lora_alpha = f64::NAN),
            ("lora_alpha", |s| s.lora_alpha = 0.0),
            ("lora_dropout", |s| s.lora_dropout = 1.0),
            ("lora_dropout", |s| s.lora_dropout = f64::NAN),
            ("target_modules", |s| s.target_modules.clear()),
            ("target_modules", |s| s.target_modules.push(Module::Q)),
            ("rank_pattern", |s| {
                s.rank_pattern.insert("q_proj".into(), 0);
            }),
            ("rank_pattern", |s| {
                s.rank_pattern.insert(r"layers\.(0|1)\..*q_proj".into(), 4);
            }),
            ("rank_pattern", |s| {
                s.rank_pattern.insert("up_proj".into(), 4);
            }),
            ("alpha_pattern", |s| {
                s.alpha_pattern.insert("q_proj".into(), f64::INFINITY);
            }),
            ("alpha_pattern", |s| {
                s.alpha_pattern.insert("q_porj".into(), 1.0);
            }),
            ("beta", |s| s.beta = 0.0),
            ("learning_rate", |s| s.learning_rate = -1e-4),
            ("adam_beta1", |s| s.adam_beta1 = 1.0),
            ("adam_beta2", |s| s.adam_beta2 = f64::NAN),
            ("adam_epsilon", |s| s.adam_epsilon = 0.0),
            ("weight_decay", |s| s.weight_decay = -0.1),
            ("max_grad_norm", |s| s.max_grad_norm = f64::NAN),
            ("warmup_ratio", |s| s.warmup_ratio = 1.1),
            ("num_train_epochs", |s| s.num_train_epochs = 0.0),
            ("per_device_train_batch_size", |s| {
                s.per_device_train_batch_size = 0;
            }),
            ("packing", |s| {
                s.packing = true;
                s.loss = Loss::Dpo;
            }),
        ];
        for (key, change) in changes {
            let mut settings = Settings::default();
            change(&mut settings);
            let found = settings.problems();
            assert_eq!(found.len(), 1, "{key}: {found:?}");
            assert_eq!(found[0].0, key);
            assert!(!found[0].2.is_empty());
        }
    }
}

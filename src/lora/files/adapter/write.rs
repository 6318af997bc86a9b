//! Writing an adapter as PEFT does: the smallest set of keys that describes it, since older readers stumble over keys they do not
//! know, and the very bytes that PEFT's own writer would make of the numbers.

use super::{CONFIG, MODEL, pattern::Patterns, scale, tensor_names};
use crate::{
    artifacts::{create_dir_private, named, write_atomic},
    lora::{
        backend::Adapter,
        files::{
            Adapters,
            header::bad,
            tensors::{Given, sorted, write_plain},
        },
    },
    training::{settings::Settings, site::Site, words::Module},
};
use serde::Serialize;
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

/// The file's keys, in the order of the alphabet as PEFT has them.
#[derive(Serialize)]
struct Keys {
    alpha_pattern: BTreeMap<String, Value>,
    base_model_name_or_path: String,
    bias: &'static str,
    exclude_modules: (),
    fan_in_fan_out: bool,
    inference_mode: bool,
    init_lora_weights: bool,
    layers_pattern: (),
    layers_to_transform: Option<Vec<u32>>,
    loftq_config: BTreeMap<(), ()>,
    lora_alpha: Value,
    lora_dropout: f64,
    modules_to_save: (),
    peft_type: &'static str,
    r: u32,
    rank_pattern: BTreeMap<String, u32>,
    revision: (),
    target_modules: Vec<String>,
    task_type: &'static str,
    use_dora: bool,
    use_rslora: bool,
}

/// Writes an adapter into a directory, which is made where it is missing; `base` is what readers will look the model up by. The bytes
/// are a function of the arguments. Each file appears by rename, the description last.
///
/// Ranks and scales are those of `adapters`; `settings` says the rest. Modules whose layers are 0 to n count as on all layers.
///
/// # Errors
/// Names the path, and is what the system says; `InvalidData` for adapters that are none, or not finite.
pub fn write_adapter(
    directory: &Path,
    settings: &Settings,
    base: &str,
    adapters: &Adapters,
) -> io::Result<()> {
    let wrong = |sentence| named(bad(sentence), "write", directory);
    check(adapters).map_err(wrong)?;
    let keys = keys(settings, base, adapters).map_err(wrong)?;
    let text = serde_json::to_string_pretty(&keys).expect("names and numbers are JSON");
    let tensors: Vec<Given> = adapters
        .iter()
        .flat_map(|(&site, adapter)| tensors(site, adapter))
        .collect();
    let sorted = sorted(&tensors).map_err(wrong)?;
    create_dir_private(directory)?;
    let metadata = BTreeMap::from([("format".to_string(), "pt".to_string())]);
    write_plain(&directory.join(MODEL), &sorted, &metadata)?;
    write_atomic(&directory.join(CONFIG), format!("{text}\n").as_bytes())
}

fn tensors(site: Site, adapter: &Adapter) -> [Given<'_>; 2] {
    let Adapter { rank, a, b, .. } = adapter;
    let [name_a, name_b] = tensor_names(site);
    let over = |n: usize| n / rank.max(&1);
    [
        (name_a, vec![*rank, over(a.len())], a),
        (name_b, vec![over(b.len()), *rank], b),
    ]
}

fn check(adapters: &Adapters) -> Result<(), String> {
    if adapters.is_empty() {
        return Err("there is no adapter to write".into());
    }
    for (site, adapter) in adapters {
        let Adapter { rank, scale, a, b } = adapter;
        if *rank == 0
            || a.is_empty()
            || b.is_empty()
            || !a.len().is_multiple_of(*rank)
            || !b.len().is_multiple_of(*rank)
        {
            return Err(format!("the adapter on {site} has no shape of rank {rank}"));
        }
        let finite = |values: &[f32]| values.iter().all(|value| value.is_finite());
        if !(scale.is_finite() && finite(a) && finite(b)) {
            return Err(format!("the adapter on {site} is not finite"));
        }
    }
    Ok(())
}

fn keys(settings: &Settings, base: &str, adapters: &Adapters) -> Result<Keys, String> {
    let (rank_pattern, alpha_pattern) = patterns(settings, adapters)?;
    let (target_modules, layers_to_transform) = targets(adapters);
    Ok(Keys {
        alpha_pattern: alpha_pattern
            .into_iter()
            .map(|(key, alpha)| (key, number(alpha)))
            .collect(),
        base_model_name_or_path: base.into(),
        bias: "none",
        exclude_modules: (),
        fan_in_fan_out: false,
        inference_mode: true,
        init_lora_weights: true,
        layers_pattern: (),
        layers_to_transform,
        loftq_config: BTreeMap::new(),
        lora_alpha: number(settings.lora_alpha),
        lora_dropout: settings.lora_dropout,
        modules_to_save: (),
        peft_type: "LORA",
        r: settings.r,
        rank_pattern,
        revision: (),
        target_modules,
        task_type: "CAUSAL_LM",
        use_dora: false,
        use_rslora: settings.use_rslora,
    })
}

/// Whole numbers are written as such: PEFT's own alpha is one.
fn number(value: f64) -> Value {
    let whole = value.fract() == 0.0 && value.abs() < 1e15;
    if whole {
        Value::from(value as i64)
    } else {
        Value::from(value)
    }
}

/// The modules, and their layers where these are not all.
fn targets(adapters: &Adapters) -> (Vec<String>, Option<Vec<u32>>) {
    let modules: BTreeSet<Module> = adapters.keys().map(|site| site.module).collect();
    let layers: BTreeSet<u32> = adapters.keys().map(|site| site.layer).collect();
    let mut names: Vec<String> = modules.iter().map(Module::to_string).collect();
    names.sort();
    if adapters.len() != modules.len() * layers.len() {
        // Some layers have other modules than others.
        let mut names: Vec<String> = adapters.keys().map(Site::to_string).collect();
        names.sort();
        return (names, None);
    }
    let all = layers.iter().copied().eq(0..layers.len() as u32);
    (names, (!all).then(|| layers.into_iter().collect()))
}

type Ranks = BTreeMap<String, u32>;
type Alphas = BTreeMap<String, f64>;

/// Patterns by which PEFT finds the ranks and scales that the adapters have: those of the settings where they do, else new ones.
fn patterns(settings: &Settings, adapters: &Adapters) -> Result<(Ranks, Alphas), String> {
    let said = (
        settings.rank_pattern.clone(),
        settings.alpha_pattern.clone(),
    );
    if found(settings, adapters, &said).unwrap_or(false) {
        return Ok(said);
    }
    let mut new = (Ranks::new(), Alphas::new());
    for module in Module::ALL {
        let own = || adapters.iter().filter(|(site, _)| site.module == *module);
        let same = own().map(|(_, adapter)| (adapter.rank, adapter.scale.to_bits()));
        let one = same.collect::<BTreeSet<_>>().len() == 1;
        for (site, adapter) in own().take(if one { 1 } else { usize::MAX }) {
            let key = if one {
                module.to_string()
            } else {
                site.to_string()
            };
            let (rank, alpha) = (adapter.rank as u32, alpha(settings, adapter));
            if rank != settings.r {
                new.0.insert(key.clone(), rank);
            }
            if alpha != settings.lora_alpha {
                new.1.insert(key, alpha);
            }
        }
    }
    if found(settings, adapters, &new)? {
        return Ok(new);
    }
    Err("no patterns lead to the ranks and scales of the adapters".into())
}

/// Whether PEFT would find the adapters' ranks and scales.
fn found(settings: &Settings, adapters: &Adapters, said: &(Ranks, Alphas)) -> Result<bool, String> {
    let ranks = Patterns::new("rank_pattern", said.0.clone())?;
    let alphas = Patterns::new("alpha_pattern", said.1.clone())?;
    Ok(adapters.iter().all(|(site, adapter)| {
        let name = site.to_string();
        let rank = ranks.of(&name).unwrap_or(settings.r);
        let alpha = alphas.of(&name).unwrap_or(settings.lora_alpha);
        rank as usize == adapter.rank && scale(alpha, rank, settings.use_rslora) == adapter.scale
    }))
}

/// The alpha that leads to an adapter's scale: the settings' own, else a short one, else the exact one.
fn alpha(settings: &Settings, adapter: &Adapter) -> f64 {
    let rank = adapter.rank as u32;
    let over = f64::from(rank);
    let over = if settings.use_rslora {
        over.sqrt()
    } else {
        over
    };
    let exact = f64::from(adapter.scale) * over;
    let short = (exact * 1e4).round() / 1e4;
    let leads = |alpha: &f64| scale(*alpha, rank, settings.use_rslora) == adapter.scale;
    [settings.lora_alpha, short]
        .into_iter()
        .find(leads)
        .unwrap_or(exact)
}

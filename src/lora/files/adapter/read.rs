//! Reading an adapter for a model. An adapter of another model is refused, never loaded in part: one that matches nothing would
//! change nothing, and nobody would notice.

use super::{CONFIG, MODEL, PREFIX, config::AdapterConfig, tensor_names};
use crate::{
    artifacts::named,
    lora::{
        backend::Adapter,
        decoder::Decoder,
        files::{Adapters, header::bad, keys, layout, tensor_file::TensorFile},
    },
    training::{site::Site, words::Module},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::Path,
};

/// An adapter that fits its model.
#[derive(Clone, Debug, PartialEq)]
pub struct AdapterDir {
    /// A, B, rank and scale of every module that has one; never none.
    pub adapters: Adapters,
    /// The model that it was made for, as whoever made it called it.
    pub base: Option<String>,
    /// Rank, where no pattern says otherwise.
    pub r: u32,
    /// Alpha, where no pattern says otherwise.
    pub lora_alpha: f64,
    /// The dropout that it was trained with.
    pub lora_dropout: f64,
    /// Whether scales are alpha / sqrt(r).
    pub use_rslora: bool,
    /// The modules that have adapters, in some layer at least.
    pub target_modules: Vec<Module>,
    /// Whether every B is 0: nothing was learned, and the model is as it was.
    pub is_zero: bool,
}

/// Reads a PEFT directory and checks it against a model.
///
/// # Errors
/// A sentence that names the file, and the key or tensor.
pub fn read_adapter(directory: &Path, decoder: &Decoder) -> Result<AdapterDir, String> {
    read(directory, decoder).map_err(|error| error.to_string())
}

fn read(directory: &Path, decoder: &Decoder) -> io::Result<AdapterDir> {
    let path = directory.join(CONFIG);
    let config = AdapterConfig::parse(&keys::text(&path)?).and_then(|config| {
        let wanted = wanted(&config, decoder)?;
        Ok((config, wanted))
    });
    let (config, wanted) = config.map_err(|sentence| named(bad(sentence), "use", &path))?;
    let file = open(directory)?;
    refuse_strangers(&file, decoder, &wanted)?;
    let mut adapters = Adapters::new();
    for &site in &wanted {
        adapters.insert(site, adapter(&file, &config, decoder, site)?);
    }
    let modules: BTreeSet<Module> = wanted.iter().map(|site| site.module).collect();
    let is_zero = adapters
        .values()
        .all(|adapter| adapter.b.iter().all(|&b| b == 0.0));
    Ok(AdapterDir {
        adapters,
        base: config.base,
        r: config.r,
        lora_alpha: config.lora_alpha,
        lora_dropout: config.lora_dropout,
        use_rslora: config.use_rslora,
        target_modules: modules.into_iter().collect(),
        is_zero,
    })
}

/// The modules of the model that the adapter says it is on.
fn wanted(config: &AdapterConfig, decoder: &Decoder) -> Result<BTreeSet<Site>, String> {
    for name in ["lm_head", "model.embed_tokens"] {
        if config.targets.name(name, false) {
            return Err(format!(
                "target_modules names {name}, supported are the linear modules of the layers"
            ));
        }
    }
    let sites = layout::sites(decoder);
    let wanted: BTreeSet<Site> = sites
        .filter(|site| config.targets.name(&site.to_string(), true))
        .collect();
    if wanted.is_empty() {
        return Err(format!(
            "target_modules matches no module of the model, which is a {} of {} layers",
            decoder.architecture,
            decoder.layers.len()
        ));
    }
    Ok(wanted)
}

fn open(directory: &Path) -> io::Result<TensorFile> {
    let path = directory.join(MODEL);
    let pickled = "adapter_model.bin";
    if !path.exists() && directory.join(pickled).exists() {
        let sentence = format!(
            "it has {pickled} but no {MODEL}: convert it, with save_pretrained of PEFT for instance"
        );
        return Err(named(bad(sentence), "use", directory));
    }
    TensorFile::open(&path)
}

/// Every tensor of the file must belong to a module that has an adapter.
fn refuse_strangers(
    file: &TensorFile,
    decoder: &Decoder,
    wanted: &BTreeSet<Site>,
) -> io::Result<()> {
    let known: BTreeMap<String, Site> = layout::sites(decoder)
        .flat_map(|site| tensor_names(site).map(|name| (name, site)))
        .collect();
    for entry in &file.header().entries {
        let name = &entry.name;
        let why = match known.get(name) {
            Some(site) if wanted.contains(site) => continue,
            Some(site) => format!("{name} is there, but {CONFIG} has no adapter on {site}"),
            None => stranger(name, decoder),
        };
        return Err(file.wrong(why));
    }
    Ok(())
}

/// Why a tensor belongs to nothing.
fn stranger(name: &str, decoder: &Decoder) -> String {
    let layers = decoder.layers.len();
    let inside = name
        .strip_prefix(PREFIX)
        .and_then(|name| name.strip_prefix("model.layers."));
    let layer = inside.and_then(|rest| rest.split('.').next()?.parse::<u64>().ok());
    match layer {
        Some(layer) if layer >= layers as u64 => {
            format!(
                "{name} is of layer {layer}, the model has {layers}, from 0 on: it is of another model"
            )
        }
        _ if name.contains("lora_embedding") => {
            format!("{name}: adapters on embeddings are not supported")
        }
        _ if name.contains("lora_magnitude") => {
            format!("{name}: weight-decomposed adapters (DoRA) are not supported")
        }
        _ => format!("{name} is no adapter on a linear module of the model"),
    }
}

fn adapter(
    file: &TensorFile,
    config: &AdapterConfig,
    decoder: &Decoder,
    site: Site,
) -> io::Result<Adapter> {
    let (rank, scale) = config.of(&site.to_string());
    let (outputs, inputs) = decoder.shape(site);
    let rank = rank as usize;
    let matrix = |name: &str, needed: [usize; 2]| {
        let missing = || file.wrong(format!("{name} is missing"));
        let entry = file.entry(name).ok_or_else(missing)?;
        if entry.shape != needed {
            let found = &entry.shape;
            return Err(file.wrong(format!(
                "{name} has the shape {found:?}, model and {CONFIG} ask for {needed:?}"
            )));
        }
        file.read(entry)
    };
    let [a, b] = tensor_names(site);
    Ok(Adapter {
        rank,
        scale,
        a: matrix(&a, [rank, inputs])?,
        b: matrix(&b, [outputs, rank])?,
    })
}

//! Adapters that change nothing yet: A as PEFT draws it, B of zeros.

use super::{
    super::{backend::Adapter, decoder::Decoder},
    Adapters,
};
use crate::training::{
    philox::{philox, unit},
    settings::Settings,
    site::Site,
    words::Module,
};

/// A number of A is uniform within 1 / sqrt(inputs), the bound of `kaiming_uniform(a = sqrt(5))`, and a function of seed, site
/// and place: which other modules are trained does not change it.
pub fn fresh(settings: &Settings, decoder: &Decoder) -> Adapters {
    let mut adapters = Adapters::new();
    for layer in 0..decoder.layers.len() as u32 {
        for &module in Module::ALL {
            let site = Site { layer, module };
            if let Some((rank, scale)) = settings.adapter(site) {
                let (outputs, inputs) = decoder.shape(site);
                let rank = rank as usize;
                let adapter = Adapter {
                    rank,
                    scale: scale as f32,
                    a: uniform(settings.seed, site, rank * inputs, inputs),
                    b: vec![0.0; outputs * rank],
                };
                adapters.insert(site, adapter);
            }
        }
    }
    adapters
}

fn uniform(seed: u64, site: Site, len: usize, inputs: usize) -> Vec<f32> {
    let seed = [seed as u32, (seed >> 32) as u32, 0, 0];
    let mixed = philox(seed, [0x6c6f_7261, 0x696e_6974]);
    let bound = 1.0 / (inputs as f64).sqrt();
    let quads = 0..len.div_ceil(4) as u32;
    let numbers = quads.flat_map(|q| {
        let counter = [q, site.layer, site.module as u32, 0];
        philox(counter, [mixed[0], mixed[1]])
    });
    numbers
        .take(len)
        .map(|bits| ((2.0 * f64::from(unit(bits)) - 1.0) * bound) as f32)
        .collect()
}

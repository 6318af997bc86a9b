//! How wide the border of each projection group is: what products are shaped by, besides their rows.

use super::{
    super::decoder::Decoder,
    border::{Border, RANK},
};
use crate::{lora::engine::MODULES, training::site::Site};

/// The border's columns of each projection group, in the layer that has most.
pub fn bucket(decoder: &Decoder, ranks: &dyn Fn(Site) -> Vec<usize>) -> [usize; 4] {
    let layers = 0..decoder.layers.len() as u32;
    MODULES.map(|modules| {
        let columns = layers.clone().map(|layer| {
            let sites = modules.iter().map(|&module| Site { layer, module });
            let each: Vec<Vec<usize>> = sites.map(ranks).collect();
            let members = 0..each.iter().map(Vec::len).max().unwrap_or(0);
            let own = |member: usize| {
                each.iter()
                    .map(|ranks| ranks.get(member).copied().unwrap_or(0))
                    .collect()
            };
            let own: Vec<Vec<usize>> = members.map(own).collect();
            Border::new(0, vec![0; modules.len()], &own).ranks
        });
        columns.max().unwrap_or(0)
    })
}

/// Of each member, the highest of its ranks as it stands in a border.
pub fn aligned(decoder: &Decoder, ranks: &dyn Fn(Site) -> Vec<usize>) -> Vec<usize> {
    let layers = 0..decoder.layers.len() as u32;
    let modules = MODULES.into_iter().flatten();
    let sites = modules.flat_map(|&module| layers.clone().map(move |layer| Site { layer, module }));
    sites.map(ranks).fold(Vec::new(), |highest, ranks| {
        let pairs = ranks.iter().enumerate();
        pairs
            .map(|(member, rank)| {
                let before = highest.get(member).copied().unwrap_or(0);
                rank.next_multiple_of(RANK).max(before)
            })
            .collect()
    })
}

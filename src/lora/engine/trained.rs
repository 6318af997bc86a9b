//! What is trained: adapters in and out, their gradients and moments, the optimiser's step.

use super::{
    super::backend::{AdamStep, Backend, Done, Moments, Pair},
    Adapters, Engine,
    layer::{Layer, MODULES},
    load,
};
use crate::training::site::Site;
use std::collections::BTreeMap;

/// The layer and group of the lowest adapter: nothing below it needs a gradient.
pub fn lowest<B: Backend>(layers: &[Layer<B>]) -> Option<(usize, usize)> {
    let trained = |layer: &Layer<B>| layer.ranks.iter().position(|&rank| rank > 0);
    let mut layers = layers.iter().enumerate();
    layers.find_map(|(at, layer)| Some((at, trained(layer)?)))
}

impl<B: Backend> Engine<B> {
    /// Something of every projection that has it.
    fn collect<T>(
        &self,
        of: impl Fn(&B, &B::Linear) -> Done<Vec<Option<T>>>,
    ) -> Done<BTreeMap<Site, T>> {
        let mut found = BTreeMap::new();
        for (at, layer) in (0..).zip(&self.layers) {
            for (group, modules) in layer.groups.iter().zip(MODULES) {
                let values = of(&self.backend, group)?;
                for (&module, value) in modules.iter().zip(values) {
                    let site = Site { layer: at, module };
                    found.extend(value.map(|value| (site, value)));
                }
            }
        }
        Ok(found)
    }

    /// The adapters as they are now.
    ///
    /// # Errors
    /// The machine's own; so with all below.
    pub fn adapters(&self) -> Done<Adapters> {
        self.collect(B::adapters)
    }

    /// Their gradients, summed since the last [`clear`](Self::clear).
    ///
    /// # Errors
    /// The machine's own.
    pub fn gradients(&self) -> Done<BTreeMap<Site, Pair>> {
        self.collect(B::gradients)
    }

    /// What AdamW keeps of them.
    ///
    /// # Errors
    /// The machine's own.
    pub fn moments(&self) -> Done<BTreeMap<Site, Moments>> {
        self.collect(B::moments)
    }

    /// Other adapters on the same base, with moments of 0 where none are given; gradients become 0.
    ///
    /// # Errors
    /// One does not fit the model; the machine's own.
    pub fn equip(
        &mut self,
        adapters: &Adapters,
        moments: Option<&BTreeMap<Site, Moments>>,
    ) -> Done {
        load::check(&self.decoder, adapters)?;
        for (at, layer) in (0..).zip(&mut self.layers) {
            for (number, modules) in MODULES.iter().enumerate() {
                let sites = modules.iter().map(|&module| Site { layer: at, module });
                let own: Vec<_> = sites.clone().map(|s| adapters.get(&s).cloned()).collect();
                let kept = moments.map(|m| sites.map(|s| m.get(&s).cloned()).collect::<Vec<_>>());
                let group = &mut layer.groups[number];
                self.backend.equip(group, &own, kept.as_deref())?;
                layer.ranks[number] = load::ranks(own.iter().map(Option::as_ref));
            }
        }
        Ok(())
    }

    /// The groups that have adapters.
    fn trained(&self) -> impl Iterator<Item = &B::Linear> {
        let groups = |layer: &'_ Layer<B>| layer.ranks;
        self.layers.iter().flat_map(move |layer| {
            let ranked = layer.groups.iter().zip(groups(layer));
            ranked.filter(|(_, rank)| *rank > 0).map(|(group, _)| group)
        })
    }

    /// The same, to change them.
    fn trained_mut(layers: &mut [Layer<B>]) -> impl Iterator<Item = &mut B::Linear> {
        layers.iter_mut().flat_map(|layer| {
            let ranked = layer.groups.iter_mut().zip(layer.ranks);
            ranked.filter(|(_, rank)| *rank > 0).map(|(group, _)| group)
        })
    }

    /// The sum of the squares of all gradients.
    ///
    /// # Errors
    /// The machine's own.
    pub fn squares(&self) -> Done<f64> {
        self.trained()
            .map(|group| self.backend.squares(group))
            .sum()
    }

    /// One step of AdamW over all adapters.
    ///
    /// # Errors
    /// The machine's own.
    pub fn update(&mut self, step: &AdamStep) -> Done {
        Self::trained_mut(&mut self.layers).try_for_each(|group| self.backend.adamw(group, step))
    }

    /// Sets all gradients to 0.
    ///
    /// # Errors
    /// The machine's own.
    pub fn clear(&mut self) -> Done {
        Self::trained_mut(&mut self.layers).try_for_each(|group| self.backend.clear(group))
    }
}

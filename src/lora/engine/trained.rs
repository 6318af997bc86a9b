//! What is trained: adapters in and out, their gradients and moments, the optimiser's step.

use super::{
    super::backend::{AdamStep, Backend, Done, Member, Pair},
    Adapters, AllMoments, Engine,
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

    /// A member's adapters as they are now.
    ///
    /// # Errors
    /// The machine's own; so with all below.
    pub fn adapters(&self, member: usize) -> Done<Adapters> {
        self.collect(|backend, group| backend.adapters(group, member))
    }

    /// Their gradients, summed since the last [`clear`](Self::clear).
    ///
    /// # Errors
    /// The machine's own.
    pub fn gradients(&self, member: usize) -> Done<BTreeMap<Site, Pair>> {
        self.collect(|backend, group| backend.gradients(group, member))
    }

    /// What AdamW keeps of them.
    ///
    /// # Errors
    /// The machine's own.
    pub fn moments(&self, member: usize) -> Done<AllMoments> {
        self.collect(|backend, group| backend.moments(group, member))
    }

    /// Other adapters on the same base, for one fine-tune.
    ///
    /// # Errors
    /// Those of [`equip_all`](Self::equip_all).
    pub fn equip(&mut self, adapters: &Adapters, moments: Option<&AllMoments>) -> Done {
        self.equip_all(&[(adapters, moments)])
    }

    /// The adapters of other members on the same base, with moments of 0 where none are given; gradients become 0.
    ///
    /// # Errors
    /// One does not fit the model; the machine's own.
    pub fn equip_all(&mut self, members: &[(&Adapters, Option<&AllMoments>)]) -> Done {
        for (adapters, _) in members {
            load::check(&self.decoder, adapters)?;
        }
        self.members = members.len();
        for (at, layer) in (0..).zip(&mut self.layers) {
            for (number, modules) in MODULES.iter().enumerate() {
                let sites = modules.iter().map(|&module| Site { layer: at, module });
                let member = |(adapters, moments): &(&Adapters, Option<&AllMoments>)| Member {
                    adapters: sites.clone().map(|s| adapters.get(&s).cloned()).collect(),
                    moments: moments.map(|m| sites.clone().map(|s| m.get(&s).cloned()).collect()),
                };
                let own: Vec<Member> = members.iter().map(member).collect();
                self.backend.equip(&mut layer.groups[number], &own)?;
                layer.ranks[number] = load::ranks(own.iter().flat_map(|own| &own.adapters));
            }
        }
        Ok(())
    }

    /// A member takes no further part: whatever its numbers have come to, no other member's rows meet them.
    ///
    /// # Errors
    /// The machine's own.
    pub fn retire(&mut self, member: usize) -> Done {
        let mut groups = Self::trained_mut(&mut self.layers);
        self.backend.retire(&mut groups, member)
    }

    /// The groups that have adapters.
    fn trained(&self) -> Vec<&B::Linear> {
        let of = |layer: &'_ Layer<B>| layer.ranks;
        let groups = self.layers.iter().flat_map(move |layer| {
            let ranked = layer.groups.iter().zip(of(layer));
            ranked.filter(|(_, rank)| *rank > 0).map(|(group, _)| group)
        });
        groups.collect()
    }

    /// The same, to change them.
    fn trained_mut(layers: &mut [Layer<B>]) -> Vec<&mut B::Linear> {
        let groups = layers.iter_mut().flat_map(|layer| {
            let ranked = layer.groups.iter_mut().zip(layer.ranks);
            ranked.filter(|(_, rank)| *rank > 0).map(|(group, _)| group)
        });
        groups.collect()
    }

    /// The sum of the squares of all gradients of a member.
    ///
    /// # Errors
    /// The machine's own.
    pub fn squares(&self, member: usize) -> Done<f64> {
        self.backend.squares(&self.trained(), member)
    }

    /// One step of AdamW over all adapters of a member.
    ///
    /// # Errors
    /// The machine's own.
    pub fn update(&mut self, member: usize, step: &AdamStep) -> Done {
        let mut groups = Self::trained_mut(&mut self.layers);
        self.backend.adamw(&mut groups, member, step)
    }

    /// Sets all gradients of a member to 0.
    ///
    /// # Errors
    /// The machine's own.
    pub fn clear(&mut self, member: usize) -> Done {
        let mut groups = Self::trained_mut(&mut self.layers);
        self.backend.clear(&mut groups, member)
    }
}

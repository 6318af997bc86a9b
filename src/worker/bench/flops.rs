//! What a step cannot do without, counted from the shape: floating-point operations for each token, by where they come from.
//!
//! A multiplication and an addition are two. What a machine computes once more to save memory is not counted, so that a share
//! of its peak is a share of useful work. Nothing is propagated below the lowest adapter.

use crate::{
    lora::{decoder::Decoder, engine::MODULES},
    training::{settings::Settings, site::Site, words::Module},
};

/// One origin of operations, for each token.
#[derive(Clone, Debug, PartialEq)]
pub struct Origin {
    /// What computes them.
    pub what: &'static str,
    /// On the way forward.
    pub forward: f64,
    /// On the way back.
    pub backward: f64,
    /// How they are counted.
    pub how: &'static str,
}

/// What is counted.
#[derive(Clone, Copy, Debug)]
pub struct Count<'a> {
    /// The shape.
    pub decoder: &'a Decoder,
    /// Which modules have adapters, and of which rank.
    pub settings: &'a Settings,
    /// Tokens of a document.
    pub length: usize,
}

/// The group of the lowest adapter in the first layer, by its place in [`MODULES`].
pub fn lowest(targets: &[Module]) -> usize {
    let targeted = |modules: &[Module]| modules.iter().any(|module| targets.contains(module));
    let lowest = MODULES.iter().position(|modules| targeted(modules));
    lowest.unwrap_or(MODULES.len())
}

/// Whether a group's input needs a gradient: there is an adapter below it.
pub fn propagates(layer: usize, group: usize, lowest: usize) -> bool {
    (layer, group) > (0, lowest)
}

impl Count<'_> {
    /// Every origin, in the order in which a token meets it.
    pub fn origins(&self) -> [Origin; 4] {
        [
            self.frozen(),
            self.attention(),
            self.adapters(),
            self.head(),
        ]
    }

    /// Of each token for the frozen products: layers and loss head, forward and dX.
    pub fn products(&self) -> f64 {
        let both = [self.frozen(), self.head()];
        both.iter().map(|part| part.forward + part.backward).sum()
    }

    /// Numbers that are trained.
    pub fn trained(&self) -> u64 {
        let sites = self.sites();
        let numbers = sites.map(|(site, _)| self.rank(site) * self.sides(site).iter().sum::<f64>());
        numbers.sum::<f64>() as u64
    }

    /// Every module with its group.
    fn sites(&self) -> impl Iterator<Item = (Site, usize)> {
        let layers = 0..self.decoder.layers.len() as u32;
        layers.flat_map(|layer| {
            let groups = MODULES.iter().enumerate();
            groups.flat_map(move |(group, modules)| {
                let site = move |&module: &Module| (Site { layer, module }, group);
                modules.iter().map(site)
            })
        })
    }

    fn propagated(&self, site: Site, group: usize) -> bool {
        propagates(
            site.layer as usize,
            group,
            lowest(&self.settings.target_modules),
        )
    }

    fn rank(&self, site: Site) -> f64 {
        let adapter = self.settings.adapter(site);
        adapter.map_or(0.0, |(rank, _)| f64::from(rank))
    }

    /// Outputs and inputs.
    fn sides(&self, site: Site) -> [f64; 2] {
        let (outputs, inputs) = self.decoder.shape(site);
        [outputs as f64, inputs as f64]
    }

    fn frozen(&self) -> Origin {
        let (mut forward, mut backward) = (0.0, 0.0);
        for (site, group) in self.sites() {
            let product = 2.0 * self.sides(site).iter().product::<f64>();
            forward += product;
            if self.propagated(site, group) {
                backward += product;
            }
        }
        Origin {
            what: "frozen weights",
            forward,
            backward,
            how: "2 a weight; back: dX to the lowest adapter",
        }
    }

    fn attention(&self) -> Origin {
        let lowest = lowest(&self.settings.target_modules);
        let (mut forward, mut backward) = (0.0, 0.0);
        for (layer, heads) in self.decoder.layers.iter().enumerate() {
            let window = heads.window.unwrap_or(self.length);
            let seen = (1..=self.length).map(|before| before.min(window) as f64);
            let product = 2.0 * seen.sum::<f64>() / self.length as f64 * heads.queries() as f64;
            forward += 2.0 * product;
            // Attention lies between the first group and the others: its gradient is that of the first group's outputs.
            if layer > 0 || lowest == 0 {
                backward += 4.0 * product;
            }
        }
        Origin {
            what: "attention",
            forward,
            backward,
            how: "the causal half; 2 products, 4 back",
        }
    }

    fn adapters(&self) -> Origin {
        let (mut forward, mut backward) = (0.0, 0.0);
        for (site, group) in self.sites() {
            let [outputs, inputs] = self.sides(site).map(|side| 2.0 * self.rank(site) * side);
            forward += outputs + inputs;
            backward += 2.0 * outputs + inputs;
            if self.propagated(site, group) {
                backward += inputs;
            }
        }
        Origin {
            what: "adapters",
            forward,
            backward,
            how: "2 a number; back: dA, dB and dX",
        }
    }

    /// The last token of a document predicts none.
    fn head(&self) -> Origin {
        let share = (self.length - 1) as f64 / self.length as f64;
        let product = 2.0 * share * (self.decoder.vocabulary * self.decoder.hidden) as f64;
        Origin {
            what: "loss head",
            forward: product,
            backward: product,
            how: "2 a weight, of each learned token",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::backend::{Heads, Rope};

    fn decoder() -> Decoder {
        let heads = Heads {
            heads: 2,
            kv_heads: 1,
            head_dim: 4,
            window: None,
            scale: 0.5,
        };
        Decoder {
            architecture: "LlamaForCausalLM".into(),
            vocabulary: 11,
            hidden: 6,
            intermediate: 10,
            layers: vec![heads; 2],
            epsilon: 1e-5,
            rope: Rope {
                frequencies: vec![1.0, 0.1],
                attention_factor: 1.0,
            },
            qkv_bias: false,
            o_bias: false,
            mlp_bias: false,
            head_norm: false,
            tied: false,
            context: 64,
        }
    }

    fn counted(decoder: &Decoder, targets: &[Module]) -> [(f64, f64); 4] {
        let settings = Settings {
            r: 3,
            target_modules: targets.to_vec(),
            ..Settings::default()
        };
        let count = Count {
            decoder,
            settings: &settings,
            length: 4,
        };
        count
            .origins()
            .map(|origin| (origin.forward, origin.backward))
    }

    /// By hand: q 8x6, k and v 4x6, o 6x8, gate and up 10x6, down 6x10; documents of 4 tokens, which see 2.5 on average.
    #[test]
    fn operations_are_those_counted_by_hand() {
        let (qkv, o, block) = (96.0, 48.0, 180.0);
        let [frozen, attention, adapters, head] = counted(&decoder(), &[Module::Q, Module::V]);
        let all = 2.0 * (qkv + o + block);
        assert_eq!(frozen, (2.0 * all, 2.0 * all - 2.0 * qkv));
        assert_eq!(attention, (2.0 * 2.0 * 40.0, 2.0 * 4.0 * 40.0));
        let (inputs, outputs) = (2.0 * 3.0 * (6.0 + 6.0), 2.0 * 3.0 * (8.0 + 4.0));
        let backward = 2.0 * (2.0 * outputs + inputs) + inputs;
        assert_eq!(adapters, (2.0 * (inputs + outputs), backward));
        assert_eq!(head, (2.0 * 66.0 * 0.75, 2.0 * 66.0 * 0.75));
    }

    #[test]
    fn the_way_back_ends_at_the_lowest_adapter() {
        let [frozen, attention, ..] = counted(&decoder(), &[Module::Down]);
        assert_eq!(frozen.1, 2.0 * (96.0 + 48.0 + 180.0), "one layer only");
        assert_eq!(attention.1, 4.0 * 40.0, "one layer only");
        let [frozen, attention, ..] = counted(&decoder(), &[Module::Up, Module::O]);
        assert_eq!(frozen.1, 2.0 * (324.0 + 180.0), "the block of both layers");
        assert_eq!(attention.1, 4.0 * 40.0);
        assert!(propagates(0, 1, 0) && propagates(1, 0, 3) && !propagates(0, 3, 3));
    }

    #[test]
    fn a_window_bounds_what_a_token_sees() {
        let mut narrow = decoder();
        narrow.layers[0].window = Some(2);
        let [_, wide, ..] = counted(&decoder(), &[Module::Q]);
        let [_, found, ..] = counted(&narrow, &[Module::Q]);
        // (1 + 2 + 2 + 2) / 4 tokens in the place of (1 + 2 + 3 + 4) / 4, two products of 2 x 8 each.
        assert_eq!(wide.0 - found.0, 2.0 * 2.0 * 8.0 * 0.75);
    }
}

//! A model's tensors, by their Hugging Face names, onto a machine.

use super::{
    super::{
        backend::{Adapter, Backend, Done, Projection, Shape, Trouble},
        decoder::{Decoder, Tensors},
    },
    Adapters, Engine,
    layer::{GROUPS, Layer, MODULES},
    memory::Memory,
};
use crate::training::site::Site;

/// A tensor of so many numbers.
fn read(tensors: &dyn Tensors, name: &str, len: usize) -> Done<Vec<f32>> {
    let numbers = tensors.tensor(name).map_err(Trouble)?;
    match numbers.len() {
        found if found == len => Ok(numbers),
        found => Err(Trouble(format!(
            "tensor {name} has {found} numbers, the model needs {len}"
        ))),
    }
}

/// One module, with its adapter where it has one.
fn projection(
    decoder: &Decoder,
    tensors: &dyn Tensors,
    members: &[Adapters],
    site: Site,
) -> Done<Projection> {
    let (outputs, inputs) = decoder.shape(site);
    let bias = decoder
        .has_bias(site.module)
        .then(|| read(tensors, &format!("{site}.bias"), outputs));
    Ok(Projection {
        outputs,
        inputs,
        weight: read(tensors, &format!("{site}.weight"), outputs * inputs)?,
        bias: bias.transpose()?,
        adapters: of(members, site),
    })
}

/// That every adapter has a place and its size.
pub fn check(decoder: &Decoder, adapters: &Adapters) -> Done {
    for (site, adapter) in adapters {
        if site.layer as usize >= decoder.layers.len() {
            return Err(Trouble(format!(
                "an adapter is for {site}, the model has {} layers",
                decoder.layers.len()
            )));
        }
        let (outputs, inputs) = decoder.shape(*site);
        let (rank, a, b) = (adapter.rank, adapter.a.len(), adapter.b.len());
        if rank == 0 || a != rank * inputs || b != outputs * rank {
            return Err(Trouble(format!(
                "the adapter of {site} does not fit: rank {rank}, {a} and {b} numbers for {inputs} inputs and {outputs} outputs"
            )));
        }
    }
    Ok(())
}

/// The adapter of a site, by member.
fn of(members: &[Adapters], site: Site) -> Vec<Option<Adapter>> {
    let own = |adapters: &Adapters| adapters.get(&site).cloned();
    members.iter().map(own).collect()
}

/// The sum of the ranks of a group over all members.
pub fn ranks<'a>(adapters: impl Iterator<Item = &'a Option<Adapter>>) -> usize {
    adapters.flatten().map(|adapter| adapter.rank).sum()
}

fn layer<B: Backend>(
    backend: &B,
    decoder: &Decoder,
    tensors: &dyn Tensors,
    members: &[Adapters],
    at: u32,
) -> Done<Layer<B>> {
    let gain = |name: &str, len: usize| {
        let name = format!("model.layers.{at}.{name}.weight");
        backend.put(Shape::statistics(1, len), &read(tensors, &name, len)?)
    };
    let group = |number: usize| {
        let sites = MODULES[number]
            .iter()
            .map(|&module| Site { layer: at, module });
        let projections = sites.map(|site| projection(decoder, tensors, members, site));
        let projections = projections.collect::<Done<Vec<_>>>()?;
        let ranks = ranks(projections.iter().flat_map(|p| &p.adapters));
        let site = at * GROUPS as u32 + number as u32;
        Ok((backend.linear(site, projections)?, ranks))
    };
    let [qkv, o, gate_up, down] = [group(0)?, group(1)?, group(2)?, group(3)?];
    let heads = decoder.layers[at as usize];
    let head_gains = match decoder.head_norm {
        false => None,
        true => Some([
            gain("self_attn.q_norm", heads.head_dim)?,
            gain("self_attn.k_norm", heads.head_dim)?,
        ]),
    };
    Ok(Layer {
        heads,
        ranks: [qkv.1, o.1, gate_up.1, down.1],
        groups: [qkv.0, o.0, gate_up.0, down.0],
        gain: gain("input_layernorm", decoder.hidden)?,
        mid_gain: gain("post_attention_layernorm", decoder.hidden)?,
        head_gains,
    })
}

/// A whole model.
pub fn engine<B: Backend>(
    backend: B,
    decoder: &Decoder,
    tensors: &dyn Tensors,
    members: &[Adapters],
) -> Done<Engine<B>> {
    for adapters in members {
        check(decoder, adapters)?;
    }
    let (vocabulary, hidden) = (decoder.vocabulary, decoder.hidden);
    let table = read(tensors, "model.embed_tokens.weight", vocabulary * hidden)?;
    let layers = 0..decoder.layers.len() as u32;
    let layers = layers.map(|at| layer(&backend, decoder, tensors, members, at));
    let layers = layers.collect::<Done<Vec<_>>>()?;
    let gain = read(tensors, "model.norm.weight", hidden)?;
    let gain = backend.put(Shape::statistics(1, hidden), &gain)?;
    let placed_table = backend.put(Shape::of(vocabulary, hidden), &table)?;
    let head = Projection {
        outputs: vocabulary,
        inputs: hidden,
        weight: match decoder.tied {
            true => table,
            false => read(tensors, "lm_head.weight", vocabulary * hidden)?,
        },
        bias: None,
        adapters: Vec::new(),
    };
    let head = backend.linear((layers.len() * GROUPS) as u32, vec![head])?;
    Ok(Engine {
        memory: Memory::new(&backend, layers.len())?,
        backend,
        decoder: decoder.clone(),
        table: placed_table,
        layers,
        gain,
        head,
        members: members.len(),
    })
}

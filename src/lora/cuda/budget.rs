//! What a run takes of a GPU's memory, reckoned from shapes before anything is loaded; how much of the way forward can be kept.
//!
//! It adds up the very shapes that the engine holds and that the operations here reserve, each rounded up as the arena does,
//! so a run that fits on paper fits on the card.

use super::{
    super::{
        backend::{Ask, Done, Level, Shape, Trouble},
        engine::shapes::{self, Low},
    },
    attention,
    border::Border,
    head,
    memory::stride,
    segments::partial_bytes,
};
use crate::training::{site::Site, words::Module};

/// Reservations are multiples of this many bytes.
const PIECE: u64 = 256;
/// Modules of each projection group, in the order of their columns.
const MODULES: [&[Module]; 4] = [
    &[Module::Q, Module::K, Module::V],
    &[Module::O],
    &[Module::Gate, Module::Up],
    &[Module::Down],
];
/// From what keeps most to what keeps least.
const LEVELS: [Level; 3] = [Level::Everything, Level::Selective, Level::Layer];

/// Bytes of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// What is kept of the way forward.
    pub level: Level,
    /// Frozen weights, borders included.
    pub weights: u64,
    /// Masters, moments, gradients of adapters.
    pub adapters: u64,
    /// What the way back needs of every layer.
    pub saved: u64,
    /// What is used by one layer after the other.
    pub work: u64,
    /// What is used by one operation after the other: [`Cuda::reserve`](super::Cuda::reserve).
    pub workspace: u64,
}

impl Budget {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.adapters + self.saved + self.work + self.workspace
    }
}

/// Bytes of one reservation.
fn piece(bytes: u64) -> u64 {
    bytes.max(1).next_multiple_of(PIECE)
}

/// Bytes of buffers of these shapes.
fn pieces(shapes: &[Shape]) -> u64 {
    shapes.iter().map(|shape| piece(stride(shape).1)).sum()
}

/// The border of each group of a layer.
fn borders(ask: &Ask<'_>, layer: u32) -> [Border; 4] {
    MODULES.map(|modules| {
        let sites = modules.iter().map(|&module| Site { layer, module });
        let shaped = sites.map(|site| (ask.decoder.shape(site), (ask.rank)(site)));
        let shaped: Vec<_> = shaped.collect();
        let ((_, inputs), _) = shaped[0];
        Border::new(inputs, shaped.iter().map(|((n, _), rank)| (*n, *rank)))
    })
}

/// What the groups of a layer need beside the rows they read and make.
fn low(borders: &[Border; 4]) -> Low {
    let sum = |border: &Border| border.places.iter().map(|place| place.rank).sum();
    Low {
        ranks: borders.each_ref().map(sum),
        tails: borders.each_ref().map(|border| border.ranks),
    }
}

/// Weights of a layer, and its gains.
fn layer_weights(ask: &Ask<'_>, borders: &[Border; 4]) -> u64 {
    let decoder = ask.decoder;
    let groups = borders.iter().zip(MODULES).map(|(border, modules)| {
        let biased = modules.iter().any(|&module| decoder.has_bias(module));
        let bias = if biased {
            piece(2 * border.outputs as u64)
        } else {
            0
        };
        piece(2 * border.len() as u64) + bias
    });
    let gain = piece(4 * decoder.hidden as u64);
    let head_gains = match (decoder.head_norm, decoder.layers.first()) {
        (true, Some(heads)) => 2 * piece(4 * heads.head_dim as u64),
        _ => 0,
    };
    groups.sum::<u64>() + 2 * gain + head_gains
}

/// What is trained of a group.
fn trained(border: &Border) -> u64 {
    if border.ranks == 0 {
        return 0;
    }
    let (mut numbers, mut padded, mut chunks, mut tensors) = (0, 0, 0, 0);
    for place in border.places.iter().filter(|place| place.rank > 0) {
        for len in [place.rank * border.inputs, place.rank * place.outputs] {
            numbers += len as u64;
            chunks += len.div_ceil(4096) as u64;
            tensors += 1;
        }
        padded += (place.padded * (border.inputs + place.outputs)) as u64;
    }
    let segments: usize = border.places.iter().map(|p| p.padded.div_ceil(16)).sum();
    let tables = piece(64 * tensors) + 2 * piece(8 * chunks) + piece(32 * segments as u64);
    piece(12 * numbers) + piece(4 * padded) + tables + 3 * PIECE
}

/// The largest that an operation needs for itself.
fn workspace(ask: &Ask<'_>, layers: &[[Border; 4]]) -> u64 {
    let heads = ask.decoder.layers.iter().map(|heads| heads.heads).max();
    let delta = 4 * (ask.tokens * heads.unwrap_or(0)) as u64;
    let trained = layers.iter().flatten().filter(|border| border.ranks > 0);
    let partials = trained.map(|border| {
        let (dh, gradients) = partial_bytes(border, ask.tokens);
        dh + gradients
    });
    let head = head::bytes(ask.supervised, ask.decoder.vocabulary);
    let largest = partials.chain([delta, head]).max().unwrap_or(0);
    piece(largest)
}

/// The batch, the tables of angles, and the numbers 0, 1, 2, ...
fn lists(ask: &Ask<'_>) -> u64 {
    let (m, s) = (ask.tokens as u64, ask.supervised as u64);
    // At most as many documents as tokens.
    let batch = piece(4 * (4 * m + m + 2 * m + 2 * s + 64));
    let positions = ask.decoder.context.min(ask.tokens).next_power_of_two() as u64;
    let angles = piece(4 * positions * ask.decoder.rope.frequencies.len() as u64);
    batch + 2 * angles + piece(4 * m.next_power_of_two())
}

/// What a run takes that keeps so much.
pub fn at(ask: &Ask<'_>, level: Level) -> Budget {
    let decoder = ask.decoder;
    let numbers = 0..decoder.layers.len() as u32;
    let borders: Vec<_> = numbers.map(|layer| borders(ask, layer)).collect();
    let lows: Vec<Low> = borders.iter().map(low).collect();
    let lowest = lows
        .iter()
        .position(|low| low.ranks.iter().any(|&rank| rank > 0));
    let m = ask.tokens;
    let widest = Low::widest(lows.iter().copied());
    let layer = |at: usize, level: Option<Level>| {
        // Others pass through the place of the last one, where nothing is kept.
        let low = if at + 1 == lows.len() {
            &widest
        } else {
            &lows[at]
        };
        let kept = shapes::kept(decoder, &decoder.layers[at], low, m, level);
        pieces(&kept) + pieces(&low.shapes(m, level))
    };
    let kept = lowest.map_or(0..0, |lowest| lowest..lows.len());
    // A buffer of nothing has a place, too.
    let nothing = pieces(&[Shape::of(0, 0); 18]);
    // Of layers that are passed, or made again, there is one place.
    let passing = match (level, lowest) {
        (Level::Layer, Some(_)) => layer(lows.len() - 1, Some(Level::Selective)),
        (_, Some(0)) => nothing,
        _ => lows.first().map_or(0, |_| layer(0, None)),
    };
    let below = (lows.len() - kept.len()) as u64 * nothing;
    let vocabulary = piece(2 * (decoder.vocabulary * decoder.hidden) as u64);
    let layers = borders.iter().map(|borders| layer_weights(ask, borders));
    let sizes = [m, ask.supervised];
    let work = decoder.layers.first().map_or(0, |heads| {
        let shapes = shapes::work(decoder, heads, &widest, sizes, lowest.is_some());
        // Two more are empty in training.
        pieces(&shapes) + 2 * PIECE
    });
    Budget {
        level,
        weights: layers.sum::<u64>() + 2 * vocabulary + piece(4 * decoder.hidden as u64),
        adapters: borders.iter().flatten().map(trained).sum(),
        saved: kept.map(|at| layer(at, Some(level))).sum::<u64>() + below + passing,
        work: work + lists(ask),
        workspace: workspace(ask, &borders),
    }
}

/// What keeps most of what fits into `room` bytes.
///
/// # Errors
/// Nothing does: how much is needed for what, and how many tokens would fit. Heads of a width for which there are no kernels.
pub fn choose(ask: &Ask<'_>, room: u64) -> Done<Budget> {
    ask.decoder.layers.iter().try_for_each(attention::check)?;
    let mut levels = LEVELS.into_iter().map(|level| at(ask, level));
    if let Some(fits) = levels.find(|budget| budget.total() <= room) {
        return Ok(fits);
    }
    let least = at(ask, Level::Layer);
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let most = most_tokens(ask, room);
    Err(Trouble(format!(
        "a microbatch of {} tokens needs {} even when every layer is computed twice, the GPU has {}: {} weights, {} adapters, {} \
         activations; {}",
        ask.tokens,
        gigabytes(least.total()),
        gigabytes(room),
        gigabytes(least.weights),
        gigabytes(least.adapters),
        gigabytes(least.saved + least.work + least.workspace),
        match most {
            0 => "no batch fits: take a smaller model or a larger GPU".into(),
            most => format!("at most {most} tokens fit"),
        }
    )))
}

/// The most tokens of a microbatch that fit into `room` bytes with the same share of them supervised, however little is kept.
pub fn most_tokens(ask: &Ask<'_>, room: u64) -> usize {
    let fits = |tokens: usize| {
        let supervised = (tokens * ask.supervised).div_ceil(ask.tokens.max(1));
        let smaller = Ask {
            tokens,
            supervised,
            ..*ask
        };
        at(&smaller, Level::Layer).total() <= room
    };
    let (mut fit, mut not) = (0, ask.tokens + 1);
    while not - fit > 1 {
        let middle = fit.midpoint(not);
        match fits(middle) {
            true => fit = middle,
            false => not = middle,
        }
    }
    fit
}

#[cfg(test)]
mod tests;

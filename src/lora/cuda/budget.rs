//! What a run takes of a GPU's memory, reckoned from shapes before anything is loaded; how much of the way forward can be kept.
//!
//! It adds up the very shapes that the engine holds and that the operations here reserve, each rounded up as the arena does,
//! so a run that fits on paper fits on the card.

pub mod looking;

use super::{
    super::{
        backend::{Ask, Done, Level, Shape, Trouble},
        engine::{
            MODULES,
            shapes::{self, Low},
        },
    },
    attention,
    border::{Border, Part},
    head,
    memory::stride,
    optimiser::table_bytes,
    segments::{Segments, partial_bytes},
};
use crate::training::site::Site;

/// Reservations are multiples of this many bytes.
const PIECE: u64 = 256;
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
    /// Of it, what is kept of one token in one layer.
    pub kept: u64,
    /// What is used by one layer after the other.
    pub work: u64,
    /// What is used by one operation after the other: [`Cuda::reserve`](super::Cuda::reserve).
    pub workspace: u64,
    /// Of a pack: a group that is there twice, while one member's adapters are compared.
    pub again: u64,
}

impl Budget {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.adapters + self.saved + self.work + self.workspace + self.again
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
        let (shapes, ranks): (Vec<_>, Vec<_>) = sites
            .map(|site| (ask.decoder.shape(site), (ask.ranks)(site)))
            .unzip();
        let members = 0..ranks.iter().map(Vec::len).max().unwrap_or(0);
        let of = |member: usize| -> Vec<usize> {
            let each = ranks.iter().map(|ranks| ranks.get(member));
            each.map(|rank| rank.copied().unwrap_or(0)).collect()
        };
        let widths = shapes.iter().map(|(outputs, _)| *outputs).collect();
        Border::new(shapes[0].1, widths, &members.map(of).collect::<Vec<_>>())
    })
}

/// What the groups of a layer need beside the rows they read and make.
fn low(borders: &[Border; 4]) -> Low {
    let sum = |border: &Border| {
        let places = border.members.iter().flat_map(|part| &part.places);
        places.map(|place| place.rank).sum()
    };
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

/// How long each A and B of a member's part of a group is.
fn lengths(inputs: usize, part: &Part) -> impl Iterator<Item = usize> {
    let places = part.places.iter().filter(|place| place.rank > 0);
    places.flat_map(move |place| [place.rank * inputs, place.rank * place.outputs])
}

/// What a member trains of a group.
fn trained(inputs: usize, part: &Part) -> u64 {
    if part.ranks == 0 {
        return 0;
    }
    let numbers: usize = lengths(inputs, part).sum();
    let gradients = part.ranks * inputs + part.b_len();
    let segments = 32 * Segments::new(part).table.len();
    piece(12 * numbers as u64) + piece(4 * gradients as u64) + piece(segments as u64)
}

/// What is trained of a model: each member's part of each group, and the table that the optimiser finds it by. Another table, of
/// one group, is there while that is equipped.
fn adapters(layers: &[[Border; 4]]) -> u64 {
    let borders = || layers.iter().flatten();
    let of = |border: &Border, member: usize| {
        let part = border.members.get(member);
        part.map_or(Vec::new(), |part| lengths(border.inputs, part).collect())
    };
    let numbers = borders().flat_map(|border| {
        let each = border.members.iter();
        each.map(|part| trained(border.inputs, part))
    });
    let members = 0..borders().map(|b| b.members.len()).max().unwrap_or(0);
    let table = |lengths: Vec<usize>| match lengths.len() {
        0 => 0,
        _ => piece(table_bytes(lengths.into_iter())),
    };
    let tables = members.map(|member| {
        let whole = table(borders().flat_map(|border| of(border, member)).collect());
        let one = borders().map(|border| table(of(border, member)));
        (whole, one.max().unwrap_or(0))
    });
    let tables: Vec<_> = tables.collect();
    let passing = tables.iter().map(|(_, one)| *one).max().unwrap_or(0);
    numbers.sum::<u64>() + tables.iter().map(|(whole, _)| whole).sum::<u64>() + passing
}

/// The largest that an operation needs for itself.
fn workspace(ask: &Ask<'_>, layers: &[[Border; 4]]) -> u64 {
    let heads = ask.decoder.layers.iter().map(|heads| heads.heads).max();
    let delta = 4 * (ask.tokens * heads.unwrap_or(0)) as u64;
    // A member may have all rows of a batch.
    let partials = layers.iter().flatten().flat_map(|border| {
        let trained = border.members.iter().filter(|part| part.ranks > 0);
        trained.map(|part| {
            let (dh, gradients) = partial_bytes(border.inputs, part, ask.tokens);
            dh + gradients
        })
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
        adapters: adapters(&borders),
        saved: kept.map(|at| layer(at, Some(level))).sum::<u64>() + below + passing,
        kept: lowest.map_or(0, |at| layer(at, Some(level)) / m.max(1) as u64),
        work: work + lists(ask),
        workspace: workspace(ask, &borders),
        again: again(&borders),
    }
}

/// A group of a pack that is given one member's adapters, whose border is narrower: it is there twice for a moment.
fn again(layers: &[[Border; 4]]) -> u64 {
    let several = |border: &&Border| {
        let trained = border.members.iter().filter(|part| part.ranks > 0);
        trained.count() > 1
    };
    let packs = layers.iter().flatten().filter(several);
    packs
        .map(|border| piece(2 * border.len() as u64))
        .max()
        .unwrap_or(0)
}

/// What keeps most of what fits into `room` bytes, where so many fine-tunes share the GPU.
///
/// # Errors
/// Nothing does: how much is needed for what, how many tokens would fit, and what to do. Heads of a width for which there are
/// no kernels.
pub fn choose(ask: &Ask<'_>, room: u64, side_by_side: u32) -> Done<Budget> {
    ask.decoder.layers.iter().try_for_each(attention::check)?;
    let mut levels = LEVELS.into_iter().map(|level| at(ask, level));
    match levels.find(|budget| budget.total() <= room) {
        Some(fits) => Ok(fits),
        None => Err(Trouble(refusal(ask, room, side_by_side))),
    }
}

/// Why nothing fits.
fn refusal(ask: &Ask<'_>, room: u64, side_by_side: u32) -> String {
    let least = at(ask, Level::Layer);
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let (has, fewer) = match side_by_side {
        0 | 1 => ("the GPU has".into(), ""),
        many => (
            format!("each of {many} fine-tunes side by side has"),
            ", or fewer at once (limits.max_training_jobs)",
        ),
    };
    format!(
        "a microbatch of {} tokens needs {} even when every layer is computed twice, {has} {}: {} weights, {} adapters, {} \
         activations; {}{fewer}",
        ask.tokens,
        gigabytes(least.total()),
        gigabytes(room),
        gigabytes(least.weights),
        gigabytes(least.adapters),
        gigabytes(least.saved + least.work + least.workspace + least.again),
        match most_tokens(ask, room) {
            0 => "no batch fits: take a smaller model or a larger GPU".into(),
            most => format!(
                "at most {most} tokens fit: take a smaller per_device_train_batch_size or max_seq_length"
            ),
        }
    )
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

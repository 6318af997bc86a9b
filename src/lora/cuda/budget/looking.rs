//! What looking takes of a GPU's memory: losses of batches, and answers that are decoded side by side with a cache for each;
//! how many answers fit. Nothing is kept for a way back.

use super::{
    super::super::{
        backend::{Ask, Done, Kind, Level, Shape, Trouble},
        engine::shapes,
    },
    Low, PIECE, adapters, attention, borders, head, layer_weights, low, piece, pieces,
};

/// Answers that are decoded side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answers {
    /// How many at most.
    pub most: usize,
    /// Tokens of the longest prompt.
    pub longest: usize,
    /// Tokens of the longest prompt with its answer.
    pub capacity: usize,
}

/// Bytes of batches of `ask.tokens`, of which `ask.supervised` are looked at, and of `answers.most` answers; all buffers grow
/// to what the larger of both needs, and stay so.
pub fn looking(ask: &Ask<'_>, answers: Answers) -> u64 {
    let decoder = ask.decoder;
    let numbers = 0..decoder.layers.len() as u32;
    let borders: Vec<_> = numbers.map(|layer| borders(ask, layer)).collect();
    let widest = Low::widest(borders.iter().map(low));
    let Some(heads) = decoder.layers.first() else {
        return 0;
    };
    let (m, s) = (
        ask.tokens.max(answers.most * answers.longest),
        ask.supervised.max(answers.most),
    );
    let weights: u64 = borders.iter().map(|all| layer_weights(ask, all)).sum();
    let vocabulary = piece(2 * (decoder.vocabulary * decoder.hidden) as u64);
    let frozen = weights + 2 * vocabulary + piece(4 * decoder.hidden as u64);
    // A group that is given other adapters is there twice for a moment.
    let again = borders
        .iter()
        .flatten()
        .map(|border| piece(2 * border.len() as u64));
    let trained = adapters(&borders);
    let passing = pieces(&shapes::kept(decoder, heads, &widest, m, None::<Level>))
        + pieces(&widest.shapes(m, None));
    // Places of what is not kept.
    let nothing = (decoder.layers.len() * 18) as u64 * PIECE;
    let logits = Shape {
        kind: Kind::Logit,
        ..Shape::of(answers.most, decoder.vocabulary)
    };
    let work =
        pieces(&shapes::work(decoder, heads, &widest, [m, s], false)) + pieces(&[logits]) + PIECE;
    let cache = |keys: usize| pieces(&[Shape::of(answers.most * answers.capacity, 2 * keys)]);
    let caches: u64 = decoder.layers.iter().map(|heads| cache(heads.keys())).sum();
    let workspace = piece(head::bytes(ask.supervised, decoder.vocabulary).max(8 * s as u64 + 16));
    frozen
        + again.max().unwrap_or(0)
        + trained
        + passing
        + nothing
        + work
        + caches
        + workspace
        + lists(ask, [m, s], answers)
}

/// A batch, that of the next tokens, the tables of angles, and the numbers 0, 1, 2, ...
fn lists(ask: &Ask<'_>, [m, s]: [usize; 2], answers: Answers) -> u64 {
    let batch = |m: usize, s: usize| piece(4 * (7 * m + 2 * s + 64) as u64);
    let positions = ask.decoder.context.min(m.max(answers.capacity));
    let angles = positions.next_power_of_two() * ask.decoder.rope.frequencies.len();
    let counting = piece(4 * m.next_power_of_two() as u64);
    batch(m, s) + batch(answers.most, answers.most) + 2 * piece(4 * angles as u64) + counting
}

/// How many answers, `answers.most` at most, are decoded side by side in `room` bytes; 0 only where none is asked for.
///
/// # Errors
/// Not one of them fits, or the batches do not: what is needed, and what to do.
pub fn sequences(ask: &Ask<'_>, answers: Answers, room: u64) -> Done<usize> {
    ask.decoder.layers.iter().try_for_each(attention::check)?;
    let of = |most: usize| looking(ask, Answers { most, ..answers });
    let least = answers.most.min(1);
    if let Some(fits) = (least..=answers.most).rev().find(|&most| of(most) <= room) {
        return Ok(fits);
    }
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    Err(Trouble(format!(
        "batches of {} tokens and {least} answer of up to {} at a time need {}, the GPU has {}: take a smaller max_seq_length or \
         max_new_tokens, or a larger GPU",
        ask.tokens,
        answers.capacity,
        gigabytes(of(least)),
        gigabytes(room)
    )))
}

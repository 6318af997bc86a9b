//! Rotation and attention of whole documents, forward and backward, and of one token after a cache.

use super::{
    super::backend::{Done, Heads, Rope, Trouble},
    Cuda,
    device::{Address, Arg, Device, Kernel, Launch},
    launch::{grid, int, row},
    memory::{Buffer, Piece},
    place::Placed,
};

/// The cosines and sines of a model's positions, [positions, head_dim / 2] each.
pub struct Angles<D: Device> {
    rope: Rope,
    positions: usize,
    cosine: Piece<D>,
    sine: Piece<D>,
}

/// Entry points that exist for each width of a head, with the dynamic shared memory of each.
#[derive(Clone, Copy)]
struct Wide {
    attend: (Kernel, u32),
    /// Rows of `delta` that a block makes.
    delta: (Kernel, usize),
    keys: (Kernel, u32),
    queries: (Kernel, u32),
    cached: (Kernel, u32),
}

const WIDE_64: Wide = Wide {
    attend: (Kernel("attend_64"), 55_296),
    delta: (Kernel("attend_delta_64"), 32),
    keys: (Kernel("attend_back_keys_64"), 37_888),
    queries: (Kernel("attend_back_queries_64"), 36_864),
    cached: (Kernel("attend_cached_64"), 8_448),
};

const WIDE_128: Wide = Wide {
    attend: (Kernel("attend_128"), 69_632),
    delta: (Kernel("attend_delta_128"), 16),
    keys: (Kernel("attend_back_keys_128"), 70_656),
    queries: (Kernel("attend_back_queries_128"), 69_632),
    cached: (Kernel("attend_cached_128"), 16_640),
};

/// The entry points for heads of this width.
fn wide(heads: &Heads) -> Done<Wide> {
    match heads.head_dim {
        64 => Ok(WIDE_64),
        128 => Ok(WIDE_128),
        other => Err(Trouble(format!(
            "heads of {other} columns: the cuda backend has attention for 64 and 128"
        ))),
    }
}

/// That there are kernels for a model's heads.
///
/// # Errors
/// There are none for heads of this width.
pub fn check(heads: &Heads) -> Done {
    wide(heads).map(drop)
}

/// A window as kernels take it: 0 for none.
fn window(heads: &Heads) -> Arg {
    // A window as wide as a kernel can count is none.
    let window = heads.window.unwrap_or(0).min(i32::MAX as usize);
    int(window)
}

/// The numbers of a table of angles, rounded as in the models' own code.
fn angles(rope: &Rope, positions: usize) -> (Vec<f32>, Vec<f32>) {
    let factor = f64::from(rope.attention_factor);
    let all = (0..positions).flat_map(|position| {
        let angle = move |f: &f32| f64::from(position as f32 * f).sin_cos();
        rope.frequencies.iter().map(angle)
    });
    all.map(|(sin, cos)| ((cos * factor) as f32, (sin * factor) as f32))
        .unzip()
}

impl<D: Device> Cuda<D> {
    /// Rotates queries and keys in place.
    pub(super) fn rotate(
        &self,
        heads: &Heads,
        rope: &Rope,
        batch: &Placed<D>,
        m: usize,
        back: bool,
        qkv: &Buffer<D>,
    ) -> Done {
        qkv.check(m, "tokens")?;
        let mut held = self.angles.borrow_mut();
        let good = |a: &Angles<D>| a.positions >= batch.positions_end && a.rope == *rope;
        if !held.as_ref().is_some_and(good) {
            let positions = batch.positions_end.next_power_of_two();
            let (cosine, sine) = angles(rope, positions);
            *held = None;
            *held = Some(Angles {
                rope: rope.clone(),
                positions,
                cosine: Piece::of_f32(&self.device, &cosine)?,
                sine: Piece::of_f32(&self.device, &sine)?,
            });
        }
        let Some(angles) = held.as_ref() else {
            return Ok(());
        };
        let args = [
            qkv.at().into(),
            angles.cosine.at().into(),
            angles.sine.at().into(),
            batch.positions.into(),
            int(m),
            int(heads.heads + heads.kv_heads),
            int(heads.head_dim),
            int(qkv.ld()),
            int(usize::from(back)),
        ];
        self.device.launch(Kernel("rope"), &row(m, 128, 0), &args)
    }

    /// Attention within documents.
    pub(super) fn look(
        &self,
        heads: &Heads,
        batch: &Placed<D>,
        qkv: &Buffer<D>,
        lse: &Buffer<D>,
        out: &Buffer<D>,
    ) -> Done {
        for buffer in [qkv, lse, out] {
            buffer.check(batch.tokens, "tokens")?;
        }
        let (kernel, shared) = wide(heads)?.attend;
        let args = [
            qkv.at().into(),
            batch.starts.into(),
            batch.tiles.into(),
            out.at().into(),
            lse.at().into(),
            int(qkv.ld()),
            int(out.ld()),
            int(heads.heads),
            int(heads.kv_heads),
            window(heads),
            heads.scale.into(),
        ];
        let launch = row(batch.tile_count * heads.heads, 128, shared);
        self.device.launch(kernel, &launch, &args)
    }

    /// Its way back.
    #[allow(clippy::too_many_arguments, reason = "shapes are arguments")]
    pub(super) fn look_back(
        &self,
        heads: &Heads,
        batch: &Placed<D>,
        qkv: &Buffer<D>,
        lse: &Buffer<D>,
        out: &Buffer<D>,
        dout: &Buffer<D>,
        dqkv: &Buffer<D>,
    ) -> Done {
        for buffer in [qkv, lse, out, dout, dqkv] {
            buffer.check(batch.tokens, "tokens")?;
        }
        let (m, wide) = (batch.tokens, wide(heads)?);
        let pairs = m * heads.heads;
        let delta = self.workspace.hold(&self.device, 4 * pairs as u64)?;
        let args = [
            out.at().into(),
            dout.at().into(),
            delta.into(),
            int(m),
            int(heads.heads),
            int(out.ld()),
            int(dout.ld()),
        ];
        let (kernel, rows) = wide.delta;
        self.device
            .launch(kernel, &row(pairs.div_ceil(rows), 256, 0), &args)?;
        let args = [
            qkv.at().into(),
            dout.at().into(),
            lse.at().into(),
            delta.into(),
            batch.starts.into(),
            batch.tiles.into(),
            dqkv.at().into(),
            int(heads.heads),
            int(heads.kv_heads),
            int(qkv.ld()),
            int(dout.ld()),
            int(dqkv.ld()),
            window(heads),
            heads.scale.into(),
        ];
        for ((kernel, shared), count) in [(wide.keys, heads.kv_heads), (wide.queries, heads.heads)]
        {
            let launch = grid(batch.tile_count, count, 256, shared);
            self.device.launch(kernel, &launch, &args)?;
        }
        Ok(())
    }

    /// One new token of each sequence, after those in a cache.
    pub(super) fn look_cached(
        &self,
        heads: &Heads,
        qkv: &Buffer<D>,
        lengths: &[usize],
        capacity: usize,
        cache: &Buffer<D>,
        out: &Buffer<D>,
    ) -> Done {
        fits(lengths.iter().map(|length| length + 1), capacity)?;
        cache.check(lengths.len() * capacity, "tokens")?;
        let (kernel, shared) = wide(heads)?.cached;
        let bytes: Vec<u8> = lengths
            .iter()
            .flat_map(|&length| (length as u32).to_le_bytes())
            .collect();
        let at: Address = self.workspace.hold(&self.device, bytes.len() as u64)?;
        self.device.upload(&bytes, at)?;
        let args = [
            qkv.at().into(),
            at.into(),
            cache.at().into(),
            out.at().into(),
            int(qkv.ld()),
            int(out.ld()),
            int(heads.heads),
            int(heads.kv_heads),
            int(capacity),
            window(heads),
            heads.scale.into(),
        ];
        let shares = (heads.heads / heads.kv_heads).div_ceil(4);
        let launch: Launch = row(lengths.len() * heads.kv_heads * shares, 256, shared);
        self.device.launch(kernel, &launch, &args)
    }

    /// Keys and values of whole documents into a cache.
    pub(super) fn keep(
        &self,
        heads: &Heads,
        batch: &Placed<D>,
        qkv: &Buffer<D>,
        capacity: usize,
        cache: &Buffer<D>,
    ) -> Done {
        fits(batch.lengths.iter().copied(), capacity)?;
        cache.check(batch.lengths.len() * capacity, "tokens")?;
        let args = [
            qkv.at().into(),
            batch.starts.into(),
            cache.at().into(),
            int(qkv.ld()),
            int(heads.queries()),
            int(heads.keys()),
            int(capacity),
        ];
        let launch = row(batch.lengths.len() * 16, 256, 0);
        self.device.launch(Kernel("fill_cache"), &launch, &args)
    }
}

/// That no sequence is longer than a cache has room for.
fn fits(lengths: impl Iterator<Item = usize>, capacity: usize) -> Done {
    match lengths.max().filter(|&longest| longest > capacity) {
        None => Ok(()),
        Some(longest) => Err(Trouble(format!(
            "a sequence of {longest} tokens does not fit into a cache of {capacity}"
        ))),
    }
}

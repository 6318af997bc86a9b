//! The loss head: logits of a few thousand rows at a time, turned into their own gradient where they lie.

use super::{
    super::{
        backend::{Done, Trouble},
        engine::shapes::HEAD_ROWS,
    },
    Cuda,
    device::{Address, Device, Gemm, Kernel, Matrix},
    launch::{int, row},
    linear::Linear,
    memory::{Buffer, LANE, bytes_of_f32},
    place::Placed,
};

/// Rows whose logits are made at a time.
pub const CHUNK: usize = 2048;

/// Bytes of the logits and the weights of `s` supervised rows.
pub fn bytes(s: usize, vocabulary: usize) -> u64 {
    let ld = vocabulary.next_multiple_of(LANE) as u64;
    2 * s.next_multiple_of(HEAD_ROWS).min(CHUNK) as u64 * ld + weights(s)
}

/// Bytes of the weights of rows, up to the next that are aligned.
fn weights(s: usize) -> u64 {
    (4 * s as u64).next_multiple_of(256)
}

/// Rows whose logits are made at a time, first and how many, where parts of them end at `ends`.
fn chunks(ends: &[usize]) -> Vec<(usize, usize)> {
    let mut chunks = Vec::new();
    let mut begin = 0;
    for &end in ends {
        let parts = (begin..end).step_by(CHUNK);
        chunks.extend(parts.map(|from| (from, CHUNK.min(end - from))));
        begin = end;
    }
    chunks
}

impl<D: Device> Cuda<D> {
    /// Losses, and with weights the gradient of x.
    pub(super) fn lose(
        &self,
        head: &Linear<D>,
        batch: &Placed<D>,
        x: &Buffer<D>,
        losses: &Buffer<D>,
        gradient: Option<(&[f32], &Buffer<D>)>,
    ) -> Done {
        let (s, vocabulary) = (batch.supervised_count, head.border.outputs);
        for buffer in [x, losses].into_iter().chain(gradient.map(|(_, dx)| dx)) {
            buffer.check(s, "supervised rows")?;
        }
        let work = self.workspace.hold(&self.device, bytes(s, vocabulary))?;
        let logits = work.plus(weights(s));
        if let Some((weights, _)) = gradient {
            if weights.len() != s {
                let given = weights.len();
                return Err(Trouble(format!("{given} weights for {s} supervised rows")));
            }
            self.device.upload(&bytes_of_f32(weights), work)?;
        }
        // Each member's rows by themselves: what a product is shaped by does not depend on who else is there.
        for (from, rows) in chunks(&batch.supervised_ends) {
            // Rows that follow are computed with these where there is room: the products have few shapes, and what is made of
            // those rows here is made again, or read by nobody.
            let taken = rows.next_multiple_of(HEAD_ROWS).min(CHUNK);
            let room = x
                .shape()
                .rows
                .min(gradient.map_or(usize::MAX, |(_, dx)| dx.shape().rows));
            let taken = if from + taken <= room { taken } else { rows };
            self.logits(head, x, from, taken, logits)?;
            self.cross_entropy(
                head,
                batch,
                losses,
                gradient.map(|_| work),
                logits,
                [from, rows],
            )?;
            if let Some((_, dx)) = gradient {
                self.through(head, logits, dx, from, taken)?;
            }
        }
        Ok(())
    }

    /// Logits of some rows.
    fn logits(
        &self,
        head: &Linear<D>,
        x: &Buffer<D>,
        from: usize,
        rows: usize,
        to: Address,
    ) -> Done {
        let border = &head.border;
        let (vocabulary, h) = (border.outputs, border.inputs);
        let a = Matrix::plain(x.at().bf16((from * x.ld()) as u64), x.ld());
        let b = Matrix::transposed(head.weight.at(), border.ld());
        let ld = vocabulary.next_multiple_of(LANE);
        self.device.gemm(&Gemm {
            bias: head.bias.as_ref().map(|bias| bias.at()),
            ..Gemm::new([rows, vocabulary, h], a, b, to, ld)
        })
    }

    /// The losses of some rows; where they are weighed, logits become their gradient.
    fn cross_entropy(
        &self,
        head: &Linear<D>,
        batch: &Placed<D>,
        losses: &Buffer<D>,
        weights: Option<Address>,
        logits: Address,
        [from, rows]: [usize; 2],
    ) -> Done {
        let vocabulary = head.border.outputs;
        let row_from = |at: Address| at.f32(from as u64);
        let mut args = vec![logits.into(), row_from(batch.targets).into()];
        let kernel = match weights {
            None => "cross_entropy",
            Some(weights) => {
                args.push(row_from(weights).into());
                "cross_entropy_gradient"
            }
        };
        args.extend([
            row_from(losses.at()).into(),
            int(rows),
            int(vocabulary),
            int(vocabulary.next_multiple_of(LANE)),
        ]);
        self.device
            .launch(Kernel(kernel), &row(rows, 512, 128), &args)
    }

    /// dx = d W of some rows.
    fn through(
        &self,
        head: &Linear<D>,
        d: Address,
        dx: &Buffer<D>,
        from: usize,
        rows: usize,
    ) -> Done {
        let border = &head.border;
        let (vocabulary, h) = (border.outputs, border.inputs);
        let a = Matrix::plain(d, vocabulary.next_multiple_of(LANE));
        let b = Matrix::plain(head.weight.at(), border.ld());
        let to = dx.at().bf16((from * dx.ld()) as u64);
        let gemm = Gemm::new([rows, h, vocabulary], a, b, to, dx.ld());
        self.device.gemm(&gemm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_chunk_has_rows_of_two_members() {
        assert_eq!(chunks(&[0]), []);
        let expected = [(0, CHUNK), (CHUNK, 3), (CHUNK + 3, 5), (CHUNK + 8, 1)];
        assert_eq!(
            chunks(&[CHUNK + 3, CHUNK + 3, CHUNK + 8, CHUNK + 9]),
            expected
        );
    }
}

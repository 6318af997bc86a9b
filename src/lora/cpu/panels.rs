//! The right side of a product, packed: panels of [`WIDTH`] columns, each one line after the other down the depth.
//!
//! Frozen weights are packed once, as the way forward reads them; the way back turns them, a block of the depth at a time.

use super::kernel::{Line, WIDTH};

/// A packed matrix [depth, columns].
pub(super) struct Panels {
    depth: usize,
    columns: usize,
    lines: Vec<Line>,
}

/// A part of the depth of a packed matrix, in all its panels.
#[derive(Clone, Copy)]
pub(super) struct Block<'a> {
    lines: &'a [Line],
    /// Lines from one panel to the next.
    stride: usize,
    /// Lines of a panel that count.
    pub depth: usize,
    /// Columns.
    pub columns: usize,
}

impl<'a> Block<'a> {
    /// The lines of one panel.
    pub(super) fn panel(&self, number: usize) -> &'a [Line] {
        &self.lines[number * self.stride..][..self.depth]
    }

    /// How many panels there are.
    pub(super) fn panels(&self) -> usize {
        self.columns.div_ceil(WIDTH)
    }

    /// Up to `width` columns from `first` on, which is a multiple of [`WIDTH`].
    pub(super) fn columns_from(&self, first: usize, width: usize) -> Self {
        let columns = width.min(self.columns - first);
        let lines = &self.lines[first / WIDTH * self.stride..];
        Self {
            lines,
            columns,
            ..*self
        }
    }

    /// The same panels, of part of the depth.
    pub(super) fn part(&self, from: usize, depth: usize) -> Self {
        let lines = &self.lines[from.min(self.lines.len())..];
        Self {
            lines,
            depth,
            ..*self
        }
    }
}

impl Panels {
    /// Zeros.
    pub(super) fn new(depth: usize, columns: usize) -> Self {
        let lines = vec![[0.0; WIDTH]; depth * columns.div_ceil(WIDTH)];
        Self {
            depth,
            columns,
            lines,
        }
    }

    /// Depth: rows of the matrix.
    pub(super) fn depth(&self) -> usize {
        self.depth
    }

    /// Columns of the matrix.
    pub(super) fn columns(&self) -> usize {
        self.columns
    }

    /// All of it.
    pub(super) fn block(&self) -> Block<'_> {
        Block {
            lines: &self.lines,
            stride: self.depth,
            depth: self.depth,
            columns: self.columns,
        }
    }

    /// Each panel's lines.
    pub(super) fn panels_mut(&mut self) -> impl Iterator<Item = &mut [Line]> {
        self.lines.chunks_mut(self.depth.max(1))
    }

    /// Sets columns `first..` of the matrix to the rows of `rows` [.., depth], which are `stride` apart, times `scale`.
    pub(super) fn put_columns(&mut self, first: usize, rows: &[f32], stride: usize, scale: f32) {
        let depth = self.depth;
        if depth == 0 {
            return;
        }
        for (i, row) in rows.chunks(stride).enumerate() {
            let (panel, lane) = ((first + i) / WIDTH, (first + i) % WIDTH);
            let lines = &mut self.lines[panel * depth..][..depth];
            for (line, &number) in lines.iter_mut().zip(row) {
                line[lane] = number * scale;
            }
        }
    }

    /// Sets rows `first..` of the matrix to those of `rows` [.., columns], whose rows are `stride` apart, times `scale`.
    pub(super) fn put_rows(&mut self, first: usize, rows: &[f32], stride: usize, scale: f32) {
        let (depth, columns) = (self.depth, self.columns);
        for (i, row) in rows.chunks(stride).enumerate() {
            for (panel, from) in row[..columns].chunks(WIDTH).enumerate() {
                let line = &mut self.lines[panel * depth + first + i];
                for (to, &number) in line.iter_mut().zip(from) {
                    *to = number * scale;
                }
            }
        }
    }
}

/// Panel `number` of the transpose of a packed matrix [depth, columns]: columns of the panel are its depth
/// `number * WIDTH..`, lines are its columns `from..`, which is a multiple of [`WIDTH`].
#[inline(always)]
pub(super) fn turn(source: Block<'_>, number: usize, from: usize, lines: &mut [Line]) {
    let width = WIDTH.min(source.depth - number * WIDTH);
    for (panel, lines) in lines.chunks_mut(WIDTH).enumerate() {
        let tile = &source.panel(from / WIDTH + panel)[number * WIDTH..][..width];
        if let (Ok(to), Ok(from)) = (
            <&mut [Line; WIDTH]>::try_from(&mut *lines),
            <&[Line; WIDTH]>::try_from(tile),
        ) {
            transpose(from, to);
            continue;
        }
        for (lane, line) in lines.iter_mut().enumerate() {
            *line = [0.0; WIDTH];
            for (to, from) in line.iter_mut().zip(tile) {
                *to = from[lane];
            }
        }
    }
}

#[inline(always)]
fn transpose(from: &[Line; WIDTH], to: &mut [Line; WIDTH]) {
    for (lane, line) in to.iter_mut().enumerate() {
        for (to, from) in line.iter_mut().zip(from) {
            *to = from[lane];
        }
    }
}

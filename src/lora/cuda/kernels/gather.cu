// Rows by number: embedding, supervised rows there and back, and the sum of two matrices.
//
//   embed         x[m]   = table[ids[m]]            table [V, width], x [rows, width]
//   gather_rows   out[s] = x[supervised[s]]         x [M, width], out [rows, width]
//   scatter_rows  dx[m]  = d[inverse[m]] or zeros   d [S, width], dx [rows, width]; inverse u32 [rows], 0xffffffff: no row of d
//   add_rows      acc[m] += x[m]                    x, acc [rows, width]
//
// Layout: bf16, row-major, each matrix with its leading dimension in elements; widths and leading dimensions are multiples of 8,
// pointers 16-byte aligned. Columns past `width` are neither read nor written. Numbers of rows (ids, supervised, inverse) must lie
// in their matrix: who places a batch checks them.
// Precision: the first three move bits. add_rows adds in f32 and rounds once to bf16.
// Grid [rows, slices], block 256, no shared memory: a block moves a row, or every slices-th part of it where rows are few or wide;
// the result is the same for any number of slices. A row's number is read once by a block; scatter reads an inverse index instead of
// writing zeros first, so each number of dx is written once and by one thread.
// Matches Plain::embed, gather, scatter and add. Tolerance: none; the first three bit for bit, add_rows too (one addition, and f32
// holds any sum of two bf16 numbers that lies less than 2^16 apart in size; else the smaller is under half a bf16 step of the sum).
#include "rows.cuh"

enum { THREADS = 256, NO_ROW = 0xffffffff };

// The first of this thread's columns, and how far apart they are.
DEVICE int first_column() { return (int)(blockIdx.y * THREADS + threadIdx.x) * 8; }
DEVICE int column_step() { return (int)(gridDim.y * THREADS) * 8; }

DEVICE void copy_row(const bf16* from, bf16* to, int width) {
#pragma unroll 1
  for (int column = first_column(); column < width; column += column_step()) write_eight(to + column, read_eight(from + column));
}

extern "C" __global__ void __launch_bounds__(THREADS)
    embed(const u32* ids, const bf16* table, bf16* x, int rows, int width, int ldtable, int ldx) {
  u32 row = blockIdx.x;
  if (row < (u32)rows) copy_row(row_of(table, ids[row], ldtable), row_of(x, row, ldx), width);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    gather_rows(const u32* supervised, const bf16* x, bf16* out, int rows, int width, int ldx, int ldout) {
  u32 row = blockIdx.x;
  if (row < (u32)rows) copy_row(row_of(x, supervised[row], ldx), row_of(out, row, ldout), width);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    scatter_rows(const u32* inverse, const bf16* d, bf16* dx, int rows, int width, int ldd, int lddx) {
  u32 row = blockIdx.x;
  if (row >= (u32)rows) return;
  u32 from = inverse[row];
  bf16* to = row_of(dx, row, lddx);
  if (from != NO_ROW) {
    copy_row(row_of(d, from, ldd), to, width);
  } else {
#pragma unroll 1
    for (int column = first_column(); column < width; column += column_step()) write_eight(to + column, make_uint4(0, 0, 0, 0));
  }
}

extern "C" __global__ void __launch_bounds__(THREADS)
    add_rows(const bf16* x, bf16* acc, int rows, int width, int ldx, int ldacc) {
  u32 row = blockIdx.x;
  if (row >= (u32)rows) return;
  const bf16* from = row_of(x, row, ldx);
  bf16* to = row_of(acc, row, ldacc);
#pragma unroll 1
  for (int column = first_column(); column < width; column += column_step()) {
    Eight sum = widen(read_eight(to + column)), added = widen(read_eight(from + column));
#pragma unroll
    for (int i = 0; i < 8; i++) sum.n[i] += added.n[i];
    write_eight(to + column, pack_eight(sum));
  }
}

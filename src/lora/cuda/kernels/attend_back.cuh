// Tiles of rows in shared memory and their products, as both directions of attention's backward pass need them.
//
// A warp owns 16 rows of a tile (keys in one kernel, queries in the other), kept as fragments in registers, and meets rows
// that stream through shared memory. With X the own rows and Y the streamed ones, X Y^T comes out in the layout of an
// accumulator; rounded to pairs of bf16 that is the layout of a left operand, so (X Y^T) Y needs no way through shared memory.
// Rows in shared memory are D + 8 numbers long, an odd number of 16-byte units: the 8 rows of a matrix of ldmatrix lie in
// different banks.
#pragma once
#include "machine.cuh"

enum {
  THREADS = 256,       // of a block: 8 warps
  ROWS = 128,          // own rows of a block: 16 of each warp
  STREAMED = 64,       // rows that a stage holds of each of the two streamed matrices
  STAGES = 2,          // one is computed on while the next arrives
  NO_DOCUMENT = -1,    // in the list of tiles: the entry is unused
};

// Where a block stands: its document is rows start <= row < end, its own rows begin at `first`, and a token attends to the
// `reach` tokens that end with itself.
struct Place {
  int first, start, end, reach;
};

// The same number in every lane, said so that the assembler may keep it in a register of the warp instead of 32.
DEVICE int uniform(int x) { return __shfl_sync(FULL, x, 0); }

// The place that entry `i` of `tiles` gives; false where it is unused.
DEVICE bool place_of(Place& at, const u32* starts, const u32* tiles, u32 i, int window) {
  int document = (int)tiles[2 * i];
  if (document == NO_DOCUMENT) return false;
  at.first = uniform((int)tiles[2 * i + 1]);
  at.start = uniform((int)starts[document]);
  at.end = uniform((int)starts[document + 1]);
  int length = at.end - at.start;
  at.reach = window > 0 && window < length ? window : length;
  return true;
}

// First of the warp's own rows, counted from the block's.
DEVICE int own_rows() { return uniform((int)threadIdx.x / 32) * 16; }

// Whether `query` attends to `key`.
DEVICE bool visible(const Place& at, int query, int key) {
  return (u32)(query - key) < (u32)at.reach && query < at.end;
}
// Whether any, and whether each, of 16 queries attends to any, each, of 16 keys.
DEVICE bool any_visible(const Place& at, int query, int key) {
  return query + 15 >= key && query < at.end && query - (key + 15) < at.reach;
}
DEVICE bool all_visible(const Place& at, int query, int key) {
  return query >= key + 15 && query + 15 < at.end && query + 15 - key < at.reach;
}
// The score of a key that is not attended to: 2^x of it is 0.
DEVICE float hidden() { return __int_as_float(0xff800000); }

// COUNT rows of D columns from `row` on into shared memory, in the background; zeros from `end` on.
template <int D, int COUNT>
DEVICE void fetch(bf16* to, const bf16* from, int row, int end, int ld) {
  enum { UNITS = D / 8, STEP = THREADS / UNITS };
  int unit = threadIdx.x % UNITS * 8, i = threadIdx.x / UNITS;
#pragma unroll
  for (int n = 0; n < COUNT; n += STEP) {
    int r = row + i + n;
    copy_async(to + (i + n) * (D + 8) + unit, from + (u64)min(r, end - 1) * ld + unit, r < end);
  }
}

// 16 rows in shared memory as left operands, one for each 16 columns.
template <int D>
DEVICE void fragments(u32 (&x)[D / 16][4], const bf16* rows) {
  int lane = threadIdx.x & 31;
#pragma unroll
  for (int k = 0; k < D / 16; k++) load_matrices(x[k], rows + (lane & 15) * (D + 8) + (lane >> 4) * 8 + k * 16);
}

// products [16 x 8] += x y^T, where y is 8 rows in shared memory.
template <int D>
DEVICE void add_products(float (&products)[4], const u32 (&x)[D / 16][4], const bf16* y) {
  int lane = threadIdx.x & 31;
#pragma unroll
  for (int k = 0; k < D / 16; k += 2) {
    u32 b[4];
    load_matrices(b, y + (lane & 7) * (D + 8) + (lane >> 3) * 8 + k * 16);
    multiply(products, x[k], b[0], b[1]);
    multiply(products, x[k + 1], b[2], b[3]);
  }
}

// sums [16 x D] += weights [16 x 16] y, where y is 16 rows in shared memory.
template <int D>
DEVICE void add_weighted(float (&sums)[D / 8][4], const u32 (&weights)[4], const bf16* y) {
  int lane = threadIdx.x & 31;
#pragma unroll
  for (int n = 0; n < D / 8; n += 2) {
    u32 b[4];
    load_matrices_transposed(b, y + (lane & 15) * (D + 8) + (lane >> 4) * 8 + n * 8);
    multiply(sums[n], weights, b[0], b[1]);
    multiply(sums[n + 1], weights, b[2], b[3]);
  }
}

// scale * sums, rounded to bf16, into rows `row` to row + 15 of `to`, none from `end` on; through 16 rows of shared memory
// that no other warp uses, so that whole units of 16 bytes are written.
template <int D>
DEVICE void write_rows(bf16* to, const float (&sums)[D / 8][4], float scale, bf16* room, int row, int end, int ld) {
  enum { UNITS = D / 8 };
  int lane = threadIdx.x & 31;
  bf16* mine = room + (lane >> 2) * (D + 8) + (lane & 3) * 2;
#pragma unroll
  for (int n = 0; n < D / 8; n++) {
    *(u32*)(mine + n * 8) = pack(scale * sums[n][0], scale * sums[n][1]);
    *(u32*)(mine + 8 * (D + 8) + n * 8) = pack(scale * sums[n][2], scale * sums[n][3]);
  }
  __syncwarp();
#pragma unroll
  for (int i = lane; i < 16 * UNITS; i += 32) {
    int r = i / UNITS, unit = i % UNITS * 8;
    if (row + r < end) *(uint4*)(to + (u64)(row + r) * ld + unit) = *(const uint4*)(room + r * (D + 8) + unit);
  }
}

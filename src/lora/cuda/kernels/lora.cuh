// What the kernels of the low-rank passes share: tiles in shared memory, their pipeline, dropout, and the segments of a group.
// Blocks have 256 threads. A tile's rows are padded by 8 numbers, so that eight rows of 16 bytes lie in eight different groups of
// four banks (the padded row is an odd number of 16 bytes) and neither ldmatrix nor a copy has a bank conflict.
#pragma once
#include "machine.cuh"
#include "philox.cuh"

#define DEVICE_MEMBER __device__ __forceinline__
enum { THREADS = 256, PAD = 8, CHUNK = 8 /* numbers of 16 bytes */ };

// The thread's i-th piece of 16 bytes of a tile COLUMNS wide: every thread copies, and drops, the same pieces.
template <int COLUMNS>
struct Piece {
  int row, column;
  DEVICE_MEMBER Piece(int i) {
    const int at = (int)threadIdx.x + i * THREADS;
    row = at / (COLUMNS / CHUNK), column = at % (COLUMNS / CHUNK) * CHUNK;
  }
};
// Pieces a thread.
template <int ROWS, int COLUMNS>
struct Pieces {
  enum { COUNT = (ROWS * COLUMNS / CHUNK + THREADS - 1) / THREADS };
};

// Copies in the background the first `rows` x `columns` numbers of `from` into a tile, zeros into what remains of `tile_rows` x
// `tile_columns`; the rest of the tile (ranks that nobody has) is left as it is. All counts of columns are multiples of 8.
template <int ROWS, int COLUMNS>
DEVICE void copy_tile(bf16* tile, const bf16* from, int ld, int rows, int columns, int tile_rows = ROWS, int tile_columns = COLUMNS) {
#pragma unroll
  for (int i = 0; i < Pieces<ROWS, COLUMNS>::COUNT; i++) {
    const Piece<COLUMNS> at(i);
    if (at.row >= tile_rows || at.column >= tile_columns) continue;
    const bool valid = at.row < rows && at.column < columns;
    copy_async(tile + at.row * (COLUMNS + PAD) + at.column, from + (valid ? (u64)at.row * ld + at.column : 0), valid);
  }
}

// The tokens whose pieces of a tile a thread has.
template <int ROWS, int COLUMNS>
struct Tokens {
  u32 example[Pieces<ROWS, COLUMNS>::COUNT], position[Pieces<ROWS, COLUMNS>::COUNT];
  DEVICE_MEMBER void read(const u32* examples, const u32* positions, int row0, int m) {
#pragma unroll
    for (int i = 0; i < Pieces<ROWS, COLUMNS>::COUNT; i++) {
      const int row = row0 + Piece<COLUMNS>(i).row;
      example[i] = row < m ? examples[row] : 0, position[i] = row < m ? positions[row] : 0;
    }
  }
};

// Two numbers by their factors, rounded to bf16.
DEVICE u32 drop_pair(u32 pair, float lower, float upper) { return pack(low(pair) * lower, high(pair) * upper); }

// Drops the pieces of a tile that this thread itself copied: after its own wait, before the barrier that shows them to all.
// What stays is multiplied by 1 / (1 - p) in f32 and rounded to bf16.
template <int ROWS, int COLUMNS>
DEVICE void drop_tile(bf16* tile, const Tokens<ROWS, COLUMNS>& tokens, const Mask& mask, int column0) {
#pragma unroll
  for (int i = 0; i < Pieces<ROWS, COLUMNS>::COUNT; i++) {
    const Piece<COLUMNS> at(i);
    uint4* piece = (uint4*)(tile + at.row * (COLUMNS + PAD) + at.column);
    uint4 x = *piece;
    const u32 q = (u32)(column0 + at.column) / 4;
    float f[4];
    mask_factors(mask, tokens.example[i], tokens.position[i], q, f);
    x.x = drop_pair(x.x, f[0], f[1]), x.y = drop_pair(x.y, f[2], f[3]);
    mask_factors(mask, tokens.example[i], tokens.position[i], q + 1, f);
    x.z = drop_pair(x.z, f[0], f[1]), x.w = drop_pair(x.w, f[2], f[3]);
    *piece = x;
  }
}

// Steps over tiles with STAGES buffers, STAGES - 1 of them on their way: `load` starts the copies of a step, `prepare` works on
// what this thread copied itself, `multiply` on what all copied.
template <int STAGES, class Load, class Prepare, class Multiply>
DEVICE void pipeline(int steps, Load load, Prepare prepare, Multiply multiply) {
#pragma unroll
  for (int step = 0; step < STAGES - 1; step++) {
    if (step < steps) load(step, step);
    copy_commit();
  }
  for (int step = 0; step < steps; step++) {
    const int next = step + STAGES - 1;
    if (next < steps) load(next % STAGES, next);
    copy_commit();  // an empty group at the end, so that the wait counts right
    copy_wait<STAGES - 1>();
    prepare(step % STAGES, step);
    __syncthreads();
    multiply(step % STAGES, step);
    __syncthreads();  // the next load overwrites this buffer
  }
}

// Where in a tile a lane finds its row of ldmatrix, for the four operands there are (k: the summed dimension; 16 x 16 numbers):
// of a stored [row][k];
template <int LD>
DEVICE const bf16* left(const bf16* tile) {
  const int lane = threadIdx.x & 31;
  return tile + (lane & 15) * LD + (lane >> 4) * 8;
}
// of a stored [k][row], with load_matrices_transposed;
template <int LD>
DEVICE const bf16* left_transposed(const bf16* tile) {
  const int lane = threadIdx.x & 31;
  return tile + ((lane & 7) + (lane >> 4) * 8) * LD + (lane >> 3 & 1) * 8;
}
// b of a stored [column][k], two blocks of eight columns: r[0], r[1] the first, r[2], r[3] the second;
template <int LD>
DEVICE const bf16* right(const bf16* tile) {
  return left_transposed<LD>(tile);
}
// b of a stored [k][column], the same two blocks, with load_matrices_transposed.
template <int LD>
DEVICE const bf16* right_transposed(const bf16* tile) {
  return left<LD>(tile);
}

// Columns of dY that belong to rank columns of the tail, and where their dB goes: eight ints of a table made by the host.
struct Segment {
  int column, columns, rank, ranks, offset, ld;
  DEVICE_MEMBER void read(const int* segments, int i) {
    const int* at = segments + 8 * i;
    column = at[0], columns = at[1], rank = at[2], ranks = at[3], offset = at[4], ld = at[5];
  }
};

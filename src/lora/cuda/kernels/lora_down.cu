// LoRA-down: h[i, j] = sum over c of drop(x)[i, c] A[j, c], into the tail columns of x's own buffer.
//
//   x         bf16 [m, ldx], k columns of it; k a multiple of 8
//   a         bf16 [ranks, lda]: rows of the border of W^; ranks a multiple of 16
//   h         bf16 [m, ldh]: column k of x's buffer; columns first .. first + ranks are the product, the others of 0 .. tail are
//             set to 0 (padding, other adapters), so that the GEMM over the whole tail adds exact zeros for them
//   examples, positions   u32 [m]: who a token is, for the mask; not read when p = 0
//   k0, k1, site, p, keep   dropout as philox.cuh has it; keep = 1 / (1 - p)
// Precision: where p > 0, x * keep is rounded to bf16 before the product (tensor cores take bf16); sums in f32, in ascending
// blocks of 16 columns whatever m, ranks and the number of the rank; one rounding to bf16 at the end. A row depends on no other.
// Contract: =. x is read while h is written: different columns of one buffer.
// Grid (ceil(m / 64), ceil(ranks / RANKS)), block 256, shared STAGES * (64 + RANKS) * 144 bytes: 73,728 of lora_down_64 (three
// tiles of 8 KiB on their way hide the latency of memory at one block a multiprocessor), 92,160 of lora_down_256. All ranks of a
// block share one read of x and one mask. Eight warps: four of 16 rows times two that take blocks of 16 ranks in turn.
// Matches: h of `Plain::forward`, x dropped and rounded as above.
// Tolerance: k sums of f32 (tensor cores may cut, not round) and one rounding to bf16: (k + 2) 2^-23 sum |x A| + 2^-8 |h|.
#include "lora.cuh"

template <int RANKS, int STAGES>
DEVICE void lora_down(const bf16* x, const bf16* a, bf16* h, const u32* examples, const u32* positions, int m, int k, int ranks,
                      int ldx, int lda, int ldh, int first, int tail, const Mask& mask) {
  enum { ROWS = 64, COLUMNS = 64, LD = COLUMNS + PAD, STAGE = (ROWS + RANKS) * LD, BLOCKS = RANKS / 32 };
  SHARED(shared);
  bf16* tiles = (bf16*)shared;
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, row0 = blockIdx.x * ROWS, rank0 = blockIdx.y * RANKS;
  const int rows = m - row0, mine = min(RANKS, ranks - rank0), rows_at = (warp & 3) * 16, half = warp >> 2;
  x += (u64)row0 * ldx, a += (u64)rank0 * lda, h += (u64)row0 * ldh;

  if (blockIdx.y == 0) {
    const uint4 zeros = {0, 0, 0, 0};
    const int row = threadIdx.x / 4;  // four threads a row
#pragma unroll 1
    for (int column = threadIdx.x % 4 * CHUNK; column < tail; column += 4 * CHUNK) {
      const bool other = column < first || column >= first + ranks;
      if (row < rows && other) *(uint4*)(h + (u64)row * ldh + column) = zeros;
    }
  }

  Tokens<ROWS, COLUMNS> tokens;
  if (mask.p > 0.0f) tokens.read(examples, positions, row0, m);
  float sums[BLOCKS][2][4] = {};
  auto load = [&](int stage, int step) {
    bf16* tile = tiles + stage * STAGE;
    const int column = step * COLUMNS;
    copy_tile<ROWS, COLUMNS>(tile, x + column, ldx, rows, k - column);
    copy_tile<RANKS, COLUMNS>(tile + ROWS * LD, a + column, lda, mine, k - column, mine);
  };
  auto prepare = [&](int stage, int step) {
    if (mask.p > 0.0f) drop_tile<ROWS, COLUMNS>(tiles + stage * STAGE, tokens, mask, step * COLUMNS);
  };
  auto product = [&](int stage, int step) {
    const bf16* rows_tile = tiles + stage * STAGE + rows_at * LD;
    const bf16* ranks_tile = tiles + stage * STAGE + ROWS * LD;
#pragma unroll
    for (int c = 0; c < COLUMNS; c += 16) {
      u32 left_part[4], right_part[4];
      load_matrices(left_part, left<LD>(rows_tile + c));
#pragma unroll
      for (int i = 0; i < BLOCKS; i++) {
        const int rank = (2 * i + half) * 16;
        if (rank >= mine) break;
        load_matrices(right_part, right<LD>(ranks_tile + rank * LD + c));
        multiply(sums[i][0], left_part, right_part[0], right_part[1]);
        multiply(sums[i][1], left_part, right_part[2], right_part[3]);
      }
    }
  };
  pipeline<STAGES>((k + COLUMNS - 1) / COLUMNS, load, prepare, product);

  const int row = rows_at + (lane >> 2), column = first + rank0 + (lane & 3) * 2;
#pragma unroll
  for (int i = 0; i < BLOCKS; i++) {
    const int rank = (2 * i + half) * 16;
    if (rank >= mine) break;
#pragma unroll
    for (int n = 0; n < 2; n++) {
      bf16* at = h + (u64)row * ldh + column + rank + n * 8;
      if (row < rows) *(u32*)at = pack(sums[i][n][0], sums[i][n][1]);
      if (row + 8 < rows) *(u32*)(at + (u64)8 * ldh) = pack(sums[i][n][2], sums[i][n][3]);
    }
  }
}

extern "C" __global__ void __launch_bounds__(THREADS)
lora_down_64(const bf16* x, const bf16* a, bf16* h, const u32* examples, const u32* positions, int m, int k, int ranks, int ldx,
             int lda, int ldh, int first, int tail, u32 k0, u32 k1, u32 site, float p, float keep) {
  lora_down<64, 4>(x, a, h, examples, positions, m, k, ranks, ldx, lda, ldh, first, tail, {k0, k1, site, p, keep});
}

extern "C" __global__ void __launch_bounds__(THREADS)
lora_down_256(const bf16* x, const bf16* a, bf16* h, const u32* examples, const u32* positions, int m, int k, int ranks, int ldx,
              int lda, int ldh, int first, int tail, u32 k0, u32 k1, u32 site, float p, float keep) {
  lora_down<256, 2>(x, a, h, examples, positions, m, k, ranks, ldx, lda, ldh, first, tail, {k0, k1, site, p, keep});
}

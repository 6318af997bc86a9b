// What adapters with dropout add to the gradient of x, before the base GEMM adds dY W to it (beta = 1):
// dX[i, c] = mask[i, c] * sum over j of dh[i, j] A[j, c], mask 0 or 1 / (1 - p), made again as lora_down had it. Where p = 0 the GEMM
// over N + R columns does it without this kernel.
//
//   dh        bf16 [m, lddh]: the tail of dY's buffer, `ranks` columns, a multiple of 16
//   a         bf16 [ranks, lda]: rows of the border of W^, k columns of it; k a multiple of 8
//   examples, positions   u32 [m]; not read when p = 0
//   dx        bf16 [m, lddx], k columns
//   k0, k1, site, p, keep   dropout as philox.cuh has it
// Precision: sums f32, times the factor in f32, one rounding to bf16 (the GEMM's result has a second). Contract: =.
// Grid (ceil(k / 128), ceil(m / 64)), block 256, shared 2 * (64 * 72 + 64 * 136) * 2 = 53,248 bytes: 64 ranks a step. Eight warps: four
// of 16 rows times two of 64 columns.
// Matches: the adapters' part of dx of `Plain::backward`, with dh and A rounded to bf16.
// Tolerance: (ranks + 1) 2^-23 mask sum |dh A| + 2^-8 |dx|.
#include "lora.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
lora_preload(const bf16* dh, const bf16* a, const u32* examples, const u32* positions, bf16* dx, int m, int k, int ranks, int lddh,
             int lda, int lddx, u32 k0, u32 k1, u32 site, float p, float keep) {
  enum { ROWS = 64, COLUMNS = 128, RANKS = 64, LDR = RANKS + PAD, LD = COLUMNS + PAD, STAGE = ROWS * LDR + RANKS * LD, OWN = 64 };
  SHARED(shared);
  bf16* tiles = (bf16*)shared;
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, rows_at = (warp & 3) * 16, own = (warp >> 2) * OWN;
  const int column0 = blockIdx.x * COLUMNS, row0 = blockIdx.y * ROWS;
  dh += (u64)row0 * lddh, a += column0;

  float sums[OWN / 8][4] = {};
  auto load = [&](int stage, int step) {
    bf16* tile = tiles + stage * STAGE;
    const int rank = step * RANKS, mine = min(RANKS, ranks - rank);
    copy_tile<ROWS, RANKS>(tile, dh + rank, lddh, m - row0, mine, ROWS, mine);
    copy_tile<RANKS, COLUMNS>(tile + ROWS * LDR, a + (u64)rank * lda, lda, mine, k - column0, mine);
  };
  auto product = [&](int stage, int step) {
    const bf16* dh_tile = tiles + stage * STAGE + rows_at * LDR;
    const bf16* a_tile = tiles + stage * STAGE + ROWS * LDR + own;
    const int mine = min(RANKS, ranks - step * RANKS);
#pragma unroll
    for (int r = 0; r < RANKS; r += 16) {
      if (r >= mine) break;
      u32 dh_part[4], a_part[4];
      load_matrices(dh_part, left<LDR>(dh_tile + r));
#pragma unroll
      for (int n = 0; n < OWN / 16; n++) {
        load_matrices_transposed(a_part, right_transposed<LD>(a_tile + r * LD + n * 16));
        multiply(sums[2 * n], dh_part, a_part[0], a_part[1]);
        multiply(sums[2 * n + 1], dh_part, a_part[2], a_part[3]);
      }
    }
  };
  pipeline<2>((ranks + RANKS - 1) / RANKS, load, [](int, int) {}, product);

  // A lane has two numbers of each block of eight columns, and its neighbour the two that complete a quad of the mask: they
  // exchange them, so that the even lane has the quad of one block, the odd lane that of the next.
  const Mask mask = {k0, k1, site, p, keep};
  const int odd = lane & 1;
#pragma unroll
  for (int side = 0; side < 4; side += 2) {
    const int row = row0 + rows_at + (lane >> 2) + side * 4;
    const u32 example = p > 0.0f && row < m ? examples[row] : 0, position = p > 0.0f && row < m ? positions[row] : 0;
#pragma unroll
    for (int n = 0; n < OWN / 8; n += 2) {
      const float *first = sums[n] + side, *second = sums[n + 1] + side;
      const float lower = __shfl_xor_sync(FULL, odd ? first[0] : second[0], 1);
      const float upper = __shfl_xor_sync(FULL, odd ? first[1] : second[1], 1);
      const int column = column0 + own + (n + odd) * 8 + (lane >> 1 & 1) * 4;
      if (row >= m || column >= k) continue;
      float f[4] = {1.0f, 1.0f, 1.0f, 1.0f};
      if (p > 0.0f) mask_factors(mask, example, position, (u32)column / 4, f);
      const u32 left_pair = pack((odd ? lower : first[0]) * f[0], (odd ? upper : first[1]) * f[1]);
      const u32 right_pair = pack((odd ? second[0] : lower) * f[2], (odd ? second[1] : upper) * f[3]);
      *(uint2*)(dx + (u64)row * lddx + column) = {left_pair, right_pair};
    }
  }
}

// The gradient of A: dA[j, c] = sum over i of dh[i, j] drop(x)[i, c], the mask made again.
//
//   dh        bf16 [m, lddh]: the tail of dY's buffer, `ranks` columns, a multiple of 16
//   x         bf16 [m, ldx], k columns of it; k a multiple of 8
//   examples, positions   u32 [m]; not read when p = 0
//   partials  f32 [row blocks][ranks][k]: of row block b the sums over its `rows` rows (a multiple of 32); `reduce` adds them up
//   k0, k1, site, p, keep   dropout as lora_down had it
// Precision: where p > 0, x * keep is rounded to bf16 before the product, as in lora_down; sums f32. Contract: =.
// dh carries the adapter's scale already.
// Grid (ceil(k / 256), ceil(ranks / 64), ceil(m / rows)), block 256, shared 2 * 32 * (264 + 72) * 2 = 43,008 bytes. A block holds
// its sums in registers (a warp has 32 columns and up to 64 ranks) while 32 rows after another go by; beside x's 2 bytes a number
// partials move 8 ranks / rows. Each further 64 ranks read x again and make its mask again.
// Matches: dA of `Plain::backward`, with dh and drop(x) rounded to bf16.
// Tolerance: (rows + blocks + 1) 2^-23 sum |dh x|.
#include "lora.cuh"

extern "C" __global__ void __launch_bounds__(THREADS)
lora_da(const bf16* dh, const bf16* x, const u32* examples, const u32* positions, float* partials, int m, int k, int ranks, int rows,
        int lddh, int ldx, u32 k0, u32 k1, u32 site, float p, float keep) {
  enum { ROWS = 32, COLUMNS = 256, RANKS = 64, LD = COLUMNS + PAD, LDR = RANKS + PAD, STAGE = ROWS * (LD + LDR), OWN = COLUMNS / 8 };
  SHARED(shared);
  bf16* tiles = (bf16*)shared;
  const Mask mask = {k0, k1, site, p, keep};
  const int warp = threadIdx.x >> 5, lane = threadIdx.x & 31, own = warp * OWN;
  const int column0 = blockIdx.x * COLUMNS, rank0 = blockIdx.y * RANKS, row0 = blockIdx.z * rows;
  const int columns = min(COLUMNS, k - column0), mine = min(RANKS, ranks - rank0), last = min(m, row0 + rows);
  x += column0, dh += rank0;

  Tokens<ROWS, COLUMNS> held, ahead;  // of the rows in work, and of those on their way
  if (p > 0.0f) held.read(examples, positions, row0, last);
  float sums[RANKS / 16][OWN / 8][4] = {};
  auto load = [&](int stage, int step) {
    const int row = row0 + step * ROWS;
    copy_tile<ROWS, COLUMNS>(tiles + stage * STAGE, x + (u64)row * ldx, ldx, last - row, columns);
    copy_tile<ROWS, RANKS>(tiles + stage * STAGE + ROWS * LD, dh + (u64)row * lddh, lddh, last - row, mine, ROWS, mine);
    if (p > 0.0f) ahead.read(examples, positions, row, last);
  };
  auto prepare = [&](int stage, int) {
    if (!(p > 0.0f)) return;
    drop_tile<ROWS, COLUMNS>(tiles + stage * STAGE, held, mask, column0);
    held = ahead;
  };
  auto product = [&](int stage, int) {
    if (own >= columns) return;
    const bf16* x_tile = tiles + stage * STAGE + own;
    const bf16* dh_tile = tiles + stage * STAGE + ROWS * LD;
#pragma unroll
    for (int r = 0; r < ROWS; r += 16) {
      u32 x_part[OWN / 16][4], dh_part[4];
#pragma unroll
      for (int n = 0; n < OWN / 16; n++) load_matrices_transposed(x_part[n], right_transposed<LD>(x_tile + r * LD + n * 16));
#pragma unroll
      for (int i = 0; i < RANKS / 16; i++) {
        if (i * 16 >= mine) break;
        load_matrices_transposed(dh_part, left_transposed<LDR>(dh_tile + r * LDR + i * 16));
#pragma unroll
        for (int n = 0; n < OWN / 16; n++) {
          multiply(sums[i][2 * n], dh_part, x_part[n][0], x_part[n][1]);
          multiply(sums[i][2 * n + 1], dh_part, x_part[n][2], x_part[n][3]);
        }
      }
    }
  };
  pipeline<2>((last - row0 + ROWS - 1) / ROWS, load, prepare, product);

  partials += ((u64)blockIdx.z * ranks + rank0) * k + column0;
#pragma unroll
  for (int i = 0; i < RANKS / 16; i++) {
    if (i * 16 >= mine) break;
#pragma unroll
    for (int n = 0; n < OWN / 8; n++) {
      const int column = own + n * 8 + (lane & 3) * 2;
      float* at = partials + (u64)(i * 16 + (lane >> 2)) * k + column;
      if (column >= columns) continue;
      *(float2*)at = {sums[i][n][0], sums[i][n][1]};
      *(float2*)(at + (u64)8 * k) = {sums[i][n][2], sums[i][n][3]};
    }
  }
}

// H[M, 16] = X[M, K] A[16, K]^T (bf16 in and out, f32 sums), the largest |H| of each row, and the sum of H of each warp. A test
// kernel: two stages of cp.async, ldmatrix, mma, shuffles.
#include "machine.cuh"

enum { ROWS = 64, DEPTH = 64, RANK = 16, THREADS = 128, LD = DEPTH + 8, X_STAGE = ROWS * LD, A_STAGE = RANK * LD };

extern "C" __global__ void __launch_bounds__(THREADS)
down(const bf16* __restrict__ x, const bf16* __restrict__ a, bf16* __restrict__ h, float* __restrict__ largest, float* __restrict__ sums, int m, int k) {
  SHARED(memory);
  bf16* sx = (bf16*)memory;
  bf16* sa = sx + 2 * X_STAGE;
  const int thread = threadIdx.x, lane = thread & 31, warp = thread >> 5, first = blockIdx.x * ROWS;
  auto load = [&](int stage, int from) {
    for (int i = thread; i < ROWS * DEPTH / 8; i += THREADS) {
      int row = i / (DEPTH / 8), column = i % (DEPTH / 8) * 8;
      bool valid = first + row < m && from + column < k;
      copy_async(sx + stage * X_STAGE + row * LD + column, x + (valid ? (u64)(first + row) * k + from + column : 0), valid);
    }
    for (int i = thread; i < RANK * DEPTH / 8; i += THREADS) {
      int row = i / (DEPTH / 8), column = i % (DEPTH / 8) * 8;
      bool valid = from + column < k;
      copy_async(sa + stage * A_STAGE + row * LD + column, a + (valid ? (u64)row * k + from + column : 0), valid);
    }
    copy_commit();
  };
  float sum[2][4] = {};
  const int steps = (k + DEPTH - 1) / DEPTH;
  load(0, 0);
  for (int step = 0; step < steps; step++) {
    const int stage = step & 1;
    if (step + 1 < steps) {
      load(stage ^ 1, (step + 1) * DEPTH);
      copy_wait<1>();
    } else {
      copy_wait<0>();
    }
    __syncthreads();
#pragma unroll
    for (int depth = 0; depth < DEPTH; depth += 16) {
      u32 fx[4], fa[4];
      load_matrices(fx, sx + stage * X_STAGE + (warp * 16 + (lane & 15)) * LD + depth + (lane >> 4) * 8);
      load_matrices(fa, sa + stage * A_STAGE + ((lane & 7) + (lane >> 4) * 8) * LD + depth + (lane >> 3 & 1) * 8);
      multiply(sum[0], fx, fa[0], fa[1]);
      multiply(sum[1], fx, fa[2], fa[3]);
    }
    __syncthreads();
  }
  const int group = lane >> 2, member = lane & 3;
  float total = 0.0f;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    int row = first + warp * 16 + group + half * 8;
    float most = 0.0f;
#pragma unroll
    for (int n = 0; n < 2; n++) {
      float lower = sum[n][half * 2], upper = sum[n][half * 2 + 1];
      most = max(most, max(lower < 0 ? -lower : lower, upper < 0 ? -upper : upper));
      total += lower + upper;
      if (row < m) *(u32*)(h + (u64)row * RANK + n * 8 + member * 2) = pack(lower, upper);
    }
    most = max(most, __shfl_xor_sync(FULL, most, 1));
    most = max(most, __shfl_xor_sync(FULL, most, 2));
    if (member == 0 && row < m) largest[row] = most;
  }
  total = warp_sum(total);
  if (lane == 0) sums[blockIdx.x * (THREADS / 32) + warp] = total;
}

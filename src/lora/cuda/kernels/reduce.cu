// The second half of every sum over row blocks: out[i] (= or +=) scale * (partials[0][i] + partials[1][i] + ...).
//
//   out       f32 [n]
//   partials  f32 [count][stride], n numbers of each
//   accumulate   0: =; else +=
// Precision: f32; the sum begins at 0 and takes the partials in ascending order, whatever else runs. count = 0 is a sum of 0.
// Grid ceil(n / 256), block 256, no shared memory: a thread has one number, so that every read of a warp is of 128 bytes in a row;
// four reads are on their way at once.
// Matches: the sums over tokens of `Plain::backward`, split. Tolerance: count + 2 roundings of f32.
#include "machine.cuh"

extern "C" __global__ void __launch_bounds__(256)
reduce(float* out, const float* partials, int n, int count, int stride, int accumulate, float scale) {
  const u64 i = (u64)blockIdx.x * 256 + threadIdx.x;
  if (i >= (u64)n) return;
  float sum = 0.0f;
#pragma unroll 4
  for (int p = 0; p < count; p++) sum += partials[(u64)p * stride + i];
  out[i] = accumulate ? out[i] + scale * sum : scale * sum;
}

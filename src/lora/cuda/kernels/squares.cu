// The sum of the squares of the gradients, in f64 and a fixed order: what clipping and the check for numbers that are not finite
// rest on.
//
//   partials[c] = sum of g^2 over chunk c of the tensors (see trained.cuh)
//   totals[i]   = sum of partials[bounds[i]] to partials[bounds[i + 1] - 1]; 0 where there is none
//
// tensors, chunks: as adamw's; partials [chunk_count] f64; bounds [ranges + 1] u32, ascending: a range for each member of a
// packed sweep, so that a member's norm is a function of its own gradients alone; totals [ranges] f64.
//
// Precision: the square of an f32 is exact in f64 and cannot overflow there, so a total is finite exactly when every gradient
// is. Accumulation: =. A number's place in the sum is fixed by its chunk, its thread and the tree, never by time.
// Grids: squares (chunk_count), squares_total (ranges); block 256, shared 64 bytes (an f64 of each warp). Chunks are 4,096
// numbers: enough blocks to fill a machine, few enough partials for one block to add.
// Matches Plain::squares: n numbers in another order, relative n 2^-53 (of this order: 16 + 8 + partials / 256 + 8 additions).
#include "trained.cuh"

enum { CHUNK_WARPS = CHUNK_THREADS / 32 };

// The sum over all threads of the block, for its first thread.
DEVICE double block_sum(double x) {
  SHARED(bytes);
  double* slots = (double*)bytes;
  x = warp_sum(x);
  if (threadIdx.x % 32 == 0) slots[threadIdx.x / 32] = x;
  __syncthreads();
  double sum = 0.0;
  if (threadIdx.x == 0)
    for (int warp = 0; warp < CHUNK_WARPS; warp++) sum += slots[warp];
  return sum;
}

extern "C" __global__ void __launch_bounds__(CHUNK_THREADS)
    squares(const Tensor* tensors, const Chunk* chunks, double* partials, int chunk_count) {
  Chunk chunk = chunks[blockIdx.x];
  Tensor tensor = tensors[chunk.tensor];
  const float* gradient = on_device<float>(tensor.gradient);
  u32 end = end_of(tensor, chunk);
  double sum = 0.0;
  for (u32 at = chunk.from + threadIdx.x; at < end; at += CHUNK_THREADS) {
    double g = gradient[strided(at, tensor.columns, tensor.gradient_ld)];
    sum += g * g;
  }
  sum = block_sum(sum);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

extern "C" __global__ void __launch_bounds__(CHUNK_THREADS)
    squares_total(const double* partials, const u32* bounds, double* totals, int ranges) {
  u32 end = bounds[blockIdx.x + 1];
  double sum = 0.0;
  for (u32 i = bounds[blockIdx.x] + threadIdx.x; i < end; i += CHUNK_THREADS) sum += partials[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) totals[blockIdx.x] = sum;
}

// Adapters into the border of W^ where they are put there, not trained: to[i, j] = bf16(scale * from[i, j]), zeros around.
//
//   to        bf16 [to_rows, ldto], to_columns of it
//   from      f32 [rows, ldfrom], columns of it; may be null when rows = 0
// Precision: one product in f32, rounded to bf16 (AdamW writes the same bits after a step). Contract: =.
// Grid ceil(to_rows * to_columns / 256), block 256, no shared memory: a thread has one number.
// Matches: A and scale * B of an adapter, rounded. Tolerance: none, the same bits.
#include "machine.cuh"

extern "C" __global__ void __launch_bounds__(256)
border(bf16* to, const float* from, int rows, int columns, int to_rows, int to_columns, int ldto, int ldfrom, float scale) {
  const u64 at = (u64)blockIdx.x * 256 + threadIdx.x;
  const u64 row = at / (u32)to_columns;
  const int column = (int)(at % (u32)to_columns);
  if (row >= (u64)to_rows) return;
  const bool inside = row < (u64)rows && column < columns;
  to[row * ldto + column] = narrow(inside ? scale * from[row * ldfrom + column] : 0.0f);
}

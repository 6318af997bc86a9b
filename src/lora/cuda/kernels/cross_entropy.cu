// The loss of supervised rows, and its gradient in the place of the logits.
//
//   losses[i] = -log softmax(logits[i])[targets[i]] = log sum_j e^(x_j - most) + most - x_target
//   logits[i] = weights[i] * (softmax(logits[i]) - onehot(targets[i]))                            (cross_entropy_gradient)
//
// logits   [rows, ld] bf16, `columns` of them used: any number from 1; ld a multiple of 8. Columns past the last are not touched.
// targets  [rows] u32; NO_TARGET: the row only fills the chunk: loss 0, gradient 0, its logits are not read.
// weights  [rows] f32; losses [rows] f32.
//
// A logit that is not finite, or a target that is no column, makes the row's loss (and gradient) NaN, and nothing else.
// Precision: logits are bf16 as the product before rounded them; maximum, sum and loss f32; the gradient is rounded to bf16 once.
// Accumulation: = (all outputs are overwritten).
// Grid (rows), block 512, shared 128 bytes (a maximum and a sum of each warp). A block a row: a row is some 256 KB, too large
// for shared memory, so it is read twice and written once; the second pass runs backwards, as the end of the row is what the
// L2 cache still has. Four blocks fit on a multiprocessor, enough loads on their way to keep the memory busy.
// Matches Plain::head (rows::cross_entropy). Tolerance, with c columns, d = most - x, e = 2^-24 (one rounding of f32):
//   sum     relative s = (c/512 + 12) e for the additions of a thread and the trees; 5e for each power of two and product, of
//           which a term sees one a rescaling, (c/4096 + 4) at most; 2.5e d for the power's argument, d being ln c on average
//   loss    absolute s + 8e max(1, log2 sum) (the logarithm errs by 4e) + 2e d of the target
//   number  relative s + (8 + 2.5 d) e, then 2^-8 (bf16); at the target e more; absolute |weight| 2^-125 (2^x is flushed to 0)
#include "softmax.cuh"

DEVICE float* slots_of_block() {
  SHARED(bytes);
  return (float*)bytes;
}

// A row of zeros.
DEVICE void clear_row(bf16* row, int columns) {
  int vectors = columns / VECTOR;
  for (int v = threadIdx.x; v < vectors; v += ROW_THREADS) ((uint4*)row)[v] = make_uint4(0, 0, 0, 0);
  int last = vectors * VECTOR + threadIdx.x;
  if (last < columns) row[last] = 0;
}

// row = factor * e^(row - most).
DEVICE void scale_row(bf16* row, int columns, float most, float factor) {
  int vectors = columns / VECTOR;
  int last = vectors * VECTOR + threadIdx.x;
  if (last < columns) row[last] = narrow(factor * share_of(wide(row[last]), most));
  for (int v = vectors - 1 - (int)threadIdx.x; v >= 0; v -= ROW_THREADS) {
    float x[VECTOR];
    widen(((uint4*)row)[v], x);
#pragma unroll
    for (int i = 0; i < VECTOR; i++) x[i] = factor * share_of(x[i], most);
    ((uint4*)row)[v] = make_uint4(pack(x[0], x[1]), pack(x[2], x[3]), pack(x[4], x[5]), pack(x[6], x[7]));
  }
}

extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    cross_entropy(const bf16* logits, const u32* targets, float* losses, int rows, int columns, int ld) {
  int i = blockIdx.x;
  u32 target = targets[i];
  if (target == NO_TARGET) {
    if (threadIdx.x == 0) losses[i] = 0.0f;
    return;
  }
  Softmax found = softmax_of_row(logits + (u64)i * ld, columns, target, slots_of_block());
  if (threadIdx.x == 0) losses[i] = -log_probability(found);
}

extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    cross_entropy_gradient(bf16* logits, const u32* targets, const float* weights, float* losses, int rows, int columns, int ld) {
  int i = blockIdx.x;
  bf16* row = logits + (u64)i * ld;
  u32 target = targets[i];
  if (target == NO_TARGET) {
    clear_row(row, columns);
    if (threadIdx.x == 0) losses[i] = 0.0f;
    return;
  }
  Softmax found = softmax_of_row(row, columns, target, slots_of_block());
  float weight = weights[i], factor = weight / found.sum;
  scale_row(row, columns, found.most, factor);
  // The target's number is made again from its logit, which was read before: less than asking at every column.
  __syncthreads();
  if (threadIdx.x == 0) {
    losses[i] = -log_probability(found);
    if (target < (u32)columns) row[target] = narrow(factor * share_of(found.own, found.most) - weight);
  }
}

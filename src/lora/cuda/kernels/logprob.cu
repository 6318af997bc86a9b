// log p(target) of supervised rows, and its sum over each document: for preferences (DPO) and evaluation.
//
//   values[i] = log softmax(logits[i])[targets[i]], the negated bits of cross_entropy's loss; shapes, rules and tolerance as there
//   sums[d]   = factor * sum of values[i] over the supervised rows i of document d; 0 where there is none
//
// values   [supervised] f32, of a whole microbatch (losses, with a factor of -1, serve as well)
// rows     [supervised] u32, ascending: which row of the batch each of them is
// starts   [documents + 1] u32: document d is rows starts[d] to starts[d + 1]
// sums     [documents] f64
//
// Precision: sums in f64, of f32 values. Accumulation: = (overwritten).
// Grids: log_probabilities (rows), block 512, shared 128 bytes, as cross_entropy; document_sums (documents / 8, rounded up),
// block 256: a warp a document, its lanes at every 32nd value, their sums added by a fixed tree.
// document_sums matches engine::prefer's sums (f64, one after the other); tolerance n 2^-53 of the sum of |values|, n values.
#include "softmax.cuh"

enum { DOCUMENTS = 8 };

extern "C" __global__ void __launch_bounds__(ROW_THREADS)
    log_probabilities(const bf16* logits, const u32* targets, float* values, int rows, int columns, int ld) {
  SHARED(slots);
  int i = blockIdx.x;
  u32 target = targets[i];
  if (target == NO_TARGET) {
    if (threadIdx.x == 0) values[i] = 0.0f;
    return;
  }
  Softmax found = softmax_of_row(logits + (u64)i * ld, columns, target, (float*)slots);
  if (threadIdx.x == 0) values[i] = log_probability(found);
}

// How many of the ascending rows are below `bound`.
DEVICE int rows_below(const u32* rows, int supervised, u32 bound) {
  int from = 0, to = supervised;
  while (from < to) {
    int middle = (from + to) / 2;
    if (rows[middle] < bound)
      from = middle + 1;
    else
      to = middle;
  }
  return from;
}

extern "C" __global__ void __launch_bounds__(32 * DOCUMENTS)
    document_sums(const float* values, const u32* rows, const u32* starts, double* sums, int supervised, int documents, float factor) {
  int d = blockIdx.x * DOCUMENTS + threadIdx.x / 32, lane = threadIdx.x % 32;
  if (d >= documents) return;
  int from = rows_below(rows, supervised, starts[d]), to = rows_below(rows, supervised, starts[d + 1]);
  double sum = 0.0;
  for (int i = from + lane; i < to; i += 32) sum += (double)values[i];
  sum = warp_sum(sum);
  if (lane == 0) sums[d] = (double)factor * sum;
}

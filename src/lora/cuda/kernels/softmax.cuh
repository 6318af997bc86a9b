// The softmax of one row of logits by one block: what the loss, its gradient and log p need of it, in one read of the row.
#pragma once
#include "machine.cuh"

enum { ROW_THREADS = 512, ROW_WARPS = ROW_THREADS / 32, VECTOR = 8 };
#define INFINITE __uint_as_float(0x7f800000u)
#define NOT_A_NUMBER __uint_as_float(0x7fffffffu)
// The target of a row that only fills a chunk.
#define NO_TARGET 0xffffffffu

// e^(x - most). The difference is taken before the multiplication by log2 e, so that only it is rounded and not `most`.
DEVICE float share_of(float x, float most) { return exp2_fast((x - most) * LOG2E); }

struct Softmax {
  float most;  // the largest logit
  float sum;   // of e^(logit - most), at least 1; NaN when a logit is not finite or the target is none of the columns
  float own;   // the target's logit
};

// The same of the numbers that one thread has seen. `poison` stays 0 until a number is not finite, then it is NaN.
struct Running {
  float most, sum, poison;
};

DEVICE void take(Running& seen, const float (&x)[VECTOR]) {
  float most = seen.most;
#pragma unroll
  for (int i = 0; i < VECTOR; i++) most = max(most, x[i]);
  float sum = seen.sum * share_of(seen.most, most);
#pragma unroll
  for (int i = 0; i < VECTOR; i++) {
    sum += share_of(x[i], most);
    seen.poison += x[i] * 0.0f;
  }
  seen.most = most;
  seen.sum = sum;
}

DEVICE void take(Running& seen, float x) {
  float most = max(seen.most, x);
  seen.sum = seen.sum * share_of(seen.most, most) + share_of(x, most);
  seen.poison += x * 0.0f;
  seen.most = most;
}

DEVICE void widen(const uint4& v, float (&x)[VECTOR]) {
  x[0] = low(v.x), x[1] = high(v.x), x[2] = low(v.y), x[3] = high(v.y);
  x[4] = low(v.z), x[5] = high(v.z), x[6] = low(v.w), x[7] = high(v.w);
}

// The largest, and the sum, over all threads of the block; `slots`: ROW_WARPS floats that nothing else uses.
DEVICE float block_max(float x, float* slots) {
  int lane = threadIdx.x % 32;
  x = warp_max(x);
  if (lane == 0) slots[threadIdx.x / 32] = x;
  __syncthreads();
  return warp_max(lane < ROW_WARPS ? slots[lane] : -INFINITE);
}
DEVICE float block_sum(float x, float* slots) {
  int lane = threadIdx.x % 32;
  x = warp_sum(x);
  if (lane == 0) slots[threadIdx.x / 32] = x;
  __syncthreads();
  return warp_sum(lane < ROW_WARPS ? slots[lane] : 0.0f);
}

// Every thread of the block calls it and gets the same bits; slots: 2 * ROW_WARPS floats. All reads of the row are done when
// it returns. The largest is agreed on before sums are added, so that the additions are the same for every lane.
DEVICE Softmax softmax_of_row(const bf16* row, int columns, u32 target, float* slots) {
  bool within = target < (u32)columns;
  float own = within ? wide(row[target]) : 0.0f;
  Running seen = {-INFINITE, 0.0f, within ? 0.0f : NOT_A_NUMBER};
  int vectors = columns / VECTOR;
  for (int v = threadIdx.x; v < vectors; v += ROW_THREADS) {
    float x[VECTOR];
    widen(((const uint4*)row)[v], x);
    take(seen, x);
  }
  int last = vectors * VECTOR + threadIdx.x;
  if (last < columns) take(seen, wide(row[last]));

  float most = block_max(seen.most, slots);
  float sum = block_sum(seen.sum * share_of(seen.most, most) + seen.poison, slots + ROW_WARPS);
  return {most, sum, own};
}

DEVICE float log_probability(const Softmax& row) { return (row.own - row.most) - log2_fast(row.sum) * LN2; }

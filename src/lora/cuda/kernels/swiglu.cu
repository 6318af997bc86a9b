// The gate of the feed-forward block, forward and backward.
//
//   forward   act = silu(gate) * up,  silu(g) = g s with s = 1 / (1 + exp(-g))
//   backward  dgate = dact * up * s * (1 + g (1 - s)),  dup = dact * g * s
//
//   swiglu           gu [rows, 2 width] = [gate | up] -> act [rows, width] =
//   swiglu_backward  dact [rows, width], gu -> gu = [dgate | dup], in place
//
// Layout: bf16 row-major, leading dimensions in elements; width and leading dimensions are multiples of 8, pointers 16-byte aligned;
// other columns are untouched.
// Precision: f32, one rounding to bf16. exp by exp2 and 1 / x of the special function unit: these kernels move more bytes than any other
// of a layer, and a correctly rounded division would cost them more time than the memory does. Where exp(-g) passes 2^126, s is 0.
// Grid [rows, slices], block 256, no shared memory: a block has a row or every slices-th part of it; the result is the same for any
// number of slices. Each number is read and written once.
// Matches Plain::swiglu and swiglu_backward. Tolerance, e = 2^-24: exp(-g) is off by its argument's rounding, at most 2 |g| e, and exp2's 4 e; s
// by that times (1 - s), and by 3 e of the sum and 1 / x; each product by e more; s below 2^-126 may become 0. Then one rounding to bf16.
#include "rows.cuh"

enum { THREADS = 256 };

DEVICE float sigmoid(float x) { return reciprocal_fast(1.0f + exp2_fast(x * -LOG2E)); }

extern "C" __global__ void __launch_bounds__(THREADS)
    swiglu(const bf16* gu, bf16* act, int rows, int width, int ldgu, int ldact) {
  u32 row = blockIdx.x;
  if (row >= (u32)rows) return;
  const bf16* gates = row_of(gu, row, ldgu);
  const bf16* ups = gates + width;
  bf16* to = row_of(act, row, ldact);
#pragma unroll 1
  for (int column = (blockIdx.y * THREADS + threadIdx.x) * 8; column < width; column += gridDim.y * THREADS * 8) {
    Eight gate = widen(read_eight(gates + column)), up = widen(read_eight(ups + column));
#pragma unroll
    for (int i = 0; i < 8; i++) up.n[i] *= gate.n[i] * sigmoid(gate.n[i]);
    write_eight(to + column, pack_eight(up));
  }
}

extern "C" __global__ void __launch_bounds__(THREADS)
    swiglu_backward(const bf16* dact, bf16* gu, int rows, int width, int lddact, int ldgu) {
  u32 row = blockIdx.x;
  if (row >= (u32)rows) return;
  const bf16* from = row_of(dact, row, lddact);
  bf16* gates = row_of(gu, row, ldgu);
  bf16* ups = gates + width;
#pragma unroll 1
  for (int column = (blockIdx.y * THREADS + threadIdx.x) * 8; column < width; column += gridDim.y * THREADS * 8) {
    Eight gate = widen(read_eight(gates + column)), up = widen(read_eight(ups + column)), d = widen(read_eight(from + column));
#pragma unroll
    for (int i = 0; i < 8; i++) {
      float s = sigmoid(gate.n[i]);
      float silu = gate.n[i] * s;
      gate.n[i] = d.n[i] * up.n[i] * (s + silu * (1.0f - s));  // s (1 + g (1 - s))
      up.n[i] = d.n[i] * silu;
    }
    write_eight(gates + column, pack_eight(gate));
    write_eight(ups + column, pack_eight(up));
  }
}

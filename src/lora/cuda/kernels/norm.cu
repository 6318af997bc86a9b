// RMSNorm forward and backward, of rows and of the heads of queries or keys.
//
//   forward   rstd = 1 / sqrt(mean(x^2) + epsilon),  y = x * rstd * gain
//   backward  with n = x * rstd and g = dy * gain:   dx = rstd * (g - n * mean(g * n))
//
//   norm_forward        x [rows, width] -> y =, rstd = [rows]
//   norm_backward       x, rstd, dy [rows, width] -> acc [rows, width] += dx: the gradient that came round the block is there already
//   head_norm           the same for each head (head_dim columns) of a part: columns first .. first + heads * head_dim of raw [rows, ldraw]
//                       -> the same columns of qkv [rows, ldqkv] =, rstd = [rows, heads]; raw and qkv may be the same
//   head_norm_backward  d [rows, ldd], the gradient of what head_norm made, becomes that of raw, in place
//
// Layout: bf16 row-major, leading dimensions in elements; y is written into the front of rows that have h of the adapters behind
// it. width, first and leading dimensions are multiples of 8, pointers 16-byte aligned; gain f32 [width] or [head_dim], rstd f32.
// width <= 16,384; head_dim a power of two, 8 to 256. Other columns are untouched; gain is frozen and has no gradient.
// Precision: f32 throughout, one rounding to bf16 at the end (norm_backward: of acc + dx).
// Grid [rows], for rows: block clamp(ceil(width / 16) up to a multiple of 32, 32, 512), 64 bytes of shared memory. One block for a row, each
// thread two to four chunks of eight, kept in registers between the sum and the use of it, so a number is read once. A sum is added
// thread by thread, in the warp by halves, then warp after warp: an order that depends on width alone.
// For heads: block 128, no shared memory; head_dim / 8 neighbouring lanes hold a head, and sums stay within them.
// Matches Plain::norm, norm_backward, head_norm, head_norm_backward. Tolerance: with e = 2^-24, a sum of n products is at most
// (chunks * 8 + 5 + warps) roundings deep, so off by depth * e * sum|products|; rstd by (depth / 2 + 4) e; y by rstd's plus 3 e; then one
// rounding to bf16. The test works each bound out for its number.
#include "rows.cuh"

enum { KEPT = 4, MOST_THREADS = 512, HEAD_THREADS = 128 };

// The sum over the block; every thread gets the same bits.
DEVICE float block_sum(float x, float* partials) {
  x = warp_sum(x);
  if ((threadIdx.x & 31) == 0) partials[threadIdx.x >> 5] = x;
  __syncthreads();
  float sum = partials[0];
#pragma unroll 1
  for (u32 warp = 1; warp < blockDim.x >> 5; warp++) sum += partials[warp];
  return sum;
}

// The sum over `lanes` neighbouring lanes, a power of two.
DEVICE float lanes_sum(float x, u32 lanes) {
  for (u32 apart = lanes / 2; apart; apart /= 2) x += __shfl_xor_sync(FULL, x, apart);
  return x;
}

DEVICE float sum_of_squares(const Eight& x, float sum) {
#pragma unroll
  for (int i = 0; i < 8; i++) sum += x.n[i] * x.n[i];
  return sum;
}

DEVICE float inverse_root(float sum, int width, float epsilon) { return 1.0f / sqrtf(sum / (float)width + epsilon); }

DEVICE Eight scaled(Eight x, float rstd, const Eight& gain) {
#pragma unroll
  for (int i = 0; i < 8; i++) x.n[i] = x.n[i] * rstd * gain.n[i];
  return x;
}

// sum + the products of dy * gain and x: g * n before rstd, which all of them share.
DEVICE float sum_of_products(const Eight& x, const Eight& dy, const Eight& gain, float sum) {
#pragma unroll
  for (int i = 0; i < 8; i++) sum += dy.n[i] * gain.n[i] * x.n[i];
  return sum;
}

// dx, where `slope` is rstd^2 * mean(g * x): n * mean(g * n) = x * slope.
DEVICE Eight gradient(const Eight& x, const Eight& dy, const Eight& gain, float rstd, float slope) {
  Eight dx;
#pragma unroll
  for (int i = 0; i < 8; i++) dx.n[i] = rstd * (dy.n[i] * gain.n[i] - x.n[i] * slope);
  return dx;
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS)
    norm_forward(const bf16* x, const float* gain, bf16* y, float* rstd, int rows, int width, int ldx, int ldy, float epsilon) {
  SHARED(partials);
  u32 row = blockIdx.x;
  if (row >= (u32)rows) return;
  const bf16* from = row_of(x, row, ldx);
  bf16* to = row_of(y, row, ldy);
  int first = threadIdx.x * 8, step = blockDim.x * 8;
  uint4 kept[KEPT];
  float sum = 0.0f;
#pragma unroll
  for (int k = 0; k < KEPT; k++) {
    int column = first + k * step;
    if (column < width) kept[k] = read_eight(from + column);
  }
#pragma unroll
  for (int k = 0; k < KEPT; k++) {
    if (first + k * step < width) sum = sum_of_squares(widen(kept[k]), sum);
  }
  float scale = inverse_root(block_sum(sum, (float*)partials), width, epsilon);
  if (threadIdx.x == 0) rstd[row] = scale;
#pragma unroll
  for (int k = 0; k < KEPT; k++) {
    int column = first + k * step;
    if (column < width) write_eight(to + column, pack_eight(scaled(widen(kept[k]), scale, read_wide(gain + column))));
  }
}

extern "C" __global__ void __launch_bounds__(MOST_THREADS)
    norm_backward(const bf16* x, const float* gain, const float* rstd, const bf16* dy, bf16* acc, int rows, int width, int ldx, int lddy,
                  int ldacc) {
  SHARED(partials);
  u32 row = blockIdx.x;
  if (row >= (u32)rows) return;
  const bf16 *from = row_of(x, row, ldx), *over = row_of(dy, row, lddy);
  bf16* to = row_of(acc, row, ldacc);
  int first = threadIdx.x * 8, step = blockDim.x * 8;
  uint4 kept[KEPT], kept_dy[KEPT];
  float sum = 0.0f;
#pragma unroll
  for (int k = 0; k < KEPT; k++) {
    int column = first + k * step;
    if (column < width) kept[k] = read_eight(from + column), kept_dy[k] = read_eight(over + column);
  }
#pragma unroll
  for (int k = 0; k < KEPT; k++) {
    int column = first + k * step;
    if (column < width) sum = sum_of_products(widen(kept[k]), widen(kept_dy[k]), read_wide(gain + column), sum);
  }
  float scale = rstd[row];
  float slope = scale * scale * (block_sum(sum, (float*)partials) / (float)width);
#pragma unroll
  for (int k = 0; k < KEPT; k++) {
    int column = first + k * step;
    if (column < width) {
      Eight dx = gradient(widen(kept[k]), widen(kept_dy[k]), read_wide(gain + column), scale, slope);
      Eight total = widen(read_eight(to + column));
#pragma unroll
      for (int i = 0; i < 8; i++) total.n[i] += dx.n[i];
      write_eight(to + column, pack_eight(total));
    }
  }
}

// Heads lie side by side, so chunk c of a part is at column first + 8 c, and every lane of a warp takes part in its sums: the last
// warp has lanes without a chunk, which add zeros.
extern "C" __global__ void __launch_bounds__(HEAD_THREADS)
    head_norm(const bf16* raw, const float* gain, bf16* qkv, float* rstd, int rows, int heads, int first, int head_dim, int ldraw, int ldqkv,
              float epsilon) {
  u32 row = blockIdx.x;
  if (row >= (u32)rows) return;
  const bf16* from = row_of(raw, row, ldraw) + first;
  bf16* to = row_of(qkv, row, ldqkv) + first;
  u32 lanes = (u32)head_dim / 8, chunks = heads * lanes;
  u32 column = (threadIdx.x & (lanes - 1)) * 8;  // within the head: the same for all chunks of a thread
  Eight gains = read_wide(gain + column);
  for (u32 chunk = threadIdx.x; chunk - (chunk & 31) < chunks; chunk += HEAD_THREADS) {
    bool there = chunk < chunks;
    Eight x = widen(there ? read_eight(from + chunk * 8) : make_uint4(0, 0, 0, 0));
    float scale = inverse_root(lanes_sum(sum_of_squares(x, 0.0f), lanes), head_dim, epsilon);
    if (there) {
      if (column == 0) rstd[(u64)row * heads + chunk / lanes] = scale;
      write_eight(to + chunk * 8, pack_eight(scaled(x, scale, gains)));
    }
  }
}

extern "C" __global__ void __launch_bounds__(HEAD_THREADS)
    head_norm_backward(const bf16* raw, const float* gain, const float* rstd, bf16* d, int rows, int heads, int first, int head_dim, int ldraw,
                       int ldd) {
  u32 row = blockIdx.x;
  if (row >= (u32)rows) return;
  const bf16* from = row_of(raw, row, ldraw) + first;
  bf16* to = row_of(d, row, ldd) + first;
  u32 lanes = (u32)head_dim / 8, chunks = heads * lanes;
  Eight gains = read_wide(gain + (threadIdx.x & (lanes - 1)) * 8);
  for (u32 chunk = threadIdx.x; chunk - (chunk & 31) < chunks; chunk += HEAD_THREADS) {
    bool there = chunk < chunks;
    Eight x = widen(there ? read_eight(from + chunk * 8) : make_uint4(0, 0, 0, 0));
    Eight dy = widen(there ? read_eight(to + chunk * 8) : make_uint4(0, 0, 0, 0));
    float mean = lanes_sum(sum_of_products(x, dy, gains, 0.0f), lanes) / (float)head_dim;
    if (there) {
      float scale = rstd[(u64)row * heads + chunk / lanes];
      write_eight(to + chunk * 8, pack_eight(gradient(x, dy, gains, scale, scale * scale * mean)));
    }
  }
}

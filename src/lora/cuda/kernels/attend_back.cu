// Backward pass of causal attention within documents: grouped queries, sliding window, the same bytes on every run.
//
// For query i and key j of a document, j <= i and i - j < window (window <= 0: no limit), of every query head:
//   P = exp(scale q_i k_j - lse_i)    dP = dout_i v_j    delta_i = out_i dout_i    dS = P (dP - delta_i)
//   dv_j = sum over heads of the group, then i, of P dout_i         dk_j = scale * the same of dS q_i
//   dq_i = scale * sum over j of dS k_j
//
// qkv [m, ld] bf16: heads * D columns of q, kv_heads * D of k, kv_heads * D of v; q and k are rotated. dqkv [m, ldd] bf16: the same
// columns, all overwritten (=), later ones left alone; it is the gradient of the rotated q and k. out [m, ldo], dout [m, lddo] bf16:
// heads * D columns are read. lse, delta [m, heads] f32, lse the natural log of the sum of exp(scale q k). starts [documents + 1],
// tiles [n, 2] u32: pairs (document, row of the batch), one for each 128 rows of a document from its start; document 0xffffffff:
// no work, so that the list may have a fixed length. Rows of no document are not written. D is 64 or 128; leading dimensions are
// multiples of 8, pointers aligned to 16 bytes, kv_heads divides heads, scale > 0.
//
// Precision: P and dS are f32 and rounded to bf16 as operands of the second products; every product is summed in f32; scale
// multiplies the sums; results are rounded once to bf16. Order of sums: dk, dv over heads, then queries, ascending; dq over keys
// ascending; 16 at a time, counted from the document's start, so that neither a document's place in the batch nor the order of
// `tiles` nor that of blocks changes a bit. No atomics: dq has a kernel of its own that makes P and dS again.
//
// attend_delta_D:        grid [ceil(m * heads / (2048 / D)), 1, 1], block 256: D / 8 threads a (row, head), 16 bytes each.
// attend_back_keys_D:    grid [n, kv_heads, 1], block 256, shared 37,888 (64), 70,656 (128) bytes: dk and dv of 128 keys; 16 of a
//                        warp, whose k, v, dk, dv stay in registers while q and dout stream by in steps of 64 queries.
// attend_back_queries_D: grid [n, heads, 1], block 256, shared 36,864 (64), 69,632 (128) bytes: dq of 128 queries likewise.
// 16 rows a warp are what registers hold for D = 128; 128 rows a block halve the traffic from L2 against 64; blocks of one
// head are neighbours, so that what they stream is in L2. The last queries of a document have most work, and its first keys: with
// tiles in descending order of their distance from the start, both kernels begin with the long ones (keys takes the list from its end).
//
// Must match `Plain::attend_backward`, but for the rounding of P and dS. Tolerance of a number, from u = 2^-23 a sum's term (the tensor
// cores cut where the rest rounds): errors of s = q k and dP are D u sum|terms|; that of P is P (e^d - 1), d = scale ds + u (|scale s|
// + 2 |lse|), and 2^-22 of ex2; that of dS follows by the product rule; rounded operands differ by the steps of bf16 between the ends of
// these intervals; then terms u sum|terms| for the second product, and half a step of bf16. delta: D u sum|terms|.
#include "attend_back.cuh"

// delta of a (row, head), by D / 8 threads.
template <int D>
DEVICE void delta_of(const bf16* out, const bf16* dout, float* delta, int m, int heads, int ldo, int lddo) {
  enum { LANES = D / 8 };
  int lane = threadIdx.x % LANES;
  u64 pair = (u64)blockIdx.x * (THREADS / LANES) + threadIdx.x / LANES;
  bool valid = pair < (u64)m * heads;
  float sum = 0.0f;
  if (valid) {
    u64 row = pair / heads;
    int column = (int)(pair % heads) * D + lane * 8;
    uint4 o = *(const uint4*)(out + row * ldo + column), d = *(const uint4*)(dout + row * lddo + column);
    sum = low(o.x) * low(d.x) + high(o.x) * high(d.x) + low(o.y) * low(d.y) + high(o.y) * high(d.y)
        + low(o.z) * low(d.z) + high(o.z) * high(d.z) + low(o.w) * low(d.w) + high(o.w) * high(d.w);
  }
#pragma unroll
  for (int o = LANES / 2; o; o >>= 1) sum += __shfl_xor_sync(FULL, sum, o);
  if (valid && lane == 0) delta[pair] = sum;
}

// dk and dv of the block's keys: scores are k q^T, a row for each key.
template <int D>
DEVICE void keys_back(const bf16* qkv, const bf16* dout, const float* lse, const float* delta, const u32* starts,
                      const u32* tiles, bf16* dqkv, int heads, int kv_heads, int ld, int lddo, int ldd, int window,
                      float scale) {
  enum { LD = D + 8 };
  SHARED(shared);
  bf16* stages = (bf16*)shared;                             // [STAGES][q STREAMED, dout STREAMED][LD]; first k and v [2][ROWS][LD]
  float* stats = (float*)(stages + STAGES * ROWS * LD);     // [STAGES][lse log2 e STREAMED, delta STREAMED]
  Place at;
  if (!place_of(at, starts, tiles, gridDim.x - 1 - blockIdx.x, window)) return;
  int lane = threadIdx.x & 31, own = own_rows();
  int group = heads / kv_heads, head = blockIdx.y * group, heads_end = head + group;
  int key_column = (heads + (int)blockIdx.y) * D, value_column = key_column + kv_heads * D;

  u32 k[D / 16][4], v[D / 16][4];
  fetch<D, ROWS>(stages, qkv + key_column, at.first, at.end, ld);
  fetch<D, ROWS>(stages + ROWS * LD, qkv + value_column, at.first, at.end, ld);
  copy_commit();
  copy_wait<0>();
  __syncthreads();
  fragments<D>(k, stages + own * LD);
  fragments<D>(v, stages + (ROWS + own) * LD);
  __syncthreads();

  auto fetch_stage = [&](int stage, int head, int row) {
    bf16* to = stages + stage * ROWS * LD;
    fetch<D, STREAMED>(to, qkv + head * D, row, at.end, ld);
    fetch<D, STREAMED>(to + STREAMED * LD, dout + head * D, row, at.end, lddo);
    copy_commit();
    if (threadIdx.x < STREAMED) {
      u64 i = (u64)min(row + (int)threadIdx.x, at.end - 1) * heads + head;
      float* stat = stats + stage * 2 * STREAMED + threadIdx.x;
      stat[0] = LOG2E * lse[i];
      stat[STREAMED] = delta[i];
    }
  };

  float dk[D / 8][4] = {}, dv[D / 8][4] = {};
  float slope = scale * LOG2E;
  int key = at.first + own, queries_end = min(at.end, min(at.first + ROWS, at.end) - 1 + at.reach);
  int next = at.first, stage = 1;
  fetch_stage(0, head, next);
  while (head < heads_end) {
    copy_wait<0>();
    __syncthreads();
    int row = next;
    stage ^= 1;
    next += STREAMED;
    if (next >= queries_end) next = at.first, head++;
    if (head < heads_end) fetch_stage(stage ^ 1, head, next);
#pragma unroll 1
    for (int c = 0; c < STREAMED; c += 16) {
      int query = row + c;
      if (!any_visible(at, query, key)) continue;
      bool whole = all_visible(at, query, key);
      const bf16* q = stages + (stage * ROWS + c) * LD;
      const bf16* d = q + STREAMED * LD;
      const float* stat = stats + stage * 2 * STREAMED + c + (lane & 3) * 2;
      u32 p[4], ds[4];
#pragma unroll
      for (int n = 0; n < 2; n++) {
        float s[4] = {}, g[4] = {};
        add_products<D>(s, k, q + n * 8 * LD);
        add_products<D>(g, v, d + n * 8 * LD);
        if (!whole) {
#pragma unroll
          for (int e = 0; e < 4; e++)
            if (!visible(at, query + n * 8 + (lane & 3) * 2 + (e & 1), key + (lane >> 2) + (e >> 1) * 8)) s[e] = hidden();
        }
        float2 l = *(const float2*)(stat + n * 8), t = *(const float2*)(stat + STREAMED + n * 8);
#pragma unroll
        for (int e = 0; e < 4; e++) {
          s[e] = exp2_fast(s[e] * slope - (e & 1 ? l.y : l.x));
          g[e] = s[e] * (g[e] - (e & 1 ? t.y : t.x));
        }
        p[2 * n] = pack(s[0], s[1]), p[2 * n + 1] = pack(s[2], s[3]);
        ds[2 * n] = pack(g[0], g[1]), ds[2 * n + 1] = pack(g[2], g[3]);
      }
      add_weighted<D>(dv, p, d);
      add_weighted<D>(dk, ds, q);
    }
  }
  __syncthreads();
  write_rows<D>(dqkv + key_column, dk, scale, stages + own * LD, key, at.end, ldd);
  write_rows<D>(dqkv + value_column, dv, 1.0f, stages + (ROWS + own) * LD, key, at.end, ldd);
}

// dq of the block's queries: scores are q k^T, a row for each query.
template <int D>
DEVICE void queries_back(const bf16* qkv, const bf16* dout, const float* lse, const float* delta, const u32* starts,
                         const u32* tiles, bf16* dqkv, int heads, int kv_heads, int ld, int lddo, int ldd, int window,
                         float scale) {
  enum { LD = D + 8 };
  SHARED(shared);
  bf16* stages = (bf16*)shared;  // [STAGES][k STREAMED, v STREAMED][LD]; first q and dout [2][ROWS][LD]
  Place at;
  if (!place_of(at, starts, tiles, blockIdx.x, window)) return;
  int lane = threadIdx.x & 31, own = own_rows();
  int head = blockIdx.y;
  const bf16* keys = qkv + (heads + head / (heads / kv_heads)) * D;
  const bf16* values = keys + kv_heads * D;

  u32 q[D / 16][4], d[D / 16][4];
  fetch<D, ROWS>(stages, qkv + head * D, at.first, at.end, ld);
  fetch<D, ROWS>(stages + ROWS * LD, dout + head * D, at.first, at.end, lddo);
  copy_commit();
  copy_wait<0>();
  __syncthreads();
  fragments<D>(q, stages + own * LD);
  fragments<D>(d, stages + (ROWS + own) * LD);
  __syncthreads();

  int query = at.first + own;
  float l[2], t[2];
#pragma unroll
  for (int h = 0; h < 2; h++) {
    u64 i = (u64)min(query + (lane >> 2) + h * 8, at.end - 1) * heads + head;
    l[h] = LOG2E * lse[i];
    t[h] = delta[i];
  }

  auto fetch_stage = [&](int stage, int row) {
    bf16* to = stages + stage * ROWS * LD;
    fetch<D, STREAMED>(to, keys, row, at.end, ld);
    fetch<D, STREAMED>(to + STREAMED * LD, values, row, at.end, ld);
    copy_commit();
  };

  float dq[D / 8][4] = {};
  float slope = scale * LOG2E;
  int keys_end = min(at.first + ROWS, at.end), stage = 0;
  int row = at.start + max(at.first - at.reach + 1 - at.start, 0) / STREAMED * STREAMED;
  fetch_stage(0, row);
  for (; row < keys_end; row += STREAMED) {
    copy_wait<0>();
    __syncthreads();
    if (row + STREAMED < keys_end) fetch_stage(stage ^ 1, row + STREAMED);
#pragma unroll 1
    for (int c = 0; c < STREAMED; c += 16) {
      int key = row + c;
      if (!any_visible(at, query, key)) continue;
      bool whole = all_visible(at, query, key);
      const bf16* k = stages + (stage * ROWS + c) * LD;
      const bf16* v = k + STREAMED * LD;
      u32 ds[4];
#pragma unroll
      for (int n = 0; n < 2; n++) {
        float s[4] = {}, g[4] = {};
        add_products<D>(s, q, k + n * 8 * LD);
        add_products<D>(g, d, v + n * 8 * LD);
        if (!whole) {
#pragma unroll
          for (int e = 0; e < 4; e++)
            if (!visible(at, query + (lane >> 2) + (e >> 1) * 8, key + n * 8 + (lane & 3) * 2 + (e & 1))) s[e] = hidden();
        }
#pragma unroll
        for (int e = 0; e < 4; e++) g[e] = exp2_fast(s[e] * slope - l[e >> 1]) * (g[e] - t[e >> 1]);
        ds[2 * n] = pack(g[0], g[1]), ds[2 * n + 1] = pack(g[2], g[3]);
      }
      add_weighted<D>(dq, ds, k);
    }
    stage ^= 1;
  }
  __syncthreads();
  write_rows<D>(dqkv + head * D, dq, scale, stages + own * LD, query, at.end, ldd);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attend_delta_64(const bf16* out, const bf16* dout, float* delta, int m, int heads, int ldo, int lddo) {
  delta_of<64>(out, dout, delta, m, heads, ldo, lddo);
}
extern "C" __global__ void __launch_bounds__(THREADS)
attend_delta_128(const bf16* out, const bf16* dout, float* delta, int m, int heads, int ldo, int lddo) {
  delta_of<128>(out, dout, delta, m, heads, ldo, lddo);
}
// D = 64 fits twice on a multiprocessor: 128 registers a thread.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
attend_back_keys_64(const bf16* qkv, const bf16* dout, const float* lse, const float* delta, const u32* starts, const u32* tiles,
                    bf16* dqkv, int heads, int kv_heads, int ld, int lddo, int ldd, int window, float scale) {
  keys_back<64>(qkv, dout, lse, delta, starts, tiles, dqkv, heads, kv_heads, ld, lddo, ldd, window, scale);
}
extern "C" __global__ void __launch_bounds__(THREADS)
attend_back_keys_128(const bf16* qkv, const bf16* dout, const float* lse, const float* delta, const u32* starts, const u32* tiles,
                     bf16* dqkv, int heads, int kv_heads, int ld, int lddo, int ldd, int window, float scale) {
  keys_back<128>(qkv, dout, lse, delta, starts, tiles, dqkv, heads, kv_heads, ld, lddo, ldd, window, scale);
}
extern "C" __global__ void __launch_bounds__(THREADS, 2)
attend_back_queries_64(const bf16* qkv, const bf16* dout, const float* lse, const float* delta, const u32* starts, const u32* tiles,
                       bf16* dqkv, int heads, int kv_heads, int ld, int lddo, int ldd, int window, float scale) {
  queries_back<64>(qkv, dout, lse, delta, starts, tiles, dqkv, heads, kv_heads, ld, lddo, ldd, window, scale);
}
extern "C" __global__ void __launch_bounds__(THREADS)
attend_back_queries_128(const bf16* qkv, const bf16* dout, const float* lse, const float* delta, const u32* starts, const u32* tiles,
                        bf16* dqkv, int heads, int kv_heads, int ld, int lddo, int ldd, int window, float scale) {
  queries_back<128>(qkv, dout, lse, delta, starts, tiles, dqkv, heads, kv_heads, ld, lddo, ldd, window, scale);
}

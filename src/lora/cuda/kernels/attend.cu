// Causal attention within documents, forward: out_i = sum_j p_ij v_j, p_i = softmax over j of scale * q_i . k_j, where j runs
// over the tokens of i's document up to i itself, the last `window` of them if there is a window. Flash attention (Dao, 2023):
// one pass over tiles of keys with a running maximum and sum, so that no row of scores is ever stored.
//
// Shapes   qkv [M, ld] bf16, a row is [heads * D of queries | kv_heads * D of keys | kv_heads * D of values], rotated already,
//          D = 64 (attend_64) or 128 (attend_128); kv_heads divides heads, query head h reads key head h / (heads / kv_heads).
//          starts [documents + 1]: document d is rows starts[d] .. starts[d + 1]. tiles [n, 2]: (document, first row), the work
//          of the blocks, made by the host: for each document the rows starts[d], starts[d] + 128, ... before starts[d + 1];
//          a document of 0xffffffff is no work, so that the grid can be of one size for all batches.
//          out [M, ldo] bf16, columns 0 .. heads * D; lse [M, heads] f32, the natural log of the sum of the exponentials of the
//          scaled scores. Rows of no document are left as they are. window <= 0: none. scale > 0.
// Writes   = (no accumulation).
// Precise  scores, softmax and all sums in f32; P is rounded to bf16 before P V (its sum is not); out is rounded to bf16 once.
//          The maximum is kept in base 2 and rounded up to an integer: what it is changes P by a power of two only, hence no
//          bit of the rounding of P depends on the tiles that came before. Tiles of keys begin where the document does, so a
//          document's result does not depend on what else is in the batch.
// Launch   grid [n * heads, 1, 1] (heads fastest: those that share keys run together), block 128, dynamic shared memory 55,296
//          bytes (D = 64), 69,632 bytes (D = 128), to be opted into. 4 warps with 32 rows each: a fragment of keys or values is
//          read from shared memory once for 32 rows, which keeps shared memory below the rate of the tensor cores. A tile is 64
//          keys and values (D = 64) or 32 (D = 128: what registers hold without a spill), in two stages: the next tile comes in
//          while this one is worked on, with one barrier for each. Two blocks fit on a multiprocessor of 8.0 and 9.0. Rows of
//          shared memory are 16 bytes longer than they need to be: no bank conflicts.
// Matches  Plain::attend. Tolerance, u = 2^-24, n keys seen: a score in base 2, t, is off by at most
//          e = |scale| log2 e (D + 4) 2u sum |q k| (a tensor core adds without rounding) + 5 u |t| + 2 u |top|, hence a weight
//          by r = 2^e - 1 + 4 u of itself (2^x: 4 u), and the sum of them by r + (n + 8) u. P is what its weight, anywhere
//          within r, rounds to: `spread` apart. So out is within (sum spread |v| + (n + 8) 2u sum P |v|) / sum + (r + (n + 11) u)
//          |out| of f64 arithmetic with P rounded, another sum p |v| 2^-8 from Plain, whose P is not, and rounded once
//          (2^-8 |out|). lse: r + (n + 8) u + 4 u ln 2 (1 + log2 n) + 4 u (|lse| + |top|).
#include "machine.cuh"

#define INFINITE __int_as_float(0x7f800000)
enum { ROWS = 128, THREADS = 128, WARP_ROWS = 32, PADDING = 8 };

// Rows first .. first + COUNT of columns 0 .. D of a matrix into shared memory in the background; from row `end` on zeros.
template <int D, int COUNT>
DEVICE void load_rows(bf16* to, const bf16* from, int first, int end, int ld) {
  enum { CHUNKS = D / 8, STEP = THREADS / CHUNKS };
  int row = threadIdx.x / CHUNKS, column = threadIdx.x % CHUNKS * 8;
  to += row * (D + PADDING) + column;
  from += column;
#pragma unroll
  for (int i = 0; i < COUNT; i += STEP) {
    int r = first + row + i;
    copy_async(to + i * (D + PADDING), from + (u64)min(r, end - 1) * ld, r < end);
  }
}

// The larger (or the sum) of the numbers of the four lanes that share a row of a fragment.
DEVICE float quad_max(float x) {
  x = max(x, __shfl_xor_sync(FULL, x, 1));
  return max(x, __shfl_xor_sync(FULL, x, 2));
}
DEVICE float quad_sum(float x) {
  x += __shfl_xor_sync(FULL, x, 1);
  return x + __shfl_xor_sync(FULL, x, 2);
}

// 2^n of an integer n <= 0 that is kept as a float, exactly; 0 below the smallest normal number.
DEVICE float power_of_two(float n) { return __int_as_float(max(127 + (int)max(n, -1000.0f), 0) << 23); }

// What a warp has of its 32 rows: two fragments of 16; a lane has rows g and g + 8 of each (g = lane / 4).
template <int D>
struct Rows {
  float out[2][D / 8][4];  // sum of P V
  float top[2][2];         // ceil of the largest scaled score in base 2
  float sum[2][2];         // of this lane's part of P
};

// scores [32, KEYS] = queries keys^T.
template <int D, int KEYS>
DEVICE void scores_of(float (&scores)[2][KEYS / 8][4], const bf16* queries, const bf16* keys) {
  int lane = threadIdx.x % 32;
  const bf16* q = queries + (lane & 15) * (D + PADDING) + (lane >> 4) * 8;
  const bf16* k = keys + ((lane & 7) + (lane >> 4) * 8) * (D + PADDING) + (lane >> 3 & 1) * 8;
#pragma unroll
  for (int m = 0; m < 2; m++)
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
      for (int c = 0; c < 4; c++) scores[m][n][c] = 0.0f;
#pragma unroll
  for (int d = 0; d < D; d += 16) {
    u32 a[2][4];
    load_matrices(a[0], q + d);
    load_matrices(a[1], q + 16 * (D + PADDING) + d);
#pragma unroll
    for (int n = 0; n < KEYS / 16; n++) {
      u32 b[4];
      load_matrices(b, k + n * 16 * (D + PADDING) + d);
#pragma unroll
      for (int m = 0; m < 2; m++) {
        multiply(scores[m][2 * n], a[m], b[0], b[1]);
        multiply(scores[m][2 * n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

// Scores that a row may not see become -infinity. `row`, `key`: those of scores[0][0][0] of this lane.
template <int KEYS>
DEVICE void hide(float (&scores)[2][KEYS / 8][4], int row, int key, int reach) {
#pragma unroll
  for (int m = 0; m < 2; m++)
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
      for (int c = 0; c < 4; c++) {
        int i = row + m * 16 + c / 2 * 8, j = key + n * 8 + c % 2;
        if (j > i || j <= i - reach) scores[m][n][c] = -INFINITE;
      }
}

// Scores of 16 rows become P, in place; what was summed before shrinks to the new maximum. `factor`: scale * log2 e.
template <int D, int KEYS>
DEVICE void soften(float (&out)[D / 8][4], float (&tops)[2], float (&sums)[2], float (&scores)[KEYS / 8][4], float factor) {
  float shrink[2];
  bool moved = false;
#pragma unroll
  for (int half = 0; half < 2; half++) {
    float highest = -INFINITE;
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++) highest = max(highest, max(scores[n][2 * half], scores[n][2 * half + 1]));
    float top = max(tops[half], ceilf(quad_max(highest) * factor));
    float base = top == -INFINITE ? 0.0f : top;  // nothing seen yet: every p is 0, none is NaN
    float sum = 0.0f;
#pragma unroll
    for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
      for (int c = 2 * half; c < 2 * half + 2; c++) {
        scores[n][c] = exp2_fast(__fmaf_rn(scores[n][c], factor, -base));
        sum += scores[n][c];
      }
    shrink[half] = power_of_two(tops[half] - base);
    moved |= top != tops[half];
    tops[half] = top;
    sums[half] = __fmaf_rn(sums[half], shrink[half], sum);
  }
  if (!__any_sync(FULL, moved)) return;  // both of `shrink` are 1
#pragma unroll
  for (int n = 0; n < D / 8; n++)
#pragma unroll
    for (int c = 0; c < 4; c++) out[n][c] *= shrink[c / 2];
}

// rows.out += P values; P is rounded to bf16.
template <int D, int KEYS>
DEVICE void mix(Rows<D>& rows, const float (&p)[2][KEYS / 8][4], const bf16* values) {
  int lane = threadIdx.x % 32;
  const bf16* v = values + (lane & 15) * (D + PADDING) + (lane >> 4) * 8;
#pragma unroll
  for (int k = 0; k < KEYS / 16; k++) {
    u32 a[2][4];
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
      for (int c = 0; c < 4; c++) a[m][c] = pack(p[m][2 * k + c / 2][c % 2 * 2], p[m][2 * k + c / 2][c % 2 * 2 + 1]);
#pragma unroll
    for (int n = 0; n < D / 16; n++) {
      u32 b[4];
      load_matrices_transposed(b, v + k * 16 * (D + PADDING) + n * 16);
#pragma unroll
      for (int m = 0; m < 2; m++) {
        multiply(rows.out[m][2 * n], a[m], b[0], b[1]);
        multiply(rows.out[m][2 * n + 1], a[m], b[2], b[3]);
      }
    }
  }
}

// Divides by the sums and writes the rows below `end`, through the warp's own rows of shared memory: 16 bytes a lane.
template <int D>
DEVICE void finish(Rows<D>& rows, bf16* room, bf16* out, float* lse, int first, int end, int ldo, int heads) {
  enum { CHUNKS = D / 8, LD = D + PADDING };
  int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int m = 0; m < 2; m++)
#pragma unroll
    for (int half = 0; half < 2; half++) {
      int row = m * 16 + half * 8 + g;
      float sum = quad_sum(rows.sum[m][half]), inverse = 1.0f / sum;
      if (t == 0 && first + row < end) lse[(u64)(first + row) * heads] = (rows.top[m][half] + log2_fast(sum)) * LN2;
#pragma unroll
      for (int n = 0; n < D / 8; n++)
        *(u32*)(room + row * LD + n * 8 + t * 2) =
            pack(rows.out[m][n][2 * half] * inverse, rows.out[m][n][2 * half + 1] * inverse);
    }
  __syncwarp();
#pragma unroll
  for (int i = lane; i < WARP_ROWS * CHUNKS; i += 32) {
    int row = i / CHUNKS, column = i % CHUNKS * 8;
    if (first + row < end) *(uint4*)(out + (u64)(first + row) * ldo + column) = *(const uint4*)(room + row * LD + column);
  }
}

template <int D, int KEYS>
DEVICE void attend(const bf16* qkv, const u32* starts, const u32* tiles, bf16* out, float* lse, int ld, int ldo, int heads,
                   int kv_heads, int window, float scale) {
  enum { LD = D + PADDING };
  SHARED(memory);
  bf16* queries = (bf16*)memory;     // [ROWS, LD]
  bf16* keys = queries + ROWS * LD;  // [2 stages][keys, values][KEYS, LD]
  int tile = blockIdx.x / heads, head = blockIdx.x % heads, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  u32 document = tiles[2 * tile];
  if (document == FULL) return;
  int first = tiles[2 * tile + 1], start = starts[document], end = starts[document + 1];
  int reach = window > 0 ? window : 0x7fffffff;
  const bf16* k = qkv + (heads + head / (heads / kv_heads)) * D;
  auto load_keys = [&](bf16* to, int key) {
    load_rows<D, KEYS>(to, k, key, end, ld);
    load_rows<D, KEYS>(to + KEYS * LD, k + kv_heads * D, key, end, ld);
    copy_commit();
  };
  // The warp's first row, and the first and the last key that the block's rows see.
  int row = first + warp * WARP_ROWS, last = min(first + ROWS, end) - 1;
  int key = start + (max(first - reach + 1, start) - start) / KEYS * KEYS;
  bf16* mine = queries + warp * WARP_ROWS * LD;

  Rows<D> rows = {};
#pragma unroll
  for (int m = 0; m < 2; m++) rows.top[m][0] = rows.top[m][1] = -INFINITE;
  load_rows<D, ROWS>(queries, qkv + head * D, first, end, ld);
  load_keys(keys, key);
  for (int stage = 0; key <= last; key += KEYS, stage ^= 1) {
    copy_wait<0>();
    __syncthreads();  // this tile is here for all, and all have done with the one before
    if (key + KEYS <= last) load_keys(keys + (stage ^ 1) * 2 * KEYS * LD, key + KEYS);
    bool any = row < end && key <= row + WARP_ROWS - 1 && key + KEYS - 1 > row - reach;
    bool all = key + KEYS - 1 <= row && key > row + WARP_ROWS - 1 - reach;
    if (!any) continue;
    const bf16* now = keys + stage * 2 * KEYS * LD;
    float scores[2][KEYS / 8][4];
    scores_of<D, KEYS>(scores, mine, now);
    if (!all) hide<KEYS>(scores, row + lane / 4, key + lane % 4 * 2, reach);
#pragma unroll
    for (int m = 0; m < 2; m++) soften<D, KEYS>(rows.out[m], rows.top[m], rows.sum[m], scores[m], scale * LOG2E);
    mix<D, KEYS>(rows, scores, now + KEYS * LD);
  }
  if (row < end) finish<D>(rows, mine, out + head * D, lse + head, row, end, ldo, heads);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attend_64(const bf16* qkv, const u32* starts, const u32* tiles, bf16* out, float* lse, int ld, int ldo, int heads, int kv_heads,
          int window, float scale) {
  attend<64, 64>(qkv, starts, tiles, out, lse, ld, ldo, heads, kv_heads, window, scale);
}

extern "C" __global__ void __launch_bounds__(THREADS)
attend_128(const bf16* qkv, const u32* starts, const u32* tiles, bf16* out, float* lse, int ld, int ldo, int heads, int kv_heads,
           int window, float scale) {
  attend<128, 32>(qkv, starts, tiles, out, lse, ld, ldo, heads, kv_heads, window, scale);
}

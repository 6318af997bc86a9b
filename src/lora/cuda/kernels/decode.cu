// One token after the other: attention of new tokens to cached keys and values, and the choice of the next token.
//
// attend_cached_64, attend_cached_128: one new token of each of n sequences. Its key and value are written to the cache, and it
//   attends to all of its sequence up to itself, or to the last `window` of them.
//   Shapes   qkv [n, ld] bf16, rotated, a row is [heads * D | kv_heads * D | kv_heads * D]; lengths [n]: where in the cache the
//            new token stands; cache [n, capacity, 2 * kv_heads * D] bf16, a row is [keys | values]; out [n, ldo] bf16. A
//            sequence with lengths[i] >= capacity takes no part: nothing of it is read or written. window <= 0: none.
//   Writes   = .
//   Precise  everything f32, P too; out is rounded to bf16 once.
//   Launch   grid [n * kv_heads * ceil(heads / kv_heads / 4)], block 256, dynamic shared memory 8 * 4 * (D + 2) * 4 bytes:
//            8,448 (D = 64), 16,640 (D = 128). Decoding is bound by reading the cache: a block reads a key once for up to
//            four query heads; a lane holds 8 columns, D / 8 lanes a key; each lane group of each warp has an own running
//            softmax over its own keys, two of them on their way at once (and two blocks on a multiprocessor: 32 KiB on their
//            way), and these are merged in a fixed order at the end. The new token's key and value are read from qkv, never
//            from the cache, into which one of the blocks writes them.
//   Matches  Plain::attend_cached; the cache bit for bit. Tolerance of out, u = 2^-24, n keys seen: as in attend.cu without the
//            rounding of P (spread = r p), and 8 u for each of at most n / 32 + 8 changes of the maximum.
//
// fill_cache: keys and values of whole documents into such a cache, document i as sequence i; rows from `capacity` on are left
//   out. qkv [M, ld]: columns `queries` .. queries + 2 * keys are copied, both multiples of 8. starts [documents + 1].
//   Grid [documents * 16], block 256, no shared memory. Matches Plain::fill_cache, bit for bit.
//
// greedy, sample: the next token of each of n rows of logits [n, ld] f32 over `vocabulary` >= 1 tokens (any number; ld a multiple of 8);
//   f32 since ties of likely tokens would be common in bf16. tokens [n] u32, log_probabilities [n] f32.
//   greedy   the largest logit; the smallest index of equal ones.
//   sample   a token with probability softmax(logits / temperature), temperature > 0: the first of an exponential race, that
//            is the largest logit / temperature - ln E, where E = -ln(1 - v) is an exponential number of each token and
//            v = (k + 1/2) 2^-23, k the upper 23 bits of word (token % 4) of Philox(counter = [token / 4, position, sequence,
//            0x73616d70], key = seed): one pass, and a function of (seed, sequence, position, logits) alone.
//   log_probabilities: log softmax of the logits as they are at the token that is taken; NaN if a logit is NaN, which is never taken.
//   Launch   grid [n], block 512, dynamic shared memory 256 bytes (16 warps' results): one read of the row, 16 bytes a lane.
//   Matches  f64 arithmetic. The token: greedy exactly; sample up to scores (base 2) closer than twice 2^-22 (1.44 / 0.09 + 26) + 240 u (the
//            logarithm in E is at least 0.09 and 2^-22 off). Tolerance of log_probabilities, x = logit - top, V tokens:
//            the sum's, sum e^x 3 u |x| / sum + 4 u + (V / 2048 + 22) 10 u + 2 u min(max |x|, 100) (a lane's steps, the warp's,
//            the block's: an addition and a new maximum each), and 3 u |x + ln sum| + 4 u (1 + ln sum) at the end.
#include "philox.cuh"

#define INFINITE __int_as_float(0x7f800000)
enum { ATTEND_THREADS = 256, WARPS = 8, HEADS = 4, AHEAD = 2, FILL_THREADS = 256, FILL_BLOCKS = 16, CHOOSE_THREADS = 512 };

// Eight numbers of 16 bytes.
DEVICE void widen(float (&to)[8], const uint4& from) {
  to[0] = low(from.x), to[1] = high(from.x), to[2] = low(from.y), to[3] = high(from.y);
  to[4] = low(from.z), to[5] = high(from.z), to[6] = low(from.w), to[7] = high(from.w);
}

// A running softmax of one query head over some of the keys, 8 columns a lane.
struct Running {
  float top, sum, out[8];
};

// Shrinks what was summed to a new maximum; returns what exponents are lowered by (0 while nothing was seen: no NaN).
DEVICE float rise(Running& state, float highest) {
  float top = max(state.top, highest), base = top == -INFINITE ? 0.0f : top;
  float shrink = exp2_fast(state.top - base);
  state.top = top;
  state.sum *= shrink;
#pragma unroll
  for (int c = 0; c < 8; c++) state.out[c] *= shrink;
  return base;
}

// Adds to the state of each lane group those of all others of the warp.
template <int LANES>
DEVICE void merge_groups(Running& state) {
#pragma unroll
  for (int o = LANES; o < 32; o *= 2) {
    rise(state, __shfl_xor_sync(FULL, state.top, o));  // both sides at the same maximum
    state.sum += __shfl_xor_sync(FULL, state.sum, o);
#pragma unroll
    for (int c = 0; c < 8; c++) state.out[c] += __shfl_xor_sync(FULL, state.out[c], o);
  }
}

// The work of one block of attend_cached.
struct Place {
  int sequence, length, query, count;  // query head and how many of them
  const bf16* cached;                  // this lane's columns of key 0; the value is `keys` further
  const bf16* fresh;                   // and of the new one
  int keys, lowest;
};

// The sums of one warp over its keys.
template <int D>
DEVICE void look(Running (&states)[HEADS], const Place& place, const float (&queries)[HEADS][8]) {
  enum { LANES = D / 8, GROUPS = 32 / LANES, STEP = WARPS * GROUPS };
  int warp = threadIdx.x / 32, group = threadIdx.x % 32 / LANES;
  for (int base = place.lowest + warp * GROUPS; base <= place.length; base += STEP * AHEAD) {
    uint4 keys[AHEAD], values[AHEAD];
#pragma unroll
    for (int u = 0; u < AHEAD; u++) {
      int j = min(base + group + u * STEP, place.length);
      const bf16* at = j < place.length ? place.cached + (u64)j * 2 * place.keys : place.fresh;
      keys[u] = *(const uint4*)at;
      values[u] = *(const uint4*)(at + place.keys);
    }
#pragma unroll
    for (int h = 0; h < HEADS; h++) {
      if (h >= place.count) break;
      float scores[AHEAD], highest = -INFINITE;
#pragma unroll
      for (int u = 0; u < AHEAD; u++) {
        float key[8], score = 0.0f;
        widen(key, keys[u]);
#pragma unroll
        for (int c = 0; c < 8; c++) score = __fmaf_rn(queries[h][c], key[c], score);
#pragma unroll
        for (int o = LANES / 2; o; o /= 2) score += __shfl_xor_sync(FULL, score, o);
        scores[u] = base + group + u * STEP <= place.length ? score : -INFINITE;
        highest = max(highest, scores[u]);
      }
      float lowered = rise(states[h], highest);
#pragma unroll
      for (int u = 0; u < AHEAD; u++) {
        float value[8], p = exp2_fast(scores[u] - lowered);
        widen(value, values[u]);
        states[h].sum += p;
#pragma unroll
        for (int c = 0; c < 8; c++) states[h].out[c] = __fmaf_rn(p, value[c], states[h].out[c]);
      }
    }
  }
}

template <int D>
DEVICE void attend_cached(const bf16* qkv, const u32* lengths, bf16* cache, bf16* out, int ld, int ldo, int heads, int kv_heads,
                          int capacity, int window, float scale) {
  enum { LANES = D / 8 };
  SHARED(memory);
  float* parts = (float*)memory;                               // [WARPS, HEADS, D]
  float2* statistics = (float2*)(parts + WARPS * HEADS * D);  // [WARPS, HEADS], top and sum
  int shared_by = heads / kv_heads, chunks = (shared_by + HEADS - 1) / HEADS;
  int chunk = blockIdx.x % chunks, head = blockIdx.x / chunks % kv_heads;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32, column = lane % LANES * 8;
  Place place;
  place.sequence = blockIdx.x / chunks / kv_heads;
  if (lengths[place.sequence] >= (u32)capacity) return;
  place.length = lengths[place.sequence];
  place.keys = kv_heads * D;
  place.query = head * shared_by + chunk * HEADS;
  place.count = min((int)HEADS, shared_by - chunk * HEADS);
  place.lowest = window > 0 ? max(place.length - window + 1, 0) : 0;
  const bf16* row = qkv + (u64)place.sequence * ld;
  bf16* sequence = cache + (u64)place.sequence * capacity * 2 * place.keys;
  place.cached = sequence + head * D + column;
  place.fresh = row + (heads + head) * D + column;

  float queries[HEADS][8];
  Running states[HEADS] = {};
#pragma unroll
  for (int h = 0; h < HEADS; h++) {
    states[h].top = -INFINITE;
    widen(queries[h], *(const uint4*)(row + (place.query + min(h, place.count - 1)) * D + column));
#pragma unroll
    for (int c = 0; c < 8; c++) queries[h][c] *= scale * LOG2E;
  }
  look<D>(states, place, queries);
#pragma unroll
  for (int h = 0; h < HEADS; h++) {
    merge_groups<LANES>(states[h]);
    if (lane < LANES) {
      // Every other four lanes write their upper half first: no bank conflicts.
      float* part = parts + (warp * HEADS + h) * D + column;
      const float(&o)[8] = states[h].out;
      float4 lower = {o[0], o[1], o[2], o[3]}, upper = {o[4], o[5], o[6], o[7]};
      bool swap = lane & 4;
      *(float4*)(part + (swap ? 4 : 0)) = swap ? upper : lower;
      *(float4*)(part + (swap ? 0 : 4)) = swap ? lower : upper;
    }
    if (lane == 0) statistics[warp * HEADS + h] = {states[h].top, states[h].sum};
  }
  __syncthreads();
  for (int i = threadIdx.x; i < place.count * D / 2; i += ATTEND_THREADS) {
    int h = i / (D / 2), c = i % (D / 2) * 2;
    float top = -INFINITE, sum = 0.0f, left = 0.0f, right = 0.0f;
#pragma unroll
    for (int w = 0; w < WARPS; w++) top = max(top, statistics[w * HEADS + h].x);
    float base = top == -INFINITE ? 0.0f : top;
#pragma unroll
    for (int w = 0; w < WARPS; w++) {
      float2 has = statistics[w * HEADS + h], part = *(const float2*)(parts + (w * HEADS + h) * D + c);
      float shrink = exp2_fast(has.x - base);
      sum = __fmaf_rn(has.y, shrink, sum);
      left = __fmaf_rn(part.x, shrink, left);
      right = __fmaf_rn(part.y, shrink, right);
    }
    *(u32*)(out + (u64)place.sequence * ldo + place.query * D + i * 2) = pack(left / sum, right / sum);
  }
  // The new key and value, by one block of each key head.
  if (chunk == 0 && threadIdx.x < 2 * LANES) {
    int offset = threadIdx.x / LANES * place.keys + head * D + threadIdx.x % LANES * 8;
    *(uint4*)(sequence + (u64)place.length * 2 * place.keys + offset) = *(const uint4*)(row + heads * D + offset);
  }
}

extern "C" __global__ void __launch_bounds__(ATTEND_THREADS, 2)
attend_cached_64(const bf16* qkv, const u32* lengths, bf16* cache, bf16* out, int ld, int ldo, int heads, int kv_heads,
                 int capacity, int window, float scale) {
  attend_cached<64>(qkv, lengths, cache, out, ld, ldo, heads, kv_heads, capacity, window, scale);
}

extern "C" __global__ void __launch_bounds__(ATTEND_THREADS, 2)
attend_cached_128(const bf16* qkv, const u32* lengths, bf16* cache, bf16* out, int ld, int ldo, int heads, int kv_heads,
                  int capacity, int window, float scale) {
  attend_cached<128>(qkv, lengths, cache, out, ld, ldo, heads, kv_heads, capacity, window, scale);
}

extern "C" __global__ void __launch_bounds__(FILL_THREADS)
fill_cache(const bf16* qkv, const u32* starts, bf16* cache, int ld, int queries, int keys, int capacity) {
  int document = blockIdx.x / FILL_BLOCKS, chunks = keys / 4;  // of 8 numbers, in a row of keys and values
  int first = starts[document], rows = min((int)starts[document + 1] - first, capacity);
  for (int row = blockIdx.x % FILL_BLOCKS; row < rows; row += FILL_BLOCKS) {
    const uint4* from = (const uint4*)(qkv + (u64)(first + row) * ld + queries);
    uint4* to = (uint4*)(cache + ((u64)document * capacity + row) * 2 * keys);
    for (int i = threadIdx.x; i < chunks; i += FILL_THREADS) to[i] = from[i];
  }
}

// What a lane, a warp, a block knows of the tokens it has looked at.
struct Seen {
  float top, sum;   // the largest logit; the sum of exp(logit - top)
  float best;       // what the choice is made by
  u32 token;        // whose it is
};

DEVICE Seen join(const Seen& a, const Seen& b) {
  Seen both;
  both.top = max(a.top, b.top);
  float base = both.top == -INFINITE ? 0.0f : both.top;
  both.sum = a.sum * exp2_fast((a.top - base) * LOG2E) + b.sum * exp2_fast((b.top - base) * LOG2E);
  bool second = b.best > a.best || (b.best == a.best && b.token < a.token);
  both.best = second ? b.best : a.best;
  both.token = second ? b.token : a.token;
  return both;
}

// Four logits from token `token` on, whose choice is made by `scores`.
DEVICE void see(Seen& seen, const float (&logits)[4], const float (&scores)[4], u32 token) {
  float highest = max(max(logits[0], logits[1]), max(logits[2], logits[3])), top = max(seen.top, highest);
  float base = top == -INFINITE ? 0.0f : top;
  seen.sum *= exp2_fast((seen.top - base) * LOG2E);
  seen.top = top;
#pragma unroll
  for (int i = 0; i < 4; i++) {
    seen.sum += exp2_fast((logits[i] - base) * LOG2E);
    if (scores[i] > seen.best) seen.best = scores[i], seen.token = token + i;
  }
}

// log2 of an exponential number of mean 1, of the bits of a word; never of 0.
DEVICE float log2_exponential(u32 bits) {
  float v = ((float)(bits >> 9) + 0.5f) * (1.0f / 8388608.0f);
  // -ln(1 - v): where v is small the logarithm's absolute error would be a large part of it.
  float series = v * (1.0f + v * (0.5f + v * (1.0f / 3.0f + v * (0.25f + v * 0.2f))));
  return log2_fast(v < 0.0625f ? series : -LN2 * log2_fast(1.0f - v));
}

template <bool CHANCE>
DEVICE void choose(const float* logits, u32* tokens, float* log_probabilities, int ld, int vocabulary, u32 sequence,
                   u32 position, u32 seed_low, u32 seed_high, float temperature) {
  SHARED(memory);
  Seen* parts = (Seen*)memory;  // [16]
  const float* row = logits + (u64)blockIdx.x * ld;
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  Seen seen = {-INFINITE, 0.0f, -INFINITE, FULL};
  for (int token = threadIdx.x * 4; token < vocabulary; token += CHOOSE_THREADS * 4) {
    float four[4], scores[4];
    if (token + 4 <= vocabulary) {
      float4 whole = *(const float4*)(row + token);
      four[0] = whole.x, four[1] = whole.y, four[2] = whole.z, four[3] = whole.w;
    } else {
#pragma unroll
      for (int i = 0; i < 4; i++) four[i] = token + i < vocabulary ? row[token + i] : -INFINITE;
    }
    Quad chance;
    if (CHANCE) chance = philox(token / 4, position, sequence, 0x73616d70u, seed_low, seed_high);
#pragma unroll
    for (int i = 0; i < 4; i++)
      scores[i] = CHANCE ? four[i] * (LOG2E / temperature) - log2_exponential(chance.n[i]) : four[i];
    see(seen, four, scores, token);
  }
#pragma unroll
  for (int o = 16; o; o /= 2) {
    Seen other = {__shfl_xor_sync(FULL, seen.top, o), __shfl_xor_sync(FULL, seen.sum, o), __shfl_xor_sync(FULL, seen.best, o),
                  __shfl_xor_sync(FULL, seen.token, o)};
    seen = join(seen, other);
  }
  if (lane == 0) parts[warp] = seen;
  __syncthreads();
  if (threadIdx.x) return;
  for (int w = 1; w < CHOOSE_THREADS / 32; w++) seen = join(seen, parts[w]);
  u32 token = seen.token == FULL ? 0 : seen.token;  // all of them -infinity or NaN
  tokens[blockIdx.x] = token;
  log_probabilities[blockIdx.x] = row[token] - seen.top - log2_fast(seen.sum) * LN2;
}

extern "C" __global__ void __launch_bounds__(CHOOSE_THREADS)
greedy(const float* logits, u32* tokens, float* log_probabilities, int ld, int vocabulary) {
  choose<false>(logits, tokens, log_probabilities, ld, vocabulary, 0, 0, 0, 0, 1.0f);
}

extern "C" __global__ void __launch_bounds__(CHOOSE_THREADS)
sample(const float* logits, const u32* sequences, const u32* positions, u32* tokens, float* log_probabilities, int ld,
       int vocabulary, u32 seed_low, u32 seed_high, float temperature) {
  choose<true>(logits, tokens, log_probabilities, ld, vocabulary, sequences[blockIdx.x], positions[blockIdx.x], seed_low,
               seed_high, temperature);
}

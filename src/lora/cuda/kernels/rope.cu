// Rotary position embedding of queries and keys, in place.
//
//   for each head and i < head_dim / 2, with (a, b) = (x[i], x[i + head_dim / 2]) and the angle of (position, i):
//   forwards (a cos - b sin, b cos + a sin), backwards (a cos + b sin, b cos - a sin)
//
// qkv [rows, ld] bf16: the first heads * head_dim columns are queries and keys side by side, the rest is untouched. cosine, sine f32
// [positions of the tables, head_dim / 2], made by the host from angles rounded to f32, with the model's attention factor in them;
// positions u32 [rows] must lie in the tables: who places a batch checks them. head_dim a power of two, 16 to 2048; ld a multiple of 8;
// pointers 16-byte aligned.
// Precision: f32 products, one rounding to bf16. The host makes the tables, so that no card's own sine decides a bit.
// Grid [rows], block 128, no shared memory: a block has a token, a thread a fixed place of eight pairs in each of its heads, so a
// thread reads its 64 bytes of tables once and each number of qkv is read and written once.
// Matches Plain::rope. Tolerance: four roundings to f32 (table, product, sum, and factor times cosine), 4 * 2^-24 (|a cos| + |b sin|), then
// one rounding to bf16.
#include "rows.cuh"

enum { THREADS = 128 };

extern "C" __global__ void __launch_bounds__(THREADS)
    rope(bf16* qkv, const float* cosine, const float* sine, const u32* positions, int rows, int heads, int head_dim, int ld, int back) {
  u32 row = blockIdx.x;
  if (row >= (u32)rows) return;
  u32 half = (u32)head_dim / 2, places = half / 8;
  u32 place = (threadIdx.x & (places - 1)) * 8;
  u64 angles = (u64)positions[row] * half + place;
  Eight cos = read_wide(cosine + angles), sin = read_wide(sine + angles);
  if (back) {
#pragma unroll
    for (int i = 0; i < 8; i++) sin.n[i] = -sin.n[i];
  }
  bf16* token = row_of(qkv, row, ld) + place;
  for (u32 head = threadIdx.x / places; head < (u32)heads; head += THREADS / places) {
    bf16* at = token + head * head_dim;
    Eight a = widen(read_eight(at)), b = widen(read_eight(at + half)), turned_a, turned_b;
#pragma unroll
    for (int i = 0; i < 8; i++) {
      turned_a.n[i] = a.n[i] * cos.n[i] - b.n[i] * sin.n[i];
      turned_b.n[i] = b.n[i] * cos.n[i] + a.n[i] * sin.n[i];
    }
    write_eight(at, pack_eight(turned_a));
    write_eight(at + half, pack_eight(turned_b));
  }
}

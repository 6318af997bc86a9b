// The tables in device memory that say where the trained numbers are: what AdamW and the norm of the gradients go through in
// one launch for all adapters of a model. The host writes them.
#pragma once
#include "machine.cuh"

enum { CHUNK = 4096, CHUNK_THREADS = 256 };

// One A [r, K] or one B [n, r], r being the true rank: what pads ranks is in no tensor, so nothing of it is ever written.
// Addresses are of number (0, 0); master and moments are contiguous.
struct Tensor {
  u64 master, gradient, first, second;  // f32
  u64 border;                           // bf16, inside the bordered weight; 0: there is none
  u32 columns;                          // K of an A, r of a B
  u32 gradient_ld, border_ld;           // from row to row, in numbers
  float scale;                          // what a number is multiplied by for the border: 1 for A, s for B
  u32 rule;                             // which rule it learns by
  u32 count;                            // rows * columns
};

// The numbers from `from`, a multiple of CHUNK, of a tensor: at most CHUNK.
struct Chunk {
  u32 tensor, from;
};

// Where number `at` stands in rows that are `ld` apart.
DEVICE u64 strided(u32 at, u32 columns, u32 ld) { return (u64)(at / columns) * ld + at % columns; }

DEVICE u32 end_of(const Tensor& tensor, const Chunk& chunk) { return min(tensor.count, chunk.from + CHUNK); }

DEVICE void write_border(const Tensor& tensor, u32 at, float number) {
  if (tensor.border) on_device<bf16>(tensor.border)[strided(at, tensor.columns, tensor.border_ld)] = narrow(tensor.scale * number);
}

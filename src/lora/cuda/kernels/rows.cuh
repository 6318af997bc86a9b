// Rows of bf16 numbers, eight neighbours at a time: the 16 bytes that a thread reads or writes at once.
#pragma once
#include "machine.cuh"

struct Eight {
  float n[8];
};

DEVICE Eight widen(uint4 packed) {
  return {{low(packed.x), high(packed.x), low(packed.y), high(packed.y), low(packed.z), high(packed.z), low(packed.w), high(packed.w)}};
}
DEVICE uint4 pack_eight(const Eight& x) {
  return make_uint4(pack(x.n[0], x.n[1]), pack(x.n[2], x.n[3]), pack(x.n[4], x.n[5]), pack(x.n[6], x.n[7]));
}

DEVICE uint4 read_eight(const bf16* at) { return *(const uint4*)at; }
DEVICE void write_eight(bf16* at, uint4 packed) { *(uint4*)at = packed; }

// Eight f32 numbers of a table or a gain, 16-byte aligned.
DEVICE Eight read_wide(const float* at) {
  float4 a = *(const float4*)at, b = *(const float4*)(at + 4);
  return {{a.x, a.y, a.z, a.w, b.x, b.y, b.z, b.w}};
}

// Where a row of a matrix begins; row times ld may pass 2^31.
template <typename Number>
DEVICE Number* row_of(Number* matrix, u32 row, int ld) {
  return matrix + (u64)row * (u32)ld;
}

// Philox 4x32-10 (Salmon et al., SC 2011), as `training::philox` has it: the mask of dropout, made again wherever it is needed.
#pragma once
#include "machine.cuh"

struct Quad {
  u32 n[4];
};

DEVICE Quad philox(u32 c0, u32 c1, u32 c2, u32 c3, u32 k0, u32 k1) {
#pragma unroll
  for (int round = 0; round < 10; round++) {
    u64 p0 = (u64)0xD2511F53u * c0, p1 = (u64)0xCD9E8D57u * c2;
    c0 = (u32)(p1 >> 32) ^ c1 ^ k0;
    c1 = (u32)p1;
    c2 = (u32)(p0 >> 32) ^ c3 ^ k1;
    c3 = (u32)p0;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {{c0, c1, c2, c3}};
}

// Which columns of a token are dropped: those whose number is below p.
struct Mask {
  u32 k0, k1, site;
  float p;     // share that is dropped; 0: none, and nothing is computed
  float keep;  // 1 / (1 - p)
};

// What columns 4q to 4q + 3 of the token (example, position) are multiplied by.
DEVICE void mask_factors(const Mask& mask, u32 example, u32 position, u32 q, float (&factors)[4]) {
  Quad quad = philox(q, position, example, mask.site, mask.k0, mask.k1);
#pragma unroll
  for (int i = 0; i < 4; i++) factors[i] = (float)(quad.n[i] >> 8) * (1.0f / 16777216.0f) < mask.p ? 0.0f : mask.keep;
}

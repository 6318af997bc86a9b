// The machine's words: types, bf16, warp reductions, and every instruction of the kernels that C++ has no word for.
// Nothing else holds inline PTX, and no CUDA header is needed. Sources: PTX ISA 8.0, the sections named.
#pragma once

typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int i32;
// A bf16 number is kept as its 16 bits.
typedef u16 bf16;

#define FULL 0xffffffffu
// The dynamic shared memory of a block.
#define SHARED(name) extern __shared__ __align__(128) unsigned char name[]
#define DEVICE static __device__ __forceinline__

// bf16 -> f32, exact.
DEVICE float wide(bf16 x) { return __uint_as_float((u32)x << 16); }
// The two numbers of a packed pair, the lower half first.
DEVICE float low(u32 pair) { return __uint_as_float(pair << 16); }
DEVICE float high(u32 pair) { return __uint_as_float(pair & 0xffff0000u); }
// f32 -> two bf16, round to nearest even (9.7.9.21 cvt).
DEVICE u32 pack(float lower, float upper) {
  u32 pair;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(upper), "f"(lower));
  return pair;
}
DEVICE bf16 narrow(float x) { return (bf16)pack(x, 0.0f); }

// 2^x and log2 x of the special function unit (9.7.3 ex2, lg2): relative error of 2^x at most 2^-22.
DEVICE float exp2_fast(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
DEVICE float log2_fast(float x) {
  float y;
  asm("lg2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}
#define LOG2E 1.4426950408889634f
#define LN2 0.6931471805599453f

// Sums of a warp in a fixed order: every lane gets the same bits.
DEVICE float warp_sum(float x) {
#pragma unroll
  for (int o = 16; o; o >>= 1) x += __shfl_xor_sync(FULL, x, o);
  return x;
}
DEVICE float warp_max(float x) {
#pragma unroll
  for (int o = 16; o; o >>= 1) x = max(x, __shfl_xor_sync(FULL, x, o));
  return x;
}

DEVICE u32 shared_address(const void* p) { return (u32)__cvta_generic_to_shared(p); }

// 16 bytes from global to shared memory in the background; zeros where not `valid` (9.7.8.24.3 cp.async).
DEVICE void copy_async(void* to, const void* from, bool valid) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 16 : 0) : "memory");
}
DEVICE void copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
// Waits until at most N groups of copies are still on their way.
template <int N>
DEVICE void copy_wait() {
  asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}

// Four 8 x 8 matrices of bf16 from shared memory into fragments (9.7.14.5.15 ldmatrix); lane i gives the address of row i.
DEVICE void load_matrices(u32 (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
DEVICE void load_matrices_transposed(u32 (&r)[4], const void* row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(shared_address(row)) : "memory");
}
// c [16 x 8] += a [16 x 16] b [16 x 8], bf16 in, f32 sums (9.7.14.5.8 mma.m16n8k16).
DEVICE void multiply(float (&c)[4], const u32 (&a)[4], u32 b0, u32 b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// 1 / x of the special function unit (9.7.3.13 rcp.approx): relative error at most 2^-23; 0 where x is above 2^126.
DEVICE float reciprocal_fast(float x) {
  float y;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// The same in f64.
DEVICE double warp_sum(double x) {
#pragma unroll
  for (int o = 16; o; o >>= 1) x += __shfl_xor_sync(FULL, x, o);
  return x;
}

// An address that a table in device memory holds; said to be global, so that accesses through it are not generic.
template <class T>
DEVICE T* on_device(u64 address) {
  return (T*)__cvta_global_to_generic(address);
}

// One step of AdamW over every adapter of a model in one launch, and its bf16 copy into the borders of the weights.
//
//   g = gradient * gradient_scale;  p *= keep;  m += toward (g - m);  v = v beta2 + rest2 g g
//   p -= size m / (sqrt(v) / root + epsilon);  border = bf16(scale p);  gradient = 0 with `clear`
//
// tensors, chunks: see trained.cuh; chunk_count of them. rules: one for each member of a packed sweep, in f32, made by the host
// in f64 as torch makes them: keep = 1 - lr decay, toward = 1 - beta1, rest2 = 1 - beta2, root = sqrt(1 - beta2^step),
// size = lr / (1 - beta1^step).
//
// Precision: f32, each operation rounded for itself (no fused multiply-add), in the order of lora::cpu::adapters; the border is
// rounded to bf16 once more after scale * p. Accumulation: master and moments are updated in place, border and gradient =.
// Grid (chunk_count), block 256, no shared memory: a thread takes every 256th number of its chunk of 4,096, so that a warp's
// accesses are side by side; 34 bytes a number (30 without `clear`): 0.3 ms for the 42 million numbers of an 8B model at rank 16.
// Matches Cpu::adamw bit by bit (same gradient, same rule). Plain::adamw keeps f64 within a step; with g scaled, m' and v' after
// the step, e = 2^-24, each rounding of the lines above counted, may differ by
//   m: 5e (1 - beta1) (|m| + |g|) + 2e |m'|;  v: 10e max(v, v');  p: 2e |p| + 2e |p'| + 13e |update| + what m's error moves it by
#include "trained.cuh"

struct Rule {
  float gradient_scale, keep, toward, beta2, rest2, root, epsilon, size;
};

struct Trained {
  float p, m, v;
};

DEVICE Trained learn(Trained old, float gradient, const Rule& rule) {
  float g = __fmul_rn(gradient, rule.gradient_scale);
  float m = __fadd_rn(old.m, __fmul_rn(rule.toward, __fsub_rn(g, old.m)));
  float v = __fadd_rn(__fmul_rn(old.v, rule.beta2), __fmul_rn(__fmul_rn(rule.rest2, g), g));
  float denominator = __fadd_rn(sqrtf(v) / rule.root, rule.epsilon);
  float p = __fsub_rn(__fmul_rn(old.p, rule.keep), __fmul_rn(rule.size, m) / denominator);
  return {p, m, v};
}

extern "C" __global__ void __launch_bounds__(CHUNK_THREADS)
    adamw(const Tensor* tensors, const Chunk* chunks, const Rule* rules, int chunk_count, int clear) {
  Chunk chunk = chunks[blockIdx.x];
  Tensor tensor = tensors[chunk.tensor];
  Rule rule = rules[tensor.rule];
  float *master = on_device<float>(tensor.master), *gradient = on_device<float>(tensor.gradient);
  float *first = on_device<float>(tensor.first), *second = on_device<float>(tensor.second);
  u32 end = end_of(tensor, chunk);
  for (u32 at = chunk.from + threadIdx.x; at < end; at += CHUNK_THREADS) {
    float* g = gradient + strided(at, tensor.columns, tensor.gradient_ld);
    Trained now = learn({master[at], first[at], second[at]}, *g, rule);
    master[at] = now.p;
    first[at] = now.m;
    second[at] = now.v;
    if (clear) *g = 0.0f;
    write_border(tensor, at, now.p);
  }
}

// The borders alone, of masters that were put there: at the start, and when training is taken up again.
extern "C" __global__ void __launch_bounds__(CHUNK_THREADS) borders(const Tensor* tensors, const Chunk* chunks, int chunk_count) {
  Chunk chunk = chunks[blockIdx.x];
  Tensor tensor = tensors[chunk.tensor];
  const float* master = on_device<float>(tensor.master);
  u32 end = end_of(tensor, chunk);
  for (u32 at = chunk.from + threadIdx.x; at < end; at += CHUNK_THREADS) write_border(tensor, at, master[at]);
}

// What the kernels of every compute capability share.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

namespace {

// Rows of one expert that one block computes: at most the rows of its tile.
struct Tile {
  int expert;
  int first;
  int rows;
  int unused;
};

// The projections of one expert: rows are outputs, padded to kPad inputs with zeros. A bias that is absent is null.
template <typename T>
struct Expert {
  const T* w1;
  const T* w3;
  const T* w2;
  const float* b1;
  const float* b3;
  const float* b2;
  // Tensor maps of both inner projections and of w2, for kernels that copy tiles with them.
  const void* innerMap;
  const void* outerMap;
};

// As CudaExpertKernel numbers them.
enum Kind {
  SILU,
  GELU,
  GELU_TANH,
  SWIGLU_OAI,
  SWIGLU_STEP,
  SITU,
  SILU_NO_MUL,
  GELU_NO_MUL,
  GELU_TANH_NO_MUL,
  RELU2_NO_MUL
};

struct Activation {
  int kind;
  float alpha;
  float beta;
  float limit;
};

// BRIEF: to about 1e-6, which is far below what is lost where the result is stored in 16 bits.
template <bool BRIEF>
__device__ __forceinline__ float sigmoid(float x) {
  return BRIEF ? __fdividef(1.0f, 1.0f + __expf(-x)) : 1.0f / (1.0f + expf(-x));
}

__device__ __forceinline__ float gelu(float x) { return 0.5f * x * erfcf(-x * 0.70710678118654752f); }

__device__ __forceinline__ float geluTanh(float x) {
  return 0.5f * x * (1.0f + tanhf(0.79788456080286536f * (x + 0.044715f * x * x * x)));
}

// Comparisons rather than fminf and fmaxf, which drop a NaN.
__device__ __forceinline__ float atMost(float x, float limit) { return x > limit ? limit : x; }

__device__ __forceinline__ float clamp(float x, float limit) {
  return x > limit ? limit : (x < -limit ? -limit : x);
}

template <bool BRIEF>
__device__ __forceinline__ float activate(const Activation& a, float gate, float up) {
  if (a.kind == SWIGLU_STEP) {
    return atMost(gate * sigmoid<BRIEF>(gate), a.limit) * clamp(up, a.limit);
  }
  float g = atMost(gate, a.limit);
  float u = clamp(up, a.limit);
  switch (a.kind) {
    case SILU:
      return g * sigmoid<BRIEF>(g) * u;
    case GELU:
      return gelu(g) * u;
    case GELU_TANH:
      return geluTanh(g) * u;
    case SWIGLU_OAI:
      return g * sigmoid<BRIEF>(a.alpha * g) * (u + a.beta);
    case SITU: {
      float bound = a.beta * a.alpha;
      float bounded = a.alpha == 0.0f ? u : bound * tanhf(u / bound);
      return a.beta * tanhf(g / a.beta) * sigmoid<BRIEF>(g) * bounded;
    }
    case SILU_NO_MUL:
      return g * sigmoid<BRIEF>(g);
    case GELU_NO_MUL:
      return gelu(g);
    case GELU_TANH_NO_MUL:
      return geluTanh(g);
    default:
      return g < 0.0f ? 0.0f : g * g;
  }
}

__device__ __forceinline__ void narrow(float value, __nv_bfloat16& to) { to = __float2bfloat16_rn(value); }
__device__ __forceinline__ void narrow(float value, __half& to) { to = __float2half_rn(value); }
__device__ __forceinline__ void narrow(float value, float& to) { to = value; }

__device__ __forceinline__ uint32_t pack(__nv_bfloat16 low, __nv_bfloat16 high) {
  return (uint32_t)__bfloat16_as_ushort(low) | ((uint32_t)__bfloat16_as_ushort(high) << 16);
}
__device__ __forceinline__ uint32_t pack(__half low, __half high) {
  return (uint32_t)__half_as_ushort(low) | ((uint32_t)__half_as_ushort(high) << 16);
}

}  // namespace

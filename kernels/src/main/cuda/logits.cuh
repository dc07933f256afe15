// What kernels of logits share.
//
// Logits are those of SCALAR: sums of f64 in ascending k, rounded to f32 once. A product of two f32 is exact in f64, so
// that a fused multiply-add gives the same bits as the two steps of SCALAR.

#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

namespace {

__device__ __forceinline__ float widen(float value) { return value; }
__device__ __forceinline__ float widen(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ __forceinline__ float widen(__half value) { return __half2float(value); }

constexpr int kThreads = 256;  // of a block
// Neighbouring values of k that a thread brings: whole sectors of memory.
constexpr int kPart = 8;

// kPart values of row `row` from `k` on; zeros past the ends. `whole`: the parts of all rows are aligned.
template <typename T>
__device__ __forceinline__ void bring(T (&to)[kPart], const T* from, int row, int rows, int k, int cols, bool whole) {
  constexpr int kAtOnce = 16 / sizeof(T);
  const T* at = from + (int64_t)row * cols + k;
  if (whole && row < rows && k < cols) {
#pragma unroll
    for (int i = 0; i < kPart; i += kAtOnce) {
      *(uint4*)(to + i) = *(const uint4*)(at + i);
    }
  } else {
#pragma unroll
    for (int i = 0; i < kPart; i++) {
      to[i] = row < rows && k + i < cols ? at[i] : T(0.0f);
    }
  }
}

// The sum of a token for an expert, as it is written.
__device__ __forceinline__ void storeLogit(
    float* out, double sum, const float* biasOrNull, int token, int tokens, int expert, int experts) {
  if (token < tokens && expert < experts) {
    out[(int64_t)token * experts + expert] =
        __double2float_rn(biasOrNull == nullptr ? sum : __dadd_rn(sum, biasOrNull[expert]));
  }
}

}  // namespace

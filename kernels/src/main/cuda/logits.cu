// Logits on the GPU, for compute capability 8.0 and later: those of SCALAR.
//
// Logits are sums of f64 in ascending k, rounded to f32 once. A product of two f32 is exact in f64, so that a fused
// multiply-add gives the same bits as the two steps of SCALAR.

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <stdint.h>

namespace {

__device__ __forceinline__ float widen(float value) { return value; }
__device__ __forceinline__ float widen(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ __forceinline__ float widen(__half value) { return __half2float(value); }

// A block of 256 threads makes the logits of TOKENS tokens for EXPERTS experts, each thread those of EACH tokens for
// EACH experts. k is taken in steps of kDepth, of which the next is on its way while one is multiplied.
constexpr int kDepth = 16;
constexpr int kThreads = 256;
// Neighbouring values of k that a thread brings: whole sectors of memory.
constexpr int kPart = 8;

template <int COLS>
struct Operand {
  // k by token or expert; two more, so that neighbours in k lie in different banks.
  double value[kDepth][COLS + 2];
};

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

template <typename T, int TOKENS, int EXPERTS, int EACH>
__device__ __forceinline__ void logits(
    const T* x, const float* router, const float* biasOrNull, float* out, int tokens, int experts, int hidden) {
  constexpr int kAcross = EXPERTS / EACH;
  static_assert(TOKENS / EACH * kAcross == kThreads, "a thread for each part of the tile");
  __shared__ __align__(16) Operand<TOKENS> xs[2];
  __shared__ __align__(16) Operand<EXPERTS> ws[2];
  const int firstToken = blockIdx.x * TOKENS;
  const int firstExpert = blockIdx.y * EXPERTS;
  const int ownToken = threadIdx.x / kAcross * EACH;
  // Experts in pairs, all first pairs of the threads beside each other, then all second ones.
  const int ownPair = threadIdx.x % kAcross * 2;
  double acc[EACH][EACH];
#pragma unroll
  for (int t = 0; t < EACH; t++) {
#pragma unroll
    for (int e = 0; e < EACH; e++) {
      acc[t][e] = 0.0;
    }
  }
  const bool whole = hidden % kPart == 0 && ((uintptr_t)x & 15) == 0;
  const bool bringsX = threadIdx.x < TOKENS * (kDepth / kPart);
  const bool bringsW = kThreads - 1 - threadIdx.x < EXPERTS * (kDepth / kPart);
  const int xRow = threadIdx.x % TOKENS;
  const int xPart = threadIdx.x / TOKENS * kPart;
  const int wRow = (kThreads - 1 - threadIdx.x) % EXPERTS;
  const int wPart = (kThreads - 1 - threadIdx.x) / EXPERTS * kPart;
  __align__(16) T nextX[kPart];
  __align__(16) float nextW[kPart];
  auto load = [&](int at) {
    if (bringsX) {
      bring(nextX, x, firstToken + xRow, tokens, at + xPart, hidden, whole);
    }
    if (bringsW) {
      bring(nextW, router, firstExpert + wRow, experts, at + wPart, hidden, whole);
    }
  };
  auto store = [&](int half) {
    if (bringsX) {
#pragma unroll
      for (int i = 0; i < kPart; i++) {
        xs[half].value[xPart + i][xRow] = widen(nextX[i]);
      }
    }
    if (bringsW) {
#pragma unroll
      for (int i = 0; i < kPart; i++) {
        ws[half].value[wPart + i][wRow] = nextW[i];
      }
    }
  };
  load(0);
  store(0);
  __syncthreads();
  int half = 0;
#pragma unroll 1
  for (int at = 0; at < hidden; at += kDepth) {
    load(at + kDepth);
#pragma unroll
    for (int k = 0; k < kDepth; k++) {
      double a[EACH];
      double b[EACH];
#pragma unroll
      for (int i = 0; i < EACH; i += 2) {
        const double2 two = *(const double2*)&xs[half].value[k][ownToken + i];
        a[i] = two.x;
        a[i + 1] = two.y;
        const double2 pair = *(const double2*)&ws[half].value[k][ownPair + i * kAcross];
        b[i] = pair.x;
        b[i + 1] = pair.y;
      }
#pragma unroll
      for (int t = 0; t < EACH; t++) {
#pragma unroll
        for (int e = 0; e < EACH; e++) {
          acc[t][e] = __fma_rn(a[t], b[e], acc[t][e]);
        }
      }
    }
    // Nobody reads the other half any more since the last barrier.
    half ^= 1;
    store(half);
    __syncthreads();
  }
#pragma unroll
  for (int t = 0; t < EACH; t++) {
    const int token = firstToken + ownToken + t;
#pragma unroll
    for (int e = 0; e < EACH; e++) {
      const int expert = firstExpert + ownPair + (e & ~1) * kAcross + (e & 1);
      if (token < tokens && expert < experts) {
        const double sum = biasOrNull == nullptr ? acc[t][e] : __dadd_rn(acc[t][e], biasOrNull[expert]);
        out[(int64_t)token * experts + expert] = __double2float_rn(sum);
      }
    }
  }
}

// The same sums by tensor cores for f64, which the GPUs of compute capability 8.0 and 9.0 have: twice the rate. A matrix
// instruction adds its four products to a sum one after the other in ascending k, each rounded as a fused multiply-add,
// which NVIDIA does not promise; SelfCheck tries it on every GPU. Eight warps share TOKENS tokens by 64 experts; each has
// TILES times 8 tokens.
constexpr int kTensorExperts = 64;
constexpr int kTensorPitch = kDepth + 4;  // such that eight rows of four lie in different banks

template <typename T, int TOKENS, int TILES>
__device__ __forceinline__ void tensorLogits(
    const T* x, const float* router, const float* biasOrNull, float* out, int tokens, int experts, int hidden) {
  constexpr int kDown = TOKENS / (TILES * 8);  // warps over tokens
  constexpr int kAcross = kTensorExperts / 8 / (kThreads / 32 / kDown);  // tiles of experts of a warp
  constexpr int kParts = kDepth / kPart;
  __shared__ __align__(16) double xs[2][TOKENS * kTensorPitch];
  __shared__ __align__(16) double ws[2][kTensorExperts * kTensorPitch];
  const int lane = threadIdx.x & 31;
  const int warp = threadIdx.x >> 5;
  const int firstToken = blockIdx.x * TOKENS;
  const int firstExpert = blockIdx.y * kTensorExperts;
  const int ownToken = warp % kDown * TILES * 8;
  const int ownExpert = warp / kDown * kAcross * 8;
  double acc[TILES][kAcross][2];
#pragma unroll
  for (int t = 0; t < TILES; t++) {
#pragma unroll
    for (int e = 0; e < kAcross; e++) {
      acc[t][e][0] = 0.0;
      acc[t][e][1] = 0.0;
    }
  }
  const bool whole = hidden % kPart == 0 && ((uintptr_t)x & 15) == 0;
  const bool bringsX = threadIdx.x < TOKENS * kParts;
  const int other = kThreads - 1 - threadIdx.x;
  const bool bringsW = other < kTensorExperts * kParts;
  const int xAt = threadIdx.x / kParts * kTensorPitch + threadIdx.x % kParts * kPart;
  const int wAt = other / kParts * kTensorPitch + other % kParts * kPart;
  __align__(16) T nextX[kPart];
  __align__(16) float nextW[kPart];
  auto load = [&](int at) {
    if (bringsX) {
      bring(nextX, x, firstToken + threadIdx.x / kParts, tokens, at + threadIdx.x % kParts * kPart, hidden, whole);
    }
    if (bringsW) {
      bring(nextW, router, firstExpert + other / kParts, experts, at + other % kParts * kPart, hidden, whole);
    }
  };
  auto store = [&](int half) {
#pragma unroll
    for (int i = 0; i < kPart; i += 2) {
      if (bringsX) {
        *(double2*)&xs[half][xAt + i] = make_double2(widen(nextX[i]), widen(nextX[i + 1]));
      }
      if (bringsW) {
        *(double2*)&ws[half][wAt + i] = make_double2(nextW[i], nextW[i + 1]);
      }
    }
  };
  load(0);
  store(0);
  __syncthreads();
  int half = 0;
#pragma unroll 1
  for (int at = 0; at < hidden; at += kDepth) {
    load(at + kDepth);
#pragma unroll
    for (int k = 0; k < kDepth; k += 4) {
      // Of a tile of 8 by 4, a thread has row lane / 4 and column lane % 4.
      double a[TILES];
      double b[kAcross];
#pragma unroll
      for (int t = 0; t < TILES; t++) {
        a[t] = xs[half][(ownToken + t * 8 + (lane >> 2)) * kTensorPitch + k + (lane & 3)];
      }
#pragma unroll
      for (int e = 0; e < kAcross; e++) {
        b[e] = ws[half][(ownExpert + e * 8 + (lane >> 2)) * kTensorPitch + k + (lane & 3)];
      }
#pragma unroll
      for (int t = 0; t < TILES; t++) {
#pragma unroll
        for (int e = 0; e < kAcross; e++) {
          asm volatile(
              "mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, {%0, %1};\n"
              : "+d"(acc[t][e][0]), "+d"(acc[t][e][1])
              : "d"(a[t]), "d"(b[e]));
        }
      }
    }
    half ^= 1;
    store(half);
    __syncthreads();
  }
#pragma unroll
  for (int t = 0; t < TILES; t++) {
    const int token = firstToken + ownToken + t * 8 + (lane >> 2);
#pragma unroll
    for (int e = 0; e < kAcross; e++) {
#pragma unroll
      for (int c = 0; c < 2; c++) {
        const int expert = firstExpert + ownExpert + e * 8 + (lane & 3) * 2 + c;
        if (token < tokens && expert < experts) {
          const double sum = biasOrNull == nullptr ? acc[t][e][c] : __dadd_rn(acc[t][e][c], biasOrNull[expert]);
          out[(int64_t)token * experts + expert] = __double2float_rn(sum);
        }
      }
    }
  }
}

}  // namespace

// Few sums a thread where there are few tokens: the way through k is long, and nothing else fills the GPU.
#define LOGITS(NAME, T, TOKENS, EXPERTS, EACH)                                                                     \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                          \
      logits_##NAME(const T* x, const float* router, const float* biasOrNull, float* out, int tokens, int experts, \
                    int hidden) {                                                                                 \
    logits<T, TOKENS, EXPERTS, EACH>(x, router, biasOrNull, out, tokens, experts, hidden);                        \
  }
#define BOTH_LOGITS(NAME, T) LOGITS(many_##NAME, T, 64, 64, 4) LOGITS(few_##NAME, T, 16, 64, 2)

BOTH_LOGITS(f32, float)
BOTH_LOGITS(bf16, __nv_bfloat16)
BOTH_LOGITS(f16, __half)

#define TENSOR_LOGITS(NAME, T, TOKENS, TILES)                                                                      \
  extern "C" __global__ void __launch_bounds__(kThreads) logits_tensor_##NAME(                                     \
      const T* x, const float* router, const float* biasOrNull, float* out, int tokens, int experts, int hidden) { \
    tensorLogits<T, TOKENS, TILES>(x, router, biasOrNull, out, tokens, experts, hidden);                           \
  }
#define BOTH_TENSOR_LOGITS(NAME, T) TENSOR_LOGITS(many_##NAME, T, 64, 4) TENSOR_LOGITS(few_##NAME, T, 32, 2)

BOTH_TENSOR_LOGITS(f32, float)
BOTH_TENSOR_LOGITS(bf16, __nv_bfloat16)
BOTH_TENSOR_LOGITS(f16, __half)

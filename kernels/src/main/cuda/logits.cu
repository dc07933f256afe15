// Logits on GPUs of compute capability 8.0 and later without tensor cores for f64.

#include "logits.cuh"

namespace {

// A block of 256 threads makes the logits of TOKENS tokens for EXPERTS experts, each thread those of EACH tokens for
// EACH experts. k is taken in steps of kDepth, of which the next is on its way while one is multiplied.
constexpr int kDepth = 16;

template <int COLS>
struct Operand {
  // k by token or expert; two more, so that neighbours in k lie in different banks.
  double value[kDepth][COLS + 2];
};

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
      storeLogit(out, acc[t][e], biasOrNull, token, tokens, expert, experts);
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

// Logits by tensor cores for f64, which the GPUs of compute capability 8.0 and 9.0 have: twice the rate of single
// multiplications. A matrix instruction adds its products to a sum one after the other in ascending k, each rounded as a
// fused multiply-add, which NVIDIA does not promise; SelfCheck tries it on every GPU.

#include "logits.cuh"

namespace {

// Eight warps share TOKENS tokens by kTileExperts experts; each has kOwnTokens tokens. k is taken in steps of DEPTH, of
// which kAhead are on their way from memory, each in registers of its own: more of them leave room for fewer blocks.
constexpr int kTileExperts = 64;
constexpr int kOwnTokens = 16;
constexpr int kAhead = 2;
static_assert(kAhead % 2 == 0, "halves of shared memory take turns");

// Where value k of a row lies among its tile's, two beside each other: swizzled, such that four rows of four and eight
// parts of rows lie in different banks.
template <int DEPTH>
__device__ __forceinline__ int placeOf(int row, int k) {
  const int pair = k >> 1;
  return row * DEPTH + ((pair ^ (row & 3) << 1 ^ pair / (DEPTH / 4)) << 1 | k & 1);
}

// acc += 16 tokens by 16 of k times 16 of k by 8 experts. Of 8 by 4 values, a thread has row lane / 4 and column
// lane % 4, of 8 by 8 sums row lane / 4 and columns 2 (lane % 4) and the next.
__device__ __forceinline__ void multiply(double (&acc)[4], const double (&a)[8], const double (&b)[4]) {
#if __CUDA_ARCH__ >= 900
  asm("mma.sync.aligned.m16n8k16.row.col.f64.f64.f64.f64 {%0, %1, %2, %3}, {%4, %5, %6, %7, %8, %9, %10, %11}, "
      "{%12, %13, %14, %15}, {%0, %1, %2, %3};\n"
      : "+d"(acc[0]), "+d"(acc[1]), "+d"(acc[2]), "+d"(acc[3])
      : "d"(a[0]), "d"(a[1]), "d"(a[2]), "d"(a[3]), "d"(a[4]), "d"(a[5]), "d"(a[6]), "d"(a[7]), "d"(b[0]), "d"(b[1]),
        "d"(b[2]), "d"(b[3]));
#else
#pragma unroll
  for (int i = 0; i < 4; i++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      asm("mma.sync.aligned.m8n8k4.row.col.f64.f64.f64.f64 {%0, %1}, {%2}, {%3}, {%0, %1};\n"
          : "+d"(acc[half * 2]), "+d"(acc[half * 2 + 1])
          : "d"(a[i * 2 + half]), "d"(b[i]));
    }
  }
#endif
}

template <typename T, int TOKENS, int DEPTH>
__device__ __forceinline__ void logits(
    const T* x, const float* router, const float* biasOrNull, float* out, int tokens, int experts, int hidden) {
  constexpr int kDown = TOKENS / kOwnTokens;  // warps over tokens
  constexpr int kAcross = kTileExperts / 8 / (kThreads / 32 / kDown);  // by 8 experts of a warp
  constexpr int kParts = DEPTH / kPart;
  __shared__ __align__(16) double xs[2][TOKENS * DEPTH];
  __shared__ __align__(16) double ws[2][kTileExperts * DEPTH];
  const int lane = threadIdx.x & 31;
  const int warp = threadIdx.x >> 5;
  const int firstToken = blockIdx.x * TOKENS;
  const int firstExpert = blockIdx.y * kTileExperts;
  const int ownToken = warp % kDown * kOwnTokens + (lane >> 2);
  const int ownExpert = warp / kDown * kAcross * 8;
  double acc[kAcross][4];
#pragma unroll
  for (int e = 0; e < kAcross; e++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      acc[e][i] = 0.0;
    }
  }
  const bool whole = hidden % kPart == 0 && ((uintptr_t)x & 15) == 0;
  const int other = kThreads - 1 - threadIdx.x;
  const bool bringsX = threadIdx.x < TOKENS * kParts;
  const bool bringsW = other < kTileExperts * kParts;
  const int xRow = threadIdx.x / kParts;
  const int xPart = threadIdx.x % kParts * kPart;
  const int wRow = other / kParts;
  const int wPart = other % kParts * kPart;
  __align__(16) T nextX[kAhead][kPart];
  __align__(16) float nextW[kAhead][kPart];
  auto load = [&](int to, int at) {
    if (bringsX) {
      bring(nextX[to], x, firstToken + xRow, tokens, at + xPart, hidden, whole);
    }
    if (bringsW) {
      bring(nextW[to], router, firstExpert + wRow, experts, at + wPart, hidden, whole);
    }
  };
  auto store = [&](int half, int from) {
#pragma unroll
    for (int i = 0; i < kPart; i += 2) {
      if (bringsX) {
        *(double2*)&xs[half][placeOf<DEPTH>(xRow, xPart + i)] =
            make_double2(widen(nextX[from][i]), widen(nextX[from][i + 1]));
      }
      if (bringsW) {
        *(double2*)&ws[half][placeOf<DEPTH>(wRow, wPart + i)] = make_double2(nextW[from][i], nextW[from][i + 1]);
      }
    }
  };
  auto multiplyHalf = [&](int half) {
#pragma unroll
    for (int k = 0; k < DEPTH; k += 16) {
      double a[8];
#pragma unroll
      for (int i = 0; i < 8; i++) {
        a[i] = xs[half][placeOf<DEPTH>(ownToken + (i & 1) * 8, k + (i >> 1) * 4 + (lane & 3))];
      }
#pragma unroll
      for (int e = 0; e < kAcross; e++) {
        double b[4];
#pragma unroll
        for (int i = 0; i < 4; i++) {
          b[i] = ws[half][placeOf<DEPTH>(ownExpert + e * 8 + (lane >> 2), k + i * 4 + (lane & 3))];
        }
        multiply(acc[e], a, b);
      }
    }
  };
#pragma unroll
  for (int step = 0; step < kAhead; step++) {
    load(step, step * DEPTH);
  }
  store(0, 0);
  load(0, kAhead * DEPTH);
  __syncthreads();
#pragma unroll 1
  for (int first = 0; first < hidden; first += kAhead * DEPTH) {
#pragma unroll
    for (int step = 0; step < kAhead; step++) {
      const int at = first + step * DEPTH;
      if (at < hidden) {
        multiplyHalf(step & 1);
        // Nobody reads the other half any more since the last barrier.
        store(step + 1 & 1, (step + 1) % kAhead);
        load((step + 1) % kAhead, at + (kAhead + 1) * DEPTH);
        __syncthreads();
      }
    }
  }
#pragma unroll
  for (int e = 0; e < kAcross; e++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int expert = firstExpert + ownExpert + e * 8 + (lane & 3) * 2 + (i & 1);
      storeLogit(out, acc[e][i], biasOrNull, firstToken + ownToken + (i >> 1) * 8, tokens, expert, experts);
    }
  }
}

}  // namespace

// Few sums a block where there are few tokens: the way through k is long, and nothing else fills the GPU.
#define LOGITS(NAME, T, TOKENS, DEPTH)                                                                            \
  extern "C" __global__ void __launch_bounds__(kThreads)                                                          \
      logits_##NAME(const T* x, const float* router, const float* biasOrNull, float* out, int tokens, int experts, \
                    int hidden) {                                                                                 \
    logits<T, TOKENS, DEPTH>(x, router, biasOrNull, out, tokens, experts, hidden);                                \
  }
#define BOTH_LOGITS(NAME, T) LOGITS(many_##NAME, T, 64, 16) LOGITS(few_##NAME, T, 32, 32)

BOTH_LOGITS(f32, float)
BOTH_LOGITS(bf16, __nv_bfloat16)
BOTH_LOGITS(f16, __half)

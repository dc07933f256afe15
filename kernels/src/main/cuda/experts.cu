// The feed-forward of mixture-of-experts layers over rows sorted by expert, for compute capability 8.0 and later.

#include "tiles.cuh"

namespace {

// Tensor cores: a block of 4 warps, each of which makes 64 x 64 of a tile of 128 rows x 128 sums.
constexpr int kSlices = 4;
constexpr int kStages = 3;
constexpr int kThreads = Place<kSlices>::kThreads;
constexpr int kStageBytes = 2 * kOperandBytes;

// The 128 x 128 sums over k of a tile: rows of `a`, and rows of `b` (outputs) that each thread copies from `bFrom`
// on, every `bStride` rows, up to row `bRows`.
template <typename T>
__device__ __forceinline__ void sums(
    float (&acc)[4][8][4], const T* a, const int (&aRow)[8], const T* b, int bFrom, int bStride, int bRows, int k) {
  extern __shared__ __align__(128) unsigned char memory[];
  const uint32_t base = (uint32_t)__cvta_generic_to_shared(memory);
  const int thread = threadIdx.x;
  const int lane = thread & 31;
  const int warpRow = (thread >> 5) & 1;
  const int warpCol = thread >> 6;
  const int chunk = thread & 7;
  const int row = thread >> 3;

  const T* from[8];
  uint32_t bOffset[8];
#pragma unroll
  for (int i = 0; i < 8; i++) {
    from[i] = a + (int64_t)aRow[i] * k + chunk * 8;
    int n = bFrom + i * bStride;
    bOffset[i] = (uint32_t)(n < bRows ? n : bRows - 1) * (uint32_t)k + chunk * 8;
  }
  auto load = [&](int step) {
    uint32_t to = base + (step % kStages) * kStageBytes;
    int at = step * kDepth;
#pragma unroll
    for (int i = 0; i < 8; i++) {
      copyAsync(to + swizzled(row + 16 * i, chunk), from[i] + at);
    }
#pragma unroll
    for (int i = 0; i < 8; i++) {
      copyAsync(to + kOperandBytes + swizzled(row + 16 * i, chunk), b + (size_t)bOffset[i] + at);
    }
  };

  clear(acc);
  const int steps = k / kDepth;
#pragma unroll
  for (int step = 0; step < kStages - 1; step++) {
    if (step < steps) {
      load(step);
    }
    commit();
  }
  const int aLaneRow = warpRow * 64 + (lane & 15);
  const int aLaneChunk = lane >> 4;
  const int bLaneRow = warpCol * 64 + (lane & 7) + ((lane >> 4) << 3);
  const int bLaneChunk = (lane >> 3) & 1;
  // Two sets of operands in registers: while one is multiplied, the next is read.
  uint32_t af[2][4][4];
  uint32_t bf[2][4][4];
  auto read = [&](int set, uint32_t stage, int kk) {
#pragma unroll
    for (int m = 0; m < 4; m++) {
      ldmatrix(af[set][m], stage + swizzled(aLaneRow + m * 16, kk * 2 + aLaneChunk));
    }
#pragma unroll
    for (int n = 0; n < 4; n++) {
      ldmatrix(bf[set][n], stage + kOperandBytes + swizzled(bLaneRow + n * 16, kk * 2 + bLaneChunk));
    }
  };
  constexpr int kSteps = kDepth / 16;
  waitAllBut<kStages - 2>();
  __syncthreads();
  read(0, base, 0);
#pragma unroll 1
  for (int step = 0; step < steps; step++) {
    const uint32_t stage = base + (step % kStages) * kStageBytes;
    const uint32_t next = base + ((step + 1) % kStages) * kStageBytes;
#pragma unroll
    for (int kk = 0; kk < kSteps; kk++) {
      if (kk == kSteps - 1) {
        // The next stage has arrived, and after the barrier nobody reads this one any more.
        waitAllBut<kStages - 2>();
        __syncthreads();
        read((kk + 1) & 1, next, 0);
      } else {
        read((kk + 1) & 1, stage, kk + 1);
      }
      if (kk == 0) {
        if (step + kStages - 1 < steps) {
          load(step + kStages - 1);
        }
        commit();
      }
#pragma unroll
      for (int m = 0; m < 4; m++) {
#pragma unroll
        for (int n = 0; n < 4; n++) {
          mma(acc[m][2 * n], af[kk & 1][m], bf[kk & 1][n][0], bf[kk & 1][n][1], T());
          mma(acc[m][2 * n + 1], af[kk & 1][m], bf[kk & 1][n][2], bf[kk & 1][n][3], T());
        }
      }
    }
  }
}

template <typename T, bool GATED>
__device__ __forceinline__ void inner(
    const T* x, const int* tokenOfOrNull, const Tile* tiles, const Expert<T>* experts, T* out, int k, int cols,
    int stride, Activation activation) {
  const Tile tile = tiles[blockIdx.y];
  const Expert<T> expert = experts[tile.expert];
  const int first = blockIdx.x * (GATED ? kTileCols / 2 : kTileCols);
  int rows[8];
  tileRows<kSlices>(tile, tokenOfOrNull, rows);
  float acc[4][8][4];
  // Gated: outputs of gate and up alternate by eights, so that a thread holds both sums of an output.
  const int row = threadIdx.x >> 3;
  if (GATED) {
    const T* w = (row & 8) == 0 ? expert.w1 : expert.w3;
    sums<T>(acc, x, rows, w, first + (row & 7), 8, cols, k);
  } else {
    sums<T>(acc, x, rows, expert.w1, first + row, 16, cols, k);
  }
  finishInner<T, GATED, kSlices>(acc, tile, expert.b1, expert.b3, out, first, cols, stride, activation);
}

template <typename T>
__device__ __forceinline__ void outer(
    const T* x, const Tile* tiles, const Expert<T>* experts, float* out, int k, int cols) {
  const Tile tile = tiles[blockIdx.y];
  const Expert<T> expert = experts[tile.expert];
  const int first = blockIdx.x * kTileCols;
  int rows[8];
  tileRows<kSlices>(tile, nullptr, rows);
  float acc[4][8][4];
  sums<T>(acc, x, rows, expert.w2, first + (threadIdx.x >> 3), 16, cols, k);
  finishOuter<kSlices>(acc, tile, expert.b2, out, first, cols);
}

// f32: a block of 256 threads, each of which makes 4 x 4 of a tile of 64 x 64 sums with fused multiply-add.
constexpr int kPlainTile = 64;
constexpr int kPlainDepth = 16;

struct PlainMemory {
  float a[kPlainDepth][kPlainTile + 4];
  float b[kPlainDepth][kPlainTile + 4];
};

// `aRow` and `bRow` are the rows that this thread copies, four values of k at a time.
__device__ __forceinline__ void plainSums(
    float (&acc)[4][4], PlainMemory& memory, const float* a, int64_t aRow, const float* b, int64_t bRow, int k) {
  const int copied = threadIdx.x >> 2;
  const int part = (threadIdx.x & 3) * 4;
  const int m0 = (threadIdx.x >> 4) * 4;
  const int n0 = threadIdx.x & 15;
#pragma unroll
  for (int m = 0; m < 4; m++) {
#pragma unroll
    for (int n = 0; n < 4; n++) {
      acc[m][n] = 0.0f;
    }
  }
  for (int at = 0; at < k; at += kPlainDepth) {
    float4 av = *(const float4*)(a + aRow * k + at + part);
    float4 bv = *(const float4*)(b + bRow * k + at + part);
    __syncthreads();
    memory.a[part][copied] = av.x;
    memory.a[part + 1][copied] = av.y;
    memory.a[part + 2][copied] = av.z;
    memory.a[part + 3][copied] = av.w;
    memory.b[part][copied] = bv.x;
    memory.b[part + 1][copied] = bv.y;
    memory.b[part + 2][copied] = bv.z;
    memory.b[part + 3][copied] = bv.w;
    __syncthreads();
#pragma unroll
    for (int kk = 0; kk < kPlainDepth; kk++) {
#pragma unroll
      for (int m = 0; m < 4; m++) {
        float av1 = memory.a[kk][m0 + m];
#pragma unroll
        for (int n = 0; n < 4; n++) {
          acc[m][n] = fmaf(av1, memory.b[kk][n0 + 16 * n], acc[m][n]);
        }
      }
    }
  }
}

template <bool GATED>
__device__ __forceinline__ void plainInner(
    const float* x, const int* tokenOfOrNull, const Tile* tiles, const Expert<float>* experts, float* out, int k,
    int cols, int stride, Activation activation) {
  __shared__ PlainMemory memory;
  const Tile tile = tiles[blockIdx.y];
  const Expert<float> expert = experts[tile.expert];
  const int first = blockIdx.x * (GATED ? kPlainTile / 2 : kPlainTile);
  const int copied = threadIdx.x >> 2;
  const int row = tile.first + (copied < tile.rows ? copied : tile.rows - 1);
  // Gated: 32 outputs of gate, then the same of up.
  const bool isUp = GATED && copied >= 32;
  const int wanted = first + (GATED ? copied & 31 : copied);
  float acc[4][4];
  plainSums(acc, memory, x, tokenOfOrNull == nullptr ? row : tokenOfOrNull[row], isUp ? expert.w3 : expert.w1,
            wanted < cols ? wanted : cols - 1, k);
  __shared__ float shared[kPlainTile][kPlainTile + 1];
#pragma unroll
  for (int m = 0; m < 4; m++) {
#pragma unroll
    for (int n = 0; n < 4; n++) {
      shared[(threadIdx.x >> 4) * 4 + m][(threadIdx.x & 15) + 16 * n] = acc[m][n];
    }
  }
  __syncthreads();
  constexpr int kOutputs = GATED ? kPlainTile / 2 : kPlainTile;
#pragma unroll 1
  for (int i = threadIdx.x; i < tile.rows * kOutputs; i += 256) {
    const int at = i / kOutputs;
    const int output = i % kOutputs;
    const int col = first + output;
    if (col < stride) {
      float value = 0.0f;
      if (col < cols) {
        const float gate = shared[at][output] + (expert.b1 != nullptr ? expert.b1[col] : 0.0f);
        const float up =
            GATED ? shared[at][output + kOutputs] + (expert.b3 != nullptr ? expert.b3[col] : 0.0f) : 0.0f;
        value = activate<false>(activation, gate, up);
      }
      out[(int64_t)(tile.first + at) * stride + col] = value;
    }
  }
}

__device__ __forceinline__ void plainOuter(
    const float* x, const Tile* tiles, const Expert<float>* experts, float* out, int k, int cols) {
  __shared__ PlainMemory memory;
  const Tile tile = tiles[blockIdx.y];
  const Expert<float> expert = experts[tile.expert];
  const int first = blockIdx.x * kPlainTile;
  const int copied = threadIdx.x >> 2;
  const int wanted = first + copied;
  float acc[4][4];
  plainSums(acc, memory, x, tile.first + (copied < tile.rows ? copied : tile.rows - 1), expert.w2,
            wanted < cols ? wanted : cols - 1, k);
#pragma unroll
  for (int n = 0; n < 4; n++) {
    const int col = first + (threadIdx.x & 15) + 16 * n;
    if (col >= cols) {
      continue;
    }
    const float bias = expert.b2 != nullptr ? expert.b2[col] : 0.0f;
#pragma unroll
    for (int m = 0; m < 4; m++) {
      const int at = (threadIdx.x >> 4) * 4 + m;
      if (at < tile.rows) {
        out[(int64_t)(tile.first + at) * cols + col] = acc[m][n] + bias;
      }
    }
  }
}

}  // namespace

// Rows of x are those of tokens; k, cols and stride count values: k padded inputs, cols outputs, stride padded outputs.
#define INNER(NAME, T, GATED)                                                                                       \
  extern "C" __global__ void __launch_bounds__(kThreads, 2)                                                         \
      NAME(const T* x, const int* tokenOfOrNull, const Tile* tiles, const Expert<T>* experts, T* out, int k, int cols, \
           int stride, int kind, float alpha, float beta, float limit) {                                            \
    inner<T, GATED>(x, tokenOfOrNull, tiles, experts, out, k, cols, stride, Activation{kind, alpha, beta, limit});   \
  }

INNER(inner_gated_bf16, __nv_bfloat16, true)
INNER(inner_gated_f16, __half, true)
INNER(inner_plain_bf16, __nv_bfloat16, false)
INNER(inner_plain_f16, __half, false)

#define INNER_F32(NAME, GATED)                                                                                      \
  extern "C" __global__ void __launch_bounds__(256)                                                                 \
      NAME(const float* x, const int* tokenOfOrNull, const Tile* tiles, const Expert<float>* experts, float* out,   \
           int k, int cols, int stride, int kind, float alpha, float beta, float limit) {                           \
    plainInner<GATED>(x, tokenOfOrNull, tiles, experts, out, k, cols, stride, Activation{kind, alpha, beta, limit}); \
  }

INNER_F32(inner_gated_f32, true)
INNER_F32(inner_plain_f32, false)

#define OUTER(NAME, T)                                                                                             \
  extern "C" __global__ void __launch_bounds__(kThreads, 2)                                                        \
      NAME(const T* x, const Tile* tiles, const Expert<T>* experts, float* out, int k, int cols) {                 \
    outer<T>(x, tiles, experts, out, k, cols);                                                                     \
  }

OUTER(outer_bf16, __nv_bfloat16)
OUTER(outer_f16, __half)

extern "C" __global__ void __launch_bounds__(256)
    outer_f32(const float* x, const Tile* tiles, const Expert<float>* experts, float* out, int k, int cols) {
  plainOuter(x, tiles, experts, out, k, cols);
}

// The products of experts.cu for quantized weights, which stay in their stored width until they are in shared memory:
// there each stage of codes becomes bf16, as (code - zero point) * scale rounded once to f32 and once to bf16. Rows and
// intermediates are bf16.

#include "codes.cuh"
#include "tiles.cuh"

namespace {

// A block of 8 warps, each of which makes 32 x 64 of a tile of 128 rows x 128 sums.
constexpr int kSlices = 2;
constexpr int kStages = 3;
constexpr int kThreads = Place<kSlices>::kThreads;
constexpr int kCopied = Place<kSlices>::kCopied;
constexpr int kChunks = 128 / kCopied;

// Shared memory: stages of rows and codes, then one stage of weights, then its scales and zero points.
template <int CODES>
constexpr int kStageBytes = kOperandBytes + 128 * kDepth * kBits<CODES> / 8;

__device__ __forceinline__ void readCodes(uint32_t (&words)[1], uint32_t from) {
  asm volatile("ld.shared.u32 %0, [%1];\n" : "=r"(words[0]) : "r"(from) : "memory");
}
__device__ __forceinline__ void readCodes(uint32_t (&words)[2], uint32_t from) {
  asm volatile("ld.shared.v2.u32 {%0,%1}, [%2];\n" : "=r"(words[0]), "=r"(words[1]) : "r"(from) : "memory");
}

__device__ __forceinline__ uint32_t packed(float low, float high) {
  uint32_t both;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;\n" : "=r"(both) : "f"(high), "f"(low));
  return both;
}

__device__ __forceinline__ void writeWeights(uint32_t to, const float (&w)[8]) {
  asm volatile("st.shared.v4.u32 [%0], {%1,%2,%3,%4};\n" ::"r"(to), "r"(packed(w[0], w[1])), "r"(packed(w[2], w[3])),
               "r"(packed(w[4], w[5])), "r"(packed(w[6], w[7]))
               : "memory");
}

// Which rows of which matrices a tile multiplies by: gated, outputs of gate and up alternate by eights.
template <bool GATED>
struct Columns {
  const uint8_t* first;
  const uint8_t* second;   // of up; gated only
  int from;
  int outputs;

  __device__ __forceinline__ const uint8_t* matrix(int row) const { return GATED && (row & 8) != 0 ? second : first; }

  // Which output row `row` of the tile is; past the last one the last one again, which is not stored.
  __device__ __forceinline__ int output(int row) const {
    return min(from + (GATED ? (row >> 4) * 8 + (row & 7) : row), outputs - 1);
  }
};

// The scales of one stage, as far as a warp unpacks it: 16 rows of weights, of which each has 8 / coding.chunks units that
// share a scale. A lane brings every 32nd of them.
struct Scales {
  static constexpr int kRows = 16;
  static constexpr int kMost = kRows * 8 / 32;

  const Coding& coding;
  const uint8_t* matrix;
  float2* memory;   // of the warp
  int units;
  int firsts[kMost];
  int group;
  int column;   // in the group
  int groupsOn;
  int columnsOn;
  uint32_t stored[kMost];
  float zeros[kMost];

  // The warp unpacks row `from` of a tile and the next three, and so on every kCopied rows.
  template <bool GATED>
  __device__ __forceinline__ Scales(
      const Coding& c, const Columns<GATED>& columns, float2* scales, int lane, int from)
      : coding(c), matrix(columns.matrix(from)), memory(scales), units(8 / c.chunks) {
#pragma unroll
    for (int f = 0; f < kMost; f++) {
      const int row = (lane + 32 * f) / units;
      firsts[f] = firstScaleOf(coding, columns.output(from + row % 4 + row / 4 * kCopied));
    }
    const int k = lane % units * coding.chunks * 8;
    group = k / coding.colSpan;
    column = k % coding.colSpan;
    groupsOn = kDepth / coding.colSpan;
    columnsOn = kDepth % coding.colSpan;
  }

  // Starts to read those of the next stage.
  __device__ __forceinline__ void fetch(int lane) {
    // Padding belongs to the last group.
    const int here = min(group, coding.groups - 1);
#pragma unroll
    for (int f = 0; f < kMost; f++) {
      if (lane + 32 * f < kRows * units) {
        stored[f] = storedScaleOf(coding, matrix, firsts[f] + here);
        zeros[f] = zeroOf(coding, matrix, firsts[f] + here);
      }
    }
    group += groupsOn;
    column += columnsOn;
    if (column >= coding.colSpan) {
      column -= coding.colSpan;
      group++;
    }
  }

  // Hands what was read to the whole warp.
  __device__ __forceinline__ void share(int lane) {
#pragma unroll
    for (int f = 0; f < kMost; f++) {
      if (lane + 32 * f < kRows * units) {
        memory[lane + 32 * f] = make_float2(scaleOf(coding, matrix, stored[f]), zeros[f]);
      }
    }
    __syncwarp();
  }
};

// The sums over k of `rows` rows of `a` and of the 128 rows of `columns`.
template <int CODES, bool GATED>
__device__ __forceinline__ void sums(
    float (&acc)[kSlices][8][4], const __nv_bfloat16* a, const int (&aRow)[kChunks], int rows,
    const Columns<GATED>& columns, int k, const Coding& coding) {
  extern __shared__ __align__(128) unsigned char memory[];
  constexpr int kChunkBytes = kBits<CODES>;   // of eight codes
  constexpr int kWeightsAt = kStages * kStageBytes<CODES>;
  const uint32_t base = (uint32_t)__cvta_generic_to_shared(memory);
  const int chunk = threadIdx.x & 7;
  const int row = threadIdx.x >> 3;
  const Place<kSlices> place;

  // Codes pass by the L1 cache, 16 bytes at a time, so that scales stay in it.
  constexpr int kPieces = kDepth / 8 * kChunkBytes / 16;   // of a row
  constexpr int kCodeCopies = 128 * kPieces / kThreads;
  constexpr int kCodeRows = kThreads / kPieces;
  const __nv_bfloat16* aFrom[kChunks];
#pragma unroll
  for (int i = 0; i < kChunks; i++) {
    aFrom[i] = a + (int64_t)aRow[i] * k + chunk * 8;
  }
  const uint8_t* codesFrom[kCodeCopies];
#pragma unroll
  for (int i = 0; i < kCodeCopies; i++) {
    const int copied = threadIdx.x / kPieces + kCodeRows * i;
    codesFrom[i] = columns.matrix(copied) + (int64_t)columns.output(copied) * (k / 8 * kChunkBytes) +
                   threadIdx.x % kPieces * 16;
  }
  // Rows a multiple of eight further lie as much further: one swizzle does for all.
  const uint32_t aTo = base + swizzled(row, chunk);
  const uint32_t codesTo = base + kOperandBytes + threadIdx.x * 16;
  const uint32_t codesAt = base + kOperandBytes + threadIdx.x * kChunkBytes;
  const uint32_t weightsTo = base + kWeightsAt + swizzled(row, chunk);
  int loads = 0;
  uint32_t loadStage = 0;
  auto load = [&]() {
#pragma unroll
    for (int i = 0; i < kChunks; i++) {
      // What is left of the tile holds anything, and is not stored.
      if (row + kCopied * i < rows) {
        copyAsync(aTo + loadStage + kCopied * 128 * i, aFrom[i] + loads * kDepth);
      }
    }
#pragma unroll
    for (int i = 0; i < kCodeCopies; i++) {
      copyAsync(codesTo + loadStage + kThreads * 16 * i, codesFrom[i] + loads * (kDepth / 8 * kChunkBytes));
    }
    loads++;
    loadStage = loadStage == (kStages - 1) * kStageBytes<CODES> ? 0 : loadStage + kStageBytes<CODES>;
  };

  clear(acc);
  const int steps = k / kDepth;
#pragma unroll
  for (int step = 0; step < kStages - 1; step++) {
    if (step < steps) {
      load();
    }
    commit();
  }
  float2* warpScales = (float2*)(memory + kWeightsAt + kOperandBytes) + (threadIdx.x >> 5) * (Scales::kRows * 8);
  Scales scales(coding, columns, warpScales, place.lane, (threadIdx.x >> 5) * 4);
  scales.fetch(place.lane);
  const float2* ownScales = warpScales + (place.lane >> 3) * scales.units + chunk / coding.chunks;
  // The slice of k changes nothing but the chunk, by exclusive or.
  const uint32_t aAt = base + swizzled(place.firstRow + (place.lane & 15), place.lane >> 4);
  const uint32_t bAt = base + kWeightsAt +
                       swizzled(place.firstCol + (place.lane & 7) + ((place.lane >> 4) << 3), (place.lane >> 3) & 1);
  uint32_t stage = 0;
#pragma unroll 1
  for (int step = 0; step < steps; step++) {
    // This stage has arrived, and after the barrier nobody reads the last one or its weights any more.
    waitAllBut<kStages - 2>();
    __syncthreads();
    scales.share(place.lane);
    uint32_t words[kChunks][kChunkBytes / 4];
#pragma unroll
    for (int i = 0; i < kChunks; i++) {
      readCodes(words[i], codesAt + stage + kThreads * kChunkBytes * i);
    }
#pragma unroll
    for (int i = 0; i < kChunks; i++) {
      const float2 own = ownScales[4 * i * scales.units];
      float unpacked[8];
      weightsOf<CODES>(words[i], own.y, own.x, unpacked);
      writeWeights(weightsTo + kCopied * 128 * i, unpacked);
    }
    if (loads < steps) {
      load();
    }
    commit();
    if (step + 1 < steps) {
      scales.fetch(place.lane);
    }
    __syncthreads();
#pragma unroll
    for (int kk = 0; kk < kDepth / 16; kk++) {
      uint32_t bf[4][4];
#pragma unroll
      for (int n = 0; n < 4; n++) {
        ldmatrix(bf[n], (bAt ^ (kk << 5)) + n * 16 * 128);
      }
#pragma unroll
      for (int m = 0; m < kSlices; m++) {
        if (place.firstRow + m * 16 < rows) {
          uint32_t af[4];
          ldmatrix(af, (aAt ^ (kk << 5)) + stage + m * 16 * 128);
#pragma unroll
          for (int n = 0; n < 4; n++) {
            mma(acc[m][2 * n], af, bf[n][0], bf[n][1], __nv_bfloat16());
            mma(acc[m][2 * n + 1], af, bf[n][2], bf[n][3], __nv_bfloat16());
          }
        }
      }
    }
    stage = stage == (kStages - 1) * kStageBytes<CODES> ? 0 : stage + kStageBytes<CODES>;
  }
}

template <int CODES, bool GATED>
__device__ __forceinline__ void inner(
    const __nv_bfloat16* x, const int* tokenOfOrNull, const Tile* tiles, const Expert<uint8_t>* experts,
    __nv_bfloat16* out, int k, int cols, int stride, const Activation& activation, const Coding& coding) {
  const Tile tile = tiles[blockIdx.y];
  const Expert<uint8_t> expert = experts[tile.expert];
  const int first = blockIdx.x * (GATED ? kTileCols / 2 : kTileCols);
  int rows[kChunks];
  tileRows<kSlices>(tile, tokenOfOrNull, rows);
  float acc[kSlices][8][4];
  sums<CODES>(acc, x, rows, tile.rows, Columns<GATED>{expert.w1, expert.w3, first, cols}, k, coding);
  finishInner<__nv_bfloat16, GATED, kSlices>(
      acc, tile, expert.b1, expert.b3, out, first, cols, stride, activation);
}

template <int CODES>
__device__ __forceinline__ void outer(
    const __nv_bfloat16* x, const Tile* tiles, const Expert<uint8_t>* experts, float* out, int k, int cols,
    const Coding& coding) {
  const Tile tile = tiles[blockIdx.y];
  const Expert<uint8_t> expert = experts[tile.expert];
  const int first = blockIdx.x * kTileCols;
  int rows[kChunks];
  tileRows<kSlices>(tile, nullptr, rows);
  float acc[kSlices][8][4];
  sums<CODES>(acc, x, rows, tile.rows, Columns<false>{expert.w2, nullptr, first, cols}, k, coding);
  finishOuter<kSlices>(acc, tile, expert.b2, out, first, cols);
}

}  // namespace

// As in experts.cu; every matrix of `experts` is laid out as `coding` says, in rows of k codes.
#define PRODUCTS(NAME, CODES)                                                                                          \
  extern "C" __global__ void __launch_bounds__(kThreads, 2) inner_gated_##NAME(                                        \
      const __nv_bfloat16* x, const int* tokenOfOrNull, const Tile* tiles, const Expert<uint8_t>* experts,             \
      __nv_bfloat16* out, int k, int cols, int stride, int kind, float alpha, float beta, float limit,                 \
      Coding coding) {                                                                                                 \
    inner<CODES, true>(x, tokenOfOrNull, tiles, experts, out, k, cols, stride, Activation{kind, alpha, beta, limit},   \
                       coding);                                                                                        \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(kThreads, 2) inner_plain_##NAME(                                        \
      const __nv_bfloat16* x, const int* tokenOfOrNull, const Tile* tiles, const Expert<uint8_t>* experts,             \
      __nv_bfloat16* out, int k, int cols, int stride, int kind, float alpha, float beta, float limit,                 \
      Coding coding) {                                                                                                 \
    inner<CODES, false>(x, tokenOfOrNull, tiles, experts, out, k, cols, stride, Activation{kind, alpha, beta, limit},  \
                        coding);                                                                                       \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(kThreads, 2) outer_##NAME(                                              \
      const __nv_bfloat16* x, const Tile* tiles, const Expert<uint8_t>* experts, float* out, int k, int cols,          \
      Coding coding) {                                                                                                 \
    outer<CODES>(x, tiles, experts, out, k, cols, coding);                                                             \
  }

PRODUCTS(e4m3, E4M3)
PRODUCTS(int8, INT8)
PRODUCTS(uint8, UINT8)
PRODUCTS(uint4, UINT4)
PRODUCTS(e2m1, E2M1)

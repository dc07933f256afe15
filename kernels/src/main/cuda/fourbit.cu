// The products of experts.cu for weights of four bits in groups of 16, 32, 64 or 128 columns, for compute capability 8.0
// and later. Rows and intermediates are bf16.
//
// Weights are the left operand of tensor cores and rows the right one, so that 8 rows fill a tile. Codes lie in memory as
// that operand's registers want them: two become bf16 by one instruction, exactly, and go through no shared memory. The
// sum over a group is multiplied by its scale in f32. A warp makes 16 sums of a row, or two times 16, over all of k in
// ascending order: no bit depends on the other rows, their number, or the size of tiles.
//
// A unit of codes has 8 rows x 128 columns: 16 bytes for each lane, of row lane / 4. Word i of lane q = lane % 4 holds,
// from its lowest half byte on, columns a, a + 2, b, b + 2, a + 1, a + 3, b + 1, b + 3, where a = 32 i + 4 q and
// b = a + 16. Scales and zero points are in the order of units, rows, groups.

#include "codes.cuh"
#include "tiles.cuh"

namespace {

constexpr int kUnitCols = 128;
constexpr int kUnitBytes = 512;

// Of rows, in shared memory: two units of k, and what brings the same columns of four rows to different banks.
constexpr int kPieceCols = 2 * kUnitCols;
constexpr int kPiecePitch = kPieceCols * 2 + 32;

// Where the parts of a matrix lie behind its codes. Scales are f32 of UINT4, and bytes that a table of f32 explains of
// E2M1; zero points, one byte each, belong to UINT4.
struct Units {
  int rows;      // units above each other
  int columns;   // units beside each other
  uint32_t scalesAt;
  uint32_t zerosAt;
  uint32_t tableAt;
};

// Scales, and what makes numbers of codes, of a row in a unit.
template <int CODES, int SPAN>
struct Groups;

template <int SPAN>
struct Groups<UINT4, SPAN> {
  static constexpr int kCount = kUnitCols / SPAN;
  float scales[kCount];
  uint32_t zeros;

  __device__ __forceinline__ void fetch(const uint8_t* matrix, const Units& units, int unit, int row) {
    const uint32_t at = (uint32_t)(unit * 8 + row) * kCount;
    const float* from = (const float*)(matrix + units.scalesAt) + at;
    const uint8_t* zerosFrom = matrix + units.zerosAt + at;
    if (kCount == 1) {
      scales[0] = __ldg(from);
      zeros = __ldg(zerosFrom);
    } else if (kCount == 2) {
      const float2 both = __ldg((const float2*)from);
      scales[0] = both.x;
      scales[kCount - 1] = both.y;
      zeros = __ldg((const uint16_t*)zerosFrom);
    } else {
      const float4 all = __ldg((const float4*)from);
      scales[0] = all.x;
      scales[1 % kCount] = all.y;
      scales[2 % kCount] = all.z;
      scales[kCount - 1] = all.w;
      zeros = __ldg((const uint32_t*)zerosFrom);
    }
  }

  __device__ __forceinline__ float scale(int group) const { return scales[group]; }

  // -(128 + zero) twice in bf16.
  __device__ __forceinline__ uint32_t offset(int group) const {
    return 0xC300C300u + (zeros >> (8 * group) & 0xFF) * 0x00010001u;
  }

  __device__ __forceinline__ void explain(const uint8_t*, const Units&) {}
};

template <int SPAN>
struct Groups<E2M1, SPAN> {
  static constexpr int kCount = kUnitCols / SPAN;
  uint32_t stored[kCount / 4];

  __device__ __forceinline__ void fetch(const uint8_t* matrix, const Units& units, int unit, int row) {
    const uint8_t* from = matrix + units.scalesAt + (uint32_t)(unit * 8 + row) * kCount;
    if (kCount == 4) {
      stored[0] = __ldg((const uint32_t*)from);
    } else {
      const uint2 both = __ldg((const uint2*)from);
      stored[0] = both.x;
      stored[kCount / 4 - 1] = both.y;
    }
  }

  float scales[kCount];

  __device__ __forceinline__ void explain(const uint8_t* matrix, const Units& units) {
    const float* table = (const float*)(matrix + units.tableAt);
#pragma unroll
    for (int group = 0; group < kCount; group++) {
      scales[group] = __ldg(table + (stored[group / 4] >> (8 * (group % 4)) & 0xFF));
    }
  }

  __device__ __forceinline__ float scale(int group) const { return scales[group]; }
  __device__ __forceinline__ uint32_t offset(int) const { return 0; }
};

__device__ __forceinline__ uint32_t fused(uint32_t a, uint32_t b, uint32_t c) {
  uint32_t d;
  asm("fma.rn.bf16x2 %0, %1, %2, %3;\n" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
}

// Two numbers in bf16: half bytes `pair` and pair + 4 of a word, less the zero point; exact.
template <int CODES>
__device__ __forceinline__ uint32_t numbers(uint32_t word, int pair, uint32_t offset) {
  if (CODES == UINT4) {
    // The bits of 128 + an integer below 128 are those of 128 or-ed with it.
    return fused((word >> (4 * pair) & 0x000F000Fu) | 0x43004300u, 0x3F803F80u, offset);
  }
  // Exponent and mantissa at the place of those of bf16, which count from 2^-126.
  const int magnitude = 6 - 4 * pair;
  const int sign = 12 - 4 * pair;
  const uint32_t low = magnitude < 0 ? word >> -magnitude : word << magnitude;
  const uint32_t high = sign < 0 ? word >> -sign : word << sign;
  return fused((low & 0x01C001C0u) | (high & 0x80008000u), 0x7E807E80u, 0x80008000u);
}

__device__ __forceinline__ void readRows(uint32_t (&b)[2], uint32_t from) {
  asm volatile("ld.shared.v2.u32 {%0,%1}, [%2];\n" : "=r"(b[0]), "=r"(b[1]) : "r"(from) : "memory");
}

__device__ __forceinline__ uint32_t wordOf(const uint4& codes, int i) {
  return i == 0 ? codes.x : i == 1 ? codes.y : i == 2 ? codes.z : codes.w;
}

// 128 sums of up to ROWS rows: WARPS warps, each of which makes 128 / WARPS.
template <int ROWS, int WARPS>
struct Form {
  static constexpr int kTiles = ROWS / 8;
  static constexpr int kSixteens = kTileCols / 16 / WARPS;
  static constexpr int kThreads = WARPS * 32;
  static constexpr int kCopied = ROWS / WARPS;   // rows that a warp copies
};

// The sums of a block in shared memory, kSumsPitch apart. `first` is the first row of weights of each matrix; gated,
// sums of both alternate by eights.
template <int CODES, int SPAN, int ROWS, int WARPS, bool GATED>
__device__ __forceinline__ void sums(
    const __nv_bfloat16* x, const int* tokenOfOrNull, const Tile& tile, const uint8_t* w1, const uint8_t* w3, int first,
    const Units& units) {
  using F = Form<ROWS, WARPS>;
  extern __shared__ __align__(128) unsigned char memory[];
  const uint32_t base = (uint32_t)__cvta_generic_to_shared(memory);
  const int lane = threadIdx.x & 31;
  const int warp = threadIdx.x >> 5;
  const int k = units.columns * kUnitCols;

  const __nv_bfloat16* from[F::kCopied];
#pragma unroll
  for (int i = 0; i < F::kCopied; i++) {
    const int row = tile.first + min(warp + WARPS * i, tile.rows - 1);
    from[i] = x + (int64_t)(tokenOfOrNull == nullptr ? row : tokenOfOrNull[row]) * k + lane * 8;
  }
  const uint32_t to = base + warp * kPiecePitch + lane * 16;
  auto load = [&](int piece) {
    const uint32_t at = to + (piece & 1) * (ROWS * kPiecePitch);
    const int col = piece * kPieceCols;
    if (col + lane * 8 < k) {
#pragma unroll
      for (int i = 0; i < F::kCopied; i++) {
        // What is left of the tile holds anything, and is not stored.
        if (warp + WARPS * i < tile.rows) {
          copyAsync(at + WARPS * kPiecePitch * i, from[i] + col);
        }
      }
    }
  };

  // Units of the two times eight rows of weights of each sixteen sums.
  int unit[F::kSixteens][2];
  const uint8_t* matrix[2] = {w1, GATED ? w3 : w1};
#pragma unroll
  for (int s = 0; s < F::kSixteens; s++) {
#pragma unroll
    for (int side = 0; side < 2; side++) {
      const int sixteen = warp * F::kSixteens + s;
      const int above = first / 8 + (GATED ? sixteen : sixteen * 2 + side);
      unit[s][side] = min(above, units.rows - 1) * units.columns;
    }
  }
  uint4 codes[2][F::kSixteens][2];
  Groups<CODES, SPAN> groups[2][F::kSixteens][2];
  auto fetch = [&](int slot, int column) {
#pragma unroll
    for (int s = 0; s < F::kSixteens; s++) {
#pragma unroll
      for (int side = 0; side < 2; side++) {
        const int at = unit[s][side] + column;
        codes[slot][s][side] = __ldg((const uint4*)(matrix[side] + (int64_t)at * kUnitBytes) + lane);
        groups[slot][s][side].fetch(matrix[side], units, at, lane >> 2);
      }
    }
  };

  float total[F::kSixteens][F::kTiles][4];
#pragma unroll
  for (int s = 0; s < F::kSixteens; s++) {
#pragma unroll
    for (int n = 0; n < F::kTiles; n++) {
#pragma unroll
      for (int c = 0; c < 4; c++) {
        total[s][n][c] = 0.0f;
      }
    }
  }
  load(0);
  commit();
  fetch(0, 0);
  if (units.columns > 1) {
    fetch(1, 1);
  }
  const int pieces = (units.columns + 1) / 2;
  const uint32_t at = base + (lane >> 2) * kPiecePitch + (lane & 3) * 8;
#pragma unroll 1
  for (int piece = 0; piece < pieces; piece++) {
    // This piece has arrived, and after the barrier nobody reads the last one any more.
    waitAllBut<0>();
    __syncthreads();
    if (piece + 1 < pieces) {
      load(piece + 1);
    }
    commit();
    const uint32_t rowsAt = at + (piece & 1) * (ROWS * kPiecePitch);
#pragma unroll
    for (int slot = 0; slot < 2; slot++) {
      const int column = piece * 2 + slot;
      if (column >= units.columns) {
        break;
      }
      uint4 own[F::kSixteens][2];
      Groups<CODES, SPAN> ownGroups[F::kSixteens][2];
#pragma unroll
      for (int s = 0; s < F::kSixteens; s++) {
#pragma unroll
        for (int side = 0; side < 2; side++) {
          own[s][side] = codes[slot][s][side];
          ownGroups[s][side] = groups[slot][s][side];
          ownGroups[s][side].explain(matrix[side], units);
        }
      }
      if (column + 2 < units.columns) {
        fetch(slot, column + 2);
      }
      float acc[F::kSixteens][F::kTiles][4];
#pragma unroll
      for (int m = 0; m < 8; m++) {
        const int group = m * 16 / SPAN;
        uint32_t a[F::kSixteens][4];
#pragma unroll
        for (int s = 0; s < F::kSixteens; s++) {
#pragma unroll
          for (int r = 0; r < 4; r++) {
            a[s][r] = numbers<CODES>(wordOf(own[s][r & 1], m / 2), m % 2 * 2 + r / 2, ownGroups[s][r & 1].offset(group));
          }
        }
#pragma unroll
        for (int n = 0; n < F::kTiles; n++) {
          if (n * 8 < tile.rows) {
            uint32_t b[2];
            readRows(b, rowsAt + slot * (kUnitCols * 2) + m * 32 + n * 8 * kPiecePitch);
#pragma unroll
            for (int s = 0; s < F::kSixteens; s++) {
              if (m * 16 % SPAN == 0) {
                mmaFromZero(acc[s][n], a[s], b[0], b[1]);
              } else {
                mma(acc[s][n], a[s], b[0], b[1], __nv_bfloat16());
              }
              if ((m + 1) * 16 % SPAN == 0) {
#pragma unroll
                for (int c = 0; c < 4; c++) {
                  total[s][n][c] = fmaf(acc[s][n][c], ownGroups[s][c >> 1].scale(group), total[s][n][c]);
                }
              }
            }
          }
        }
      }
    }
  }
  waitAllBut<0>();
  __syncthreads();
  float* shared = (float*)memory;
#pragma unroll
  for (int s = 0; s < F::kSixteens; s++) {
#pragma unroll
    for (int n = 0; n < F::kTiles; n++) {
#pragma unroll
      for (int c = 0; c < 4; c++) {
        shared[(n * 8 + (lane & 3) * 2 + (c & 1)) * kSumsPitch + (warp * F::kSixteens + s) * 16 + (c >> 1) * 8 +
               (lane >> 2)] = total[s][n][c];
      }
    }
  }
  __syncthreads();
}

// The outputs of w2 from the sums of a block.
template <int WARPS>
__device__ __forceinline__ void finishOuter(
    const float* shared, const Tile& tile, const float* b2, float* out, int first, int cols) {
  const int quad = threadIdx.x % 32 * 4;
  const int col = first + quad;
  if (col >= cols) {
    return;
  }
  float bias[4];
#pragma unroll
  for (int c = 0; c < 4; c++) {
    bias[c] = b2 != nullptr && col + c < cols ? b2[col + c] : 0.0f;
  }
#pragma unroll 1
  for (int at = threadIdx.x / 32; at < tile.rows; at += WARPS) {
    float4 sum = *(const float4*)(shared + at * kSumsPitch + quad);
    sum = make_float4(sum.x + bias[0], sum.y + bias[1], sum.z + bias[2], sum.w + bias[3]);
    float* to = out + (int64_t)(tile.first + at) * cols + col;
    if ((cols & 3) == 0) {
      *(float4*)to = sum;
    } else {
      const float each[4] = {sum.x, sum.y, sum.z, sum.w};
#pragma unroll
      for (int c = 0; c < 4; c++) {
        if (col + c < cols) {
          to[c] = each[c];
        }
      }
    }
  }
}

template <int CODES, int SPAN, int ROWS, int WARPS, bool GATED>
__device__ __forceinline__ void product(
    const __nv_bfloat16* x, const int* tokenOfOrNull, const Tile* tiles, const Expert<uint8_t>* experts, void* out,
    bool isOuter, int cols, int stride, const Activation& activation, const Units& units) {
  extern __shared__ __align__(128) unsigned char memory[];
  const float* shared = (const float*)memory;
  const Tile tile = tiles[blockIdx.y];
  const Expert<uint8_t> expert = experts[tile.expert];
  const int first = blockIdx.x * (GATED ? kTileCols / 2 : kTileCols);
  sums<CODES, SPAN, ROWS, WARPS, GATED>(
      x, tokenOfOrNull, tile, isOuter ? expert.w2 : expert.w1, expert.w3, first, units);
  if (isOuter) {
    finishOuter<WARPS>(shared, tile, expert.b2, (float*)out, first, cols);
  } else {
    finishRows<__nv_bfloat16, GATED, Form<ROWS, WARPS>::kThreads>(
        shared, tile, expert.b1, expert.b3, (__nv_bfloat16*)out, first, cols, stride, activation);
  }
}

}  // namespace

// As in experts.cu; every matrix of `experts` is laid out as described above, and rows of x have whole units of columns.
// The plain kernels make inner projections and, with isOuter, products with w2, which differ in their last steps only.
#define PRODUCTS(NAME, CODES, SPAN, ROWS, WARPS, BLOCKS)                                                               \
  extern "C" __global__ void __launch_bounds__(WARPS * 32, BLOCKS) gated_##NAME(                                       \
      const __nv_bfloat16* x, const int* tokenOfOrNull, const Tile* tiles, const Expert<uint8_t>* experts, void* out,  \
      int cols, int stride, int kind, float alpha, float beta, float limit, Units units) {                             \
    product<CODES, SPAN, ROWS, WARPS, true>(x, tokenOfOrNull, tiles, experts, out, false, cols, stride,                \
                                            Activation{kind, alpha, beta, limit}, units);                              \
  }                                                                                                                    \
  extern "C" __global__ void __launch_bounds__(WARPS * 32, BLOCKS) plain_##NAME(                                       \
      const __nv_bfloat16* x, const int* tokenOfOrNull, const Tile* tiles, const Expert<uint8_t>* experts, void* out,  \
      int isOuter, int cols, int stride, int kind, float alpha, float beta, float limit, Units units) {                \
    product<CODES, SPAN, ROWS, WARPS, false>(x, tokenOfOrNull, tiles, experts, out, isOuter != 0, cols, stride,        \
                                             Activation{kind, alpha, beta, limit}, units);                             \
  }

// Tiles of few rows for short batches, of many for others: the sums have the same bits.
#define FORMS(NAME, CODES, SPAN)                                                                                       \
  PRODUCTS(NAME##_##SPAN##_few, CODES, SPAN, 16, 4, 3)                                                                 \
  PRODUCTS(NAME##_##SPAN##_many, CODES, SPAN, 64, 8, 2)

FORMS(uint4, UINT4, 32)
FORMS(uint4, UINT4, 64)
FORMS(uint4, UINT4, 128)
FORMS(e2m1, E2M1, 16)
FORMS(e2m1, E2M1, 32)

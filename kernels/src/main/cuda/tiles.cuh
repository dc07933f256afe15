// Tiles of 128 rows x 128 sums on tensor cores: what kernels of compute capability 8.0 and later share.
//
// Every output is one sum over k in ascending order, made by one thread block: no bit depends on the other rows of a
// batch, on their number or on the order of the blocks.

#pragma once

#include "experts.cuh"

namespace {

__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, __nv_bfloat16) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
__device__ __forceinline__ void mma(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, __half) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};\n"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// d = the product alone.
__device__ __forceinline__ void mmaFromZero(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%10,%10,%10,%10};\n"
      : "=f"(d[0]), "=f"(d[1]), "=f"(d[2]), "=f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1), "f"(0.0f));
}

__device__ __forceinline__ void ldmatrix(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));
}

__device__ __forceinline__ void copyAsync(uint32_t to, const void* from) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;\n" ::"r"(to), "l"(from));
}
__device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;\n"); }
template <int N>
__device__ __forceinline__ void waitAllBut() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(N));
}

constexpr int kTileCols = 128;
constexpr int kDepth = 64;   // of k, in one stage: rows of 128 bytes in shared memory
constexpr int kOperandBytes = 128 * kDepth * 2;

// 16-byte chunk `chunk` of row `row`, such that eight rows of the same chunk lie in different banks.
__device__ __forceinline__ uint32_t swizzled(int row, int chunk) { return row * 128 + ((chunk ^ (row & 7)) << 4); }

// Where in a tile the sums of a thread lie: warps make SLICES times 16 rows x 64 sums each, two beside each other.
template <int SLICES>
struct Place {
  static constexpr int kWarpRows = 8 / SLICES;
  static constexpr int kThreads = kWarpRows * 2 * 32;
  static constexpr int kCopied = kThreads / 8;   // rows that all threads copy together, a chunk each

  int lane;
  int firstRow;
  int firstCol;

  __device__ __forceinline__ Place()
      : lane(threadIdx.x & 31),
        firstRow((threadIdx.x >> 5) % kWarpRows * SLICES * 16),
        firstCol((threadIdx.x >> 5) / kWarpRows * 64) {}
};

template <int SLICES>
__device__ __forceinline__ void clear(float (&acc)[SLICES][8][4]) {
#pragma unroll
  for (int m = 0; m < SLICES; m++) {
#pragma unroll
    for (int n = 0; n < 8; n++) {
#pragma unroll
      for (int c = 0; c < 4; c++) {
        acc[m][n][c] = 0.0f;
      }
    }
  }
}

// The rows of a tile that this thread copies; past the last one the last one again, which is not stored.
template <int SLICES>
__device__ __forceinline__ void tileRows(
    const Tile& tile, const int* rowOfOrNull, int (&rows)[128 / Place<SLICES>::kCopied]) {
#pragma unroll
  for (int i = 0; i < 128 / Place<SLICES>::kCopied; i++) {
    int row = (threadIdx.x >> 3) + Place<SLICES>::kCopied * i;
    row = tile.first + (row < tile.rows ? row : tile.rows - 1);
    rows[i] = rowOfOrNull == nullptr ? row : rowOfOrNull[row];
  }
}

constexpr int kSumsPitch = kTileCols + 4;

// The outputs of the inner projections from a tile of sums in shared memory, kSumsPitch apart: `first` is the first of
// the block. Gated: outputs of gate and up alternate by eights.
template <typename T, bool GATED, int THREADS>
__device__ __forceinline__ void finishRows(
    const float* shared, const Tile& tile, const float* b1, const float* b3, T* out, int first, int cols, int stride,
    const Activation& activation) {
  // A thread makes four outputs of every kStep-th row.
  constexpr int kQuads = (GATED ? kTileCols / 2 : kTileCols) / 4;
  constexpr int kStep = THREADS / kQuads;
  const int output = threadIdx.x % kQuads * 4;
  const int col = first + output;
  if (col >= stride) {
    return;
  }
  float gateBias[4];
  float upBias[4];
#pragma unroll
  for (int c = 0; c < 4; c++) {
    gateBias[c] = b1 != nullptr && col + c < cols ? b1[col + c] : 0.0f;
    upBias[c] = GATED && b3 != nullptr && col + c < cols ? b3[col + c] : 0.0f;
  }
  const float* from = shared + (GATED ? (output >> 3) * 16 + (output & 7) : output);
#pragma unroll 1
  for (int at = threadIdx.x / kQuads; at < tile.rows; at += kStep) {
    const float4 gates = *(const float4*)(from + at * kSumsPitch);
    const float4 ups = GATED ? *(const float4*)(from + at * kSumsPitch + 8) : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    const float gate[4] = {gates.x, gates.y, gates.z, gates.w};
    const float up[4] = {ups.x, ups.y, ups.z, ups.w};
    T value[4];
#pragma unroll
    for (int c = 0; c < 4; c++) {
      // The padding is read by the next product.
      narrow(col + c < cols ? activate<true>(activation, gate[c] + gateBias[c], up[c] + upBias[c]) : 0.0f, value[c]);
    }
    *(uint2*)(out + (int64_t)(tile.first + at) * stride + col) =
        make_uint2(pack(value[0], value[1]), pack(value[2], value[3]));
  }
}

// The same from the sums of a block; gated, a thread holds both sums of an output.
template <typename T, bool GATED, int SLICES>
__device__ __forceinline__ void finishInner(
    const float (&acc)[SLICES][8][4], const Tile& tile, const float* b1, const float* b3, T* out, int first, int cols,
    int stride, const Activation& activation) {
  // Through shared memory, so that the formula is compiled once and a warp writes whole rows.
  extern __shared__ __align__(128) unsigned char memory[];
  float* shared = (float*)memory;
  const Place<SLICES> place;
  waitAllBut<0>();
  __syncthreads();
#pragma unroll
  for (int m = 0; m < SLICES; m++) {
#pragma unroll
    for (int n = 0; n < 8; n++) {
      float* to = shared + (place.firstRow + m * 16 + (place.lane >> 2)) * kSumsPitch + place.firstCol + n * 8 +
                  (place.lane & 3) * 2;
      *(float2*)to = make_float2(acc[m][n][0], acc[m][n][1]);
      *(float2*)(to + 8 * kSumsPitch) = make_float2(acc[m][n][2], acc[m][n][3]);
    }
  }
  __syncthreads();
  finishRows<T, GATED, Place<SLICES>::kThreads>(shared, tile, b1, b3, out, first, cols, stride, activation);
}

// The outputs of w2 from their sums.
template <int SLICES>
__device__ __forceinline__ void finishOuter(
    const float (&acc)[SLICES][8][4], const Tile& tile, const float* b2, float* out, int first, int cols) {
  const Place<SLICES> place;
#pragma unroll
  for (int n = 0; n < 8; n++) {
    const int col = first + place.firstCol + n * 8 + (place.lane & 3) * 2;
    float bias[2];
#pragma unroll
    for (int c = 0; c < 2; c++) {
      bias[c] = b2 != nullptr && col + c < cols ? b2[col + c] : 0.0f;
    }
#pragma unroll
    for (int m = 0; m < SLICES; m++) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int at = place.firstRow + m * 16 + half * 8 + (place.lane >> 2);
        if (at < tile.rows) {
          float* to = out + (int64_t)(tile.first + at) * cols + col;
          float low = acc[m][n][half * 2] + bias[0];
          float high = acc[m][n][half * 2 + 1] + bias[1];
          if ((cols & 1) == 0 && col < cols) {
            *(float2*)to = make_float2(low, high);
          } else {
            if (col < cols) {
              to[0] = low;
            }
            if (col + 1 < cols) {
              to[1] = high;
            }
          }
        }
      }
    }
  }
}

}  // namespace

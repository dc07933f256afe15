// What kernels for compute capability 9.0 share: its barriers, tile copies and matrix instructions, and how work is
// shared out.
//
// A cluster of two blocks takes one tile after the other. In each block a thread brings the operands of tile after tile
// into a ring of stages, its own rows and half of the weights of both, and two groups of four warps multiply 64 rows
// each. As in experts.cu an output is one sum over k in ascending order, and no bit depends on other rows.

#pragma once

#include "experts.cuh"

namespace {

constexpr int kBlocks = 2;      // of a cluster
constexpr int kTileRows = 128;  // of one block
constexpr int kTileSums = 256;
constexpr int kGroupRows = 64;  // of one group of warps
constexpr int kStages = 4;
constexpr int kThreads = 384;

// A stage has 128 bytes of k of every row and sum.
constexpr int kRowOperandBytes = kTileRows * 128;
constexpr int kStageBytes = kRowOperandBytes + kTileSums * 128;

// Behind the stages: memory of each warp that multiplies, then barriers.
constexpr int kScratchAt = kStages * kStageBytes;
constexpr int kScratchBytes = 16 * 68 * 4;
constexpr int kBarriersAt = kScratchAt + 8 * kScratchBytes;

// Row tiles that are computed beside each other, for one tile of columns after the other: their operands stay in L2.
constexpr int kRowTiles = 8;

struct __align__(64) TensorMap {
  uint64_t words[16];
};

__device__ __forceinline__ void initBarrier(uint32_t barrier, uint32_t arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(barrier), "r"(arrivals));
}
__device__ __forceinline__ void expectBytes(uint32_t barrier, uint32_t bytes) {
  asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;\n" ::"r"(barrier), "r"(bytes) : "memory");
}
// At the barrier of that block of the cluster.
__device__ __forceinline__ void arrive(uint32_t barrier, uint32_t block) {
  asm volatile(
      "{\n.reg .b32 there;\nmapa.shared::cluster.u32 there, %0, %1;\n"
      "mbarrier.arrive.shared::cluster.b64 _, [there];\n}\n" ::"r"(barrier),
      "r"(block)
      : "memory");
}
__device__ __forceinline__ void meetCluster() {
  asm volatile("barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;\n" ::: "memory");
}
__device__ __forceinline__ uint32_t blockOfCluster() {
  uint32_t rank;
  asm volatile("mov.u32 %0, %%cluster_ctarank;\n" : "=r"(rank));
  return rank;
}
__device__ __forceinline__ void wait(uint32_t barrier, uint32_t parity) {
  uint32_t done;
  do {
    asm volatile(
        "{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}\n"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
  } while (done == 0);
}

__device__ __forceinline__ void copyTile(uint32_t to, const void* map, uint32_t barrier, int k, int row) {
  asm volatile(
      "cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4}], [%2];\n" ::"r"(to),
      "l"(map), "r"(barrier), "r"(k), "r"(row)
      : "memory");
}
// To both blocks.
__device__ __forceinline__ void copyTiles(uint32_t to, const void* map, uint32_t barrier, int k, int row, int matrix) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster [%0], "
      "[%1, {%3, %4, %5}], [%2], %6;\n" ::"r"(to),
      "l"(map), "r"(barrier), "r"(k), "r"(row), "r"(matrix), "h"((uint16_t)((1 << kBlocks) - 1))
      : "memory");
}

// An operand of rows of 128 bytes, swizzled, at an address of whole kilobytes plus 32 bytes for each 16 of k.
__device__ __forceinline__ uint64_t operand(uint32_t address) {
  return (uint64_t)((address & 0x3FFFF) >> 4) | (uint64_t)1 << 16 | (uint64_t)(1024 >> 4) << 32 | (uint64_t)1 << 62;
}

#define SUMS_4(N) "+f"(acc[N]), "+f"(acc[N + 1]), "+f"(acc[N + 2]), "+f"(acc[N + 3])
#define SUMS_16(N) SUMS_4(N), SUMS_4(N + 4), SUMS_4(N + 8), SUMS_4(N + 12)
#define SUMS_32(N) SUMS_16(N), SUMS_16(N + 16)

__device__ __forceinline__ void beginProducts() { asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); }
__device__ __forceinline__ void commitProducts() { asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory"); }
template <int N>
__device__ __forceinline__ void productsDoneBut() {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(N) : "memory");
}

// A launch's work: every row tile by every tile of columns.
struct Plan {
  const Tile* tiles;
  int rowTiles;
  int columns;

  __device__ __forceinline__ int count() const { return rowTiles * columns; }

  __device__ __forceinline__ void at(int index, int& rowTile, int& column) const {
    const int group = index / (kRowTiles * columns);
    const int within = index - group * kRowTiles * columns;
    const int size = min(kRowTiles, rowTiles - group * kRowTiles);
    column = within / size;
    rowTile = group * kRowTiles + within - column * size;
  }
};

// A stage of the ring and how often the ring was passed, as a parity.
struct Turn {
  int stage = 0;
  uint32_t parity = 0;

  __device__ __forceinline__ void next() {
    if (++stage == kStages) {
      stage = 0;
      parity ^= 1;
    }
  }
};

// The rows of a tile that a block has, in whole groups.
__device__ __forceinline__ Tile share(Tile tile, int block) {
  const int groups = (tile.rows + kGroupRows - 1) / kGroupRows;
  const int split = (groups + 1) / 2 * kGroupRows;
  if (block == 0) {
    tile.rows = min(tile.rows, split);
  } else {
    tile.first += split;
    tile.rows -= split;
  }
  return tile;
}

// Brings the operands of all tiles, DEPTH values of k in a stage: rows and weights of 128 bytes.
template <typename T, int DEPTH, bool INNER, int OUTPUTS>
__device__ __forceinline__ void produce(
    const TensorMap* xMap, const Plan& plan, const Expert<T>* experts, int steps, uint32_t base, uint32_t full,
    uint32_t empty) {
  Turn turn;
  const void* last = nullptr;
  const int block = blockOfCluster();
  constexpr int kHalf = kTileSums / kBlocks;
  for (int index = blockIdx.x / kBlocks; index < plan.count(); index += gridDim.x / kBlocks) {
    int rowTile;
    int column;
    plan.at(index, rowTile, column);
    const Tile tile = share(plan.tiles[rowTile], block);
    const void* map = INNER ? experts[tile.expert].innerMap : experts[tile.expert].outerMap;
    if (map != last) {
      // The map was written since the copy engine last saw its address, perhaps.
      asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;\n" ::"l"(map) : "memory");
      last = map;
    }
    for (int step = 0; step < steps; step++) {
      const uint32_t stage = base + turn.stage * kStageBytes;
      const uint32_t arrived = full + turn.stage * 8;
      wait(empty + turn.stage * 8, turn.parity ^ 1);
      expectBytes(arrived, kStageBytes);
      copyTile(stage, xMap, arrived, step * DEPTH, tile.first);
      copyTiles(stage + kRowOperandBytes + block * kHalf * 128, map, arrived, step * DEPTH,
                column * OUTPUTS + (OUTPUTS == kHalf ? 0 : block * kHalf), OUTPUTS == kHalf ? block : 0);
      turn.next();
    }
  }
}

struct Rows {
  int64_t first;  // of the warp, among all rows
  int count;      // of its 16, at most
};

// Writes a warp's 16 rows of 256 sums, as they lie in its threads, from column `first` on; out has rows of `cols` sums.
__device__ __forceinline__ void storeSums(
    const float (&acc)[128], const Rows& rows, float* out, int first, int cols, const float* biasOrNull,
    float* scratch) {
  const int lane = threadIdx.x & 31;
  float* to = out + rows.first * cols + first;
  if (biasOrNull != nullptr || first + kTileSums > cols || (cols & 3) != 0) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = (lane >> 2) + half * 8;
      if (row >= rows.count) {
        continue;
      }
#pragma unroll
      for (int n = 0; n < 32; n++) {
#pragma unroll
        for (int c = 0; c < 2; c++) {
          const int col = n * 8 + (lane & 3) * 2 + c;
          if (first + col < cols) {
            to[(int64_t)row * cols + col] =
                acc[n * 4 + half * 2 + c] + (biasOrNull != nullptr ? biasOrNull[first + col] : 0.0f);
          }
        }
      }
    }
    return;
  }
  // Through memory of the warp, 64 columns at a time, so that it writes whole lines. Pairs of a row are swizzled by
  // fours, such that four rows lie in different banks.
#pragma unroll
  for (int quarter = 0; quarter < 4; quarter++) {
    __syncwarp();
#pragma unroll
    for (int n = 0; n < 8; n++) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int row = (lane >> 2) + half * 8;
        const int pair = (n * 4 + (lane & 3)) ^ ((row & 3) << 2);
        const int at = (quarter * 8 + n) * 4 + half * 2;
        *(float2*)(scratch + row * 64 + pair * 2) = make_float2(acc[at], acc[at + 1]);
      }
    }
    __syncwarp();
    const int pair = (lane & 15) * 2;
#pragma unroll
    for (int i = 0; i < 8; i++) {
      const int row = (lane >> 4) + i * 2;
      if (row < rows.count) {
        *(float4*)(to + (int64_t)row * cols + quarter * 64 + pair * 2) =
            *(const float4*)(scratch + row * 64 + (pair ^ ((row & 3) << 2)) * 2);
      }
    }
  }
}

}  // namespace

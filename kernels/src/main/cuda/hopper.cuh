// What kernels for compute capability 9.0 share: its barriers, tile copies and matrix instructions, and how work is
// shared out.
//
// A cluster of two blocks takes one tile after the other, in the order in which clusters become free, so that what is
// computed at one time lies close together and is read into L2 once. In each block a thread brings the operands of tile
// after tile into a ring of stages, its own rows and half of the weights of both, and two groups of four warps multiply
// 64 rows each. Where a tile has rows for one block alone, both have all of them and columns beside each other. As in
// experts.cu an output is one sum over k in ascending order, and no bit depends on other rows.

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
constexpr int kScratchBytes = 4096;
constexpr int kBarriersAt = kScratchAt + 8 * kScratchBytes;

// Behind those of the stages: the next job, and two barriers of it.
constexpr int kJobAt = kBarriersAt + 2 * kStages * 8;
constexpr int kJobBytes = 64;
constexpr int kReaders = 9;  // of a block: each warp that multiplies, and the thread that copies
constexpr int kGatherers = 2;  // more of them, where a product gathers its rows: warps

// Behind those: the tokens of the rows that are gathered.
constexpr int kTokensAt = kJobAt + kJobBytes + 2 * 8;

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
// An address of this block as it is in that block of the cluster.
__device__ __forceinline__ uint32_t inBlock(uint32_t address, uint32_t block) {
  uint32_t there;
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;\n" : "=r"(there) : "r"(address), "r"(block));
  return there;
}
__device__ __forceinline__ void arrive(uint32_t barrier, uint32_t block) {
  asm volatile("mbarrier.arrive.shared::cluster.b64 _, [%0];\n" ::"r"(inBlock(barrier, block)) : "memory");
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
__device__ __forceinline__ void copyTile(uint32_t to, const void* map, uint32_t barrier, int k, int row, int matrix) {
  asm volatile(
      "cp.async.bulk.tensor.3d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5}], [%2];\n" ::"r"(
          to),
      "l"(map), "r"(barrier), "r"(k), "r"(row), "r"(matrix)
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

// A tile of one expert: what a cluster does at one time.
struct __align__(16) Job {
  int first;
  int rows;  // 0: there are no more
  int column;
  int paired;  // whether the second block has the column after this one, and both have all rows
  const void* map;
  const void* unusedToo;
  const void* weights[2];  // of gate and up, or of w2
  const float* biases[2];

  // What a block has of it: half of the rows, in whole groups, or a column.
  __device__ __forceinline__ Job ofBlock(int block) const {
    const int groups = (rows + kGroupRows - 1) / kGroupRows;
    const int split = (groups + 1) / 2 * kGroupRows;
    Job part = *this;
    if (paired) {
      part.column += block;
    } else if (block == 0) {
      part.rows = min(rows, split);
    } else {
      part.first += split;
      part.rows -= split;
    }
    return part;
  }
};
static_assert(sizeof(Job) == kJobBytes, "as it is sent");

// The jobs of a cluster, as each of its readers meets them. One thread looks everything up, so that nobody waits for
// memory between two tiles.
struct Jobs {
  const Job* job;
  uint32_t at;
  uint32_t parity = 0;

  __device__ __forceinline__ Jobs(const unsigned char* memory, uint32_t base)
      : job((const Job*)(memory + kJobAt)), at(base + kJobAt) {}

  __device__ __forceinline__ uint32_t sent() const { return at + kJobBytes; }
  __device__ __forceinline__ uint32_t read() const { return at + kJobBytes + 8; }

  // By one thread of a block, before the cluster meets.
  __device__ __forceinline__ void init(int readers) const {
    initBarrier(sent(), 1);
    initBarrier(read(), readers * kBlocks);
  }

  __device__ __forceinline__ Job next() {
    wait(sent(), parity);
    parity ^= 1;
    const Job own = *job;
    asm volatile("" ::: "memory");
    return own;
  }

  // By one thread of each reader, behind next.
  __device__ __forceinline__ void done() const { arrive(read(), 0); }

  __device__ __forceinline__ Job nextOfWarp() {
    const Job own = next();
    __syncwarp();
    if ((threadIdx.x & 31) == 0) {
      done();
    }
    return own;
  }

  // Hands out jobs until there are none: one thread of the cluster's first block. A counter in memory has the next one of
  // the launch; it is asked once a job was read, so that few are taken long before they are begun. Of a tile with rows for
  // one block two columns are taken at a time, so that neither is without rows; an odd last column is split as others are.
  template <bool INNER, typename T>
  __device__ __forceinline__ void handOut(const Plan& plan, const Expert<T>* experts, int* counter) const {
    uint32_t turn = 1;
    for (bool more = true; more; turn ^= 1) {
      wait(read(), turn);
      int rowTile = 0;
      int column = 0;
      Tile tile = {};
      bool few = false;
      do {
        const int number = atomicAdd(counter, 1);
        more = number < plan.count();
        if (more) {
          plan.at(number, rowTile, column);
          tile = plan.tiles[rowTile];
          few = tile.rows <= kTileRows;
        } else {
          tile.rows = 0;
          few = false;
        }
      } while (few && (column & 1) != 0);
      const bool paired = few && column + 1 < plan.columns;
      const Expert<T>& expert = experts[tile.expert];
      const void* map = INNER ? expert.innerMap : expert.outerMap;
      const void* weights = INNER ? expert.w1 : expert.w2;
      const void* others = INNER ? expert.w3 : expert.w2;
      const float* biases = INNER ? expert.b1 : expert.b2;
      const float* otherBiases = INNER ? expert.b3 : nullptr;
#pragma unroll 1
      for (int block = 0; block < kBlocks; block++) {
        const uint32_t to = inBlock(at, block);
        asm volatile("mbarrier.arrive.expect_tx.shared::cluster.b64 _, [%0], %1;\n" ::"r"(to + kJobBytes),
                     "n"(kJobBytes)
                     : "memory");
        send(to, 0, (uint64_t)(uint32_t)tile.rows << 32 | (uint32_t)tile.first,
             (uint64_t)paired << 32 | (uint32_t)column);
        send(to, 1, (uint64_t)map, 0);
        send(to, 2, (uint64_t)weights, (uint64_t)others);
        send(to, 3, (uint64_t)biases, (uint64_t)otherBiases);
      }
    }
  }

  __device__ __forceinline__ static void send(uint32_t to, int part, uint64_t low, uint64_t high) {
    asm volatile("st.async.shared::cluster.mbarrier::complete_tx::bytes.v2.b64 [%0], {%1, %2}, [%3];\n" ::"r"(
                     to + part * 16),
                 "l"(low), "l"(high), "r"(to + kJobBytes)
                 : "memory");
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

// Takes a group of warps without rows through the stages of a tile.
__device__ __forceinline__ void pass(int steps, Turn& turn, uint32_t full, uint32_t empty) {
  const int lane = threadIdx.x & 31;
  for (int step = 0; step < steps; step++) {
    wait(full + turn.stage * 8, turn.parity);
    if (lane < kBlocks) {
      arrive(empty + turn.stage * 8, lane);
    }
    turn.next();
  }
}

// Brings the operands of all tiles, DEPTH values of k in a stage: rows and weights of 128 bytes. Without a map of the
// rows, others bring those.
template <int DEPTH, int OUTPUTS>
__device__ __forceinline__ void produce(
    const TensorMap* xMapOrNull, Jobs jobs, int steps, uint32_t base, uint32_t full, uint32_t empty) {
  Turn turn;
  const void* last = nullptr;
  const int block = blockOfCluster();
  constexpr int kHalf = kTileSums / kBlocks;
  for (Job job = jobs.next(); job.rows > 0; job = jobs.next()) {
    jobs.done();
    const Job part = job.ofBlock(block);
    const int first = part.first;
    const int column = part.column;
    // Of half of the weights of a stage: gate and up, or neighbouring columns.
    auto rowOf = [&](int half) { return column * OUTPUTS + (OUTPUTS == kHalf ? 0 : half * kHalf); };
    auto matrixOf = [&](int half) { return OUTPUTS == kHalf ? half : 0; };
    const void* map = job.map;
    if (map != last) {
      // The map was written since the copy engine last saw its address, perhaps.
      asm volatile("fence.proxy.tensormap::generic.acquire.gpu [%0], 128;\n" ::"l"(map) : "memory");
      last = map;
    }
    for (int step = 0; step < steps; step++) {
      const uint32_t stage = base + turn.stage * kStageBytes;
      const uint32_t arrived = full + turn.stage * 8;
      wait(empty + turn.stage * 8, turn.parity ^ 1);
      if (xMapOrNull == nullptr) {
        expectBytes(arrived, kStageBytes - kRowOperandBytes);
      } else {
        expectBytes(arrived, kStageBytes);
        copyTile(stage, xMapOrNull, arrived, step * DEPTH, first);
      }
      const uint32_t weights = stage + kRowOperandBytes;
      if (part.paired) {
#pragma unroll
        for (int half = 0; half < kBlocks; half++) {
          copyTile(weights + half * kHalf * 128, map, arrived, step * DEPTH, rowOf(half), matrixOf(half));
        }
      } else {
        copyTiles(weights + block * kHalf * 128, map, arrived, step * DEPTH, rowOf(block), matrixOf(block));
      }
      turn.next();
    }
  }
}

// As sigmoid<true>, in four instructions: subnormal numbers are zeros on the way.
__device__ __forceinline__ float briefSigmoid(float x) {
  float e;
  float quotient;
  asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(e) : "f"(x * -1.44269504f));
  asm("rcp.approx.ftz.f32 %0, %1;\n" : "=f"(quotient) : "f"(1.0f + e));
  return quotient;
}

struct Rows {
  int64_t first;  // of the warp, among all rows
  int count;      // of its 16, at most
};

// Rows of sums in memory, and how the copy engine sees them: 16 rows of 128 bytes at a time, swizzled.
struct Sums {
  const TensorMap* map;
  float* out;
  int cols;
};

__device__ __forceinline__ void storeTile(const void* map, uint32_t from, int col, int row) {
  asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.bulk_group [%0, {%1, %2}], [%3];\n" ::"l"(map), "r"(col),
               "r"(row), "r"(from)
               : "memory");
}
__device__ __forceinline__ void commitStores() { asm volatile("cp.async.bulk.commit_group;\n" ::: "memory"); }
// But for the last N that this thread started, stores have read their memory.
template <int N>
__device__ __forceinline__ void storesReadBut() {
  asm volatile("cp.async.bulk.wait_group.read %0;\n" ::"n"(N) : "memory");
}

// Writes a warp's 16 rows of 256 sums, as they lie in its threads, from column `first` on. The copy engine does, while
// the warp goes on, 32 columns at a time from either half of the warp's memory; rows that are not there belong to
// another expert, so that a warp without all of its rows copies them itself.
__device__ __forceinline__ void storeSums(
    const float (&acc)[128], const Rows& rows, const Sums& sums, int first, const float* biasOrNull, float* scratch) {
  const int lane = threadIdx.x & 31;
  const uint32_t memory = (uint32_t)__cvta_generic_to_shared(scratch);
  const bool byEngine = rows.count == 16 && (sums.cols & 3) == 0;
#pragma unroll
  for (int part = 0; part < 8; part++) {
    const int col = first + part * 32;
    if (col >= sums.cols) {
      break;
    }
    float* half = scratch + (part & 1) * 512;
    if (lane == 0) {
      storesReadBut<1>();
    }
    __syncwarp();
    float2 value[4][2];
#pragma unroll
    for (int n = 0; n < 4; n++) {
      const int at = (part * 4 + n) * 4;
      value[n][0] = make_float2(acc[at], acc[at + 1]);
      value[n][1] = make_float2(acc[at + 2], acc[at + 3]);
      if (biasOrNull != nullptr) {
        const int pair = col + n * 8 + (lane & 3) * 2;
        const float left = pair < sums.cols ? __ldg(biasOrNull + pair) : 0.0f;
        const float right = pair + 1 < sums.cols ? __ldg(biasOrNull + pair + 1) : 0.0f;
        value[n][0] = make_float2(value[n][0].x + left, value[n][0].y + right);
        value[n][1] = make_float2(value[n][1].x + left, value[n][1].y + right);
      }
    }
#pragma unroll
    for (int n = 0; n < 4; n++) {
      const int pair = (n * 8 + (lane & 3) * 2) ^ ((lane >> 2) << 2);
      *(float2*)(half + (lane >> 2) * 32 + pair) = value[n][0];
      *(float2*)(half + ((lane >> 2) + 8) * 32 + pair) = value[n][1];
    }
    if (byEngine) {
      asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
      __syncwarp();
      if (lane == 0) {
        storeTile(sums.map, memory + (part & 1) * 2048, col, (int)rows.first);
        commitStores();
      }
      continue;
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int row = (lane >> 3) + i * 4;
      const int quad = (lane & 7) * 4;
      const float4 value = *(const float4*)(half + row * 32 + (quad ^ ((row & 7) << 2)));
      if (row < rows.count) {
        float* to = sums.out + (rows.first + row) * sums.cols + col + quad;
        if ((sums.cols & 3) == 0) {
          if (col + quad < sums.cols) {
            *(float4*)to = value;
          }
        } else {
          const float each[4] = {value.x, value.y, value.z, value.w};
#pragma unroll
          for (int c = 0; c < 4; c++) {
            if (col + quad + c < sums.cols) {
              to[c] = each[c];
            }
          }
        }
      }
    }
  }
}

}  // namespace

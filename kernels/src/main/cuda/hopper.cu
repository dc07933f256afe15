// The products of experts.cu in bf16 and f16 for compute capability 9.0, with its own matrix instructions and tile
// copies. Rows of x lie one behind the other, sorted by expert.
//
// A cluster of two blocks takes one tile after the other. In each block a thread brings the operands of tile after tile
// into a ring of stages, its own rows and half of the weights of both, and two groups of four warps multiply 64 rows
// each. As in experts.cu an output is one sum over k in ascending order, and no bit depends on other rows.

#include "experts.cuh"

namespace {

constexpr int kBlocks = 2;      // of a cluster
constexpr int kTileRows = 128;  // of one block
constexpr int kTileSums = 256;
constexpr int kGroupRows = 64;  // of one group of warps
constexpr int kDepth = 64;      // of k, in one stage: rows of 128 bytes in shared memory
constexpr int kStages = 4;
constexpr int kThreads = 384;
constexpr int kRowOperandBytes = kTileRows * kDepth * 2;
constexpr int kStageBytes = kRowOperandBytes + kTileSums * kDepth * 2;

// A warp's 16 rows of 64 sums, while a formula is computed that is not unrolled.
constexpr int kScratchPitch = 68;
constexpr int kScratchBytes = 16 * kScratchPitch * 4;
constexpr int kBarriersAt = kStages * kStageBytes + 8 * kScratchBytes;

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

#define WGMMA(TYPE)                                                                                                   \
  asm volatile(                                                                                                       \
      "{\n.reg .pred p;\nsetp.ne.b32 p, %130, 0;\n"                                                                   \
      "wgmma.mma_async.sync.aligned.m64n256k16.f32." TYPE "." TYPE " {"                                               \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,"    \
      "%29,%30,%31,%32,%33,%34,%35,%36,%37,%38,%39,%40,%41,%42,%43,%44,%45,%46,%47,%48,%49,%50,%51,%52,%53,%54,%55,"  \
      "%56,%57,%58,%59,%60,%61,%62,%63,%64,%65,%66,%67,%68,%69,%70,%71,%72,%73,%74,%75,%76,%77,%78,%79,%80,%81,%82,"  \
      "%83,%84,%85,%86,%87,%88,%89,%90,%91,%92,%93,%94,%95,%96,%97,%98,%99,%100,%101,%102,%103,%104,%105,%106,%107,"  \
      "%108,%109,%110,%111,%112,%113,%114,%115,%116,%117,%118,%119,%120,%121,%122,%123,%124,%125,%126,%127"           \
      "}, %128, %129, p, 1, 1, 0, 0;\n}\n"                                                                            \
      : SUMS_32(0), SUMS_32(32), SUMS_32(64), SUMS_32(96)                                                             \
      : "l"(a), "l"(b), "r"(add))
#define SUMS_4(N) "+f"(acc[N]), "+f"(acc[N + 1]), "+f"(acc[N + 2]), "+f"(acc[N + 3])
#define SUMS_16(N) SUMS_4(N), SUMS_4(N + 4), SUMS_4(N + 8), SUMS_4(N + 12)
#define SUMS_32(N) SUMS_16(N), SUMS_16(N + 16)

// acc = add * acc + 64 x 16 times 256 x 16.
__device__ __forceinline__ void multiply(float (&acc)[128], uint64_t a, uint64_t b, int add, __nv_bfloat16) {
  WGMMA("bf16");
}
__device__ __forceinline__ void multiply(float (&acc)[128], uint64_t a, uint64_t b, int add, __half) { WGMMA("f16"); }

__device__ __forceinline__ void beginProducts() { asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); }
__device__ __forceinline__ void commitProducts() { asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory"); }
template <int N>
__device__ __forceinline__ void productsDoneBut() {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(N) : "memory");
}

// The sums of a thread lie in rows lane / 4 and lane / 4 + 8 of its warp's 16: acc[4 n + 0, 1] and acc[4 n + 2, 3] are
// columns 8 n + 2 (lane % 4) and the next.

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

template <typename T, bool INNER, int OUTPUTS>
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
      copyTile(stage, xMap, arrived, step * kDepth, tile.first);
      copyTiles(stage + kRowOperandBytes + block * kHalf * 128, map, arrived, step * kDepth,
                column * OUTPUTS + (OUTPUTS == kHalf ? 0 : block * kHalf), OUTPUTS == kHalf ? block : 0);
      turn.next();
    }
  }
}

// 64 x 256 sums of one group of warps; `live`: whether it has rows at all.
template <typename T>
__device__ __forceinline__ void consume(
    float (&acc)[128], bool live, int group, int steps, Turn& turn, uint32_t base, uint32_t full, uint32_t empty) {
  const int lane = threadIdx.x & 31;
  const bool speaks = lane < kBlocks;
  if (!live) {
    for (int step = 0; step < steps; step++) {
      wait(full + turn.stage * 8, turn.parity);
      if (speaks) {
        arrive(empty + turn.stage * 8, lane);
      }
      turn.next();
    }
    return;
  }
  int last = 0;
#pragma unroll 1
  for (int step = 0; step < steps; step++) {
    const uint32_t stage = base + turn.stage * kStageBytes;
    const uint64_t a = operand(stage + group * kGroupRows * 128);
    const uint64_t b = operand(stage + kRowOperandBytes);
    wait(full + turn.stage * 8, turn.parity);
    beginProducts();
#pragma unroll
    for (int slice = 0; slice < kDepth / 16; slice++) {
      multiply(acc, a + slice * 2, b + slice * 2, step + slice, T());
    }
    commitProducts();
    productsDoneBut<1>();
    if (step > 0 && speaks) {
      arrive(empty + last * 8, lane);
    }
    last = turn.stage;
    turn.next();
  }
  productsDoneBut<0>();
  if (speaks) {
    arrive(empty + last * 8, lane);
  }
}

struct Rows {
  int64_t first;  // of the warp, among all rows
  int count;      // of its 16, at most
};

template <typename T>
struct Inner {
  T* out;
  int cols;
  int stride;
  Activation activation;

  // Gate times sigmoid times up, in registers: silu and the one of gpt-oss. EDGE: with biases or past the last column.
  template <bool EDGE>
  __device__ __forceinline__ void sigmoidTimesUp(
      const float (&acc)[128], const Rows& rows, int first, const Expert<T>& expert) const {
    const int lane = threadIdx.x & 31;
    const int odd = lane & 1;
    const bool isSilu = activation.kind == SILU;
    const float alpha = isSilu ? 1.0f : activation.alpha;
    const float beta = isSilu ? 0.0f : activation.beta;
    const bool upper = (lane >> 2) < rows.count;
    const bool lower = (lane >> 2) + 8 < rows.count;
    T* to = out + (rows.first + (lane >> 2)) * stride;
#pragma unroll
    for (int n = 0; n < 16; n += 2) {
      uint32_t packed[2][2];
#pragma unroll
      for (int i = 0; i < 2; i++) {
        const int col = first + (n + i) * 8 + (lane & 3) * 2;
        T value[4];
#pragma unroll
        for (int c = 0; c < 2; c++) {
          const bool real = !EDGE || col + c < cols;
          const float gateBias = EDGE && expert.b1 != nullptr && real ? __ldg(expert.b1 + col + c) : 0.0f;
          const float upBias = EDGE && expert.b3 != nullptr && real ? __ldg(expert.b3 + col + c) : 0.0f;
#pragma unroll
          for (int half = 0; half < 2; half++) {
            const int at = (n + i) * 4 + half * 2 + c;
            const float g = atMost(acc[at] + gateBias, activation.limit);
            const float u = clamp(acc[64 + at] + upBias, activation.limit);
            narrow(real ? g * sigmoid<true>(alpha * g) * (u + beta) : 0.0f, value[half * 2 + c]);
          }
        }
        packed[i][0] = pack(value[0], value[1]);
        packed[i][1] = pack(value[2], value[3]);
      }
      // Neighbours exchange halves, so that each has four columns of one row: whole sectors of 32 bytes are written.
      const int col = first + (n + odd) * 8 + (lane & 3 & ~1) * 2;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const uint32_t other = __shfl_xor_sync(~0u, odd ? packed[0][half] : packed[1][half], 1);
        if ((half == 0 ? upper : lower) && (!EDGE || col < stride)) {
          *(uint2*)(to + half * 8 * (int64_t)stride + col) =
              odd ? make_uint2(other, packed[1][half]) : make_uint2(packed[0][half], other);
        }
      }
    }
  }

  // Any formula, compiled once: a quarter of the sums at a time, through the warp's own shared memory.
  template <bool GATED>
  __device__ __forceinline__ void anyFormula(
      const float (&acc)[128], const Rows& rows, int first, const Expert<T>& expert, float* scratch) const {
    constexpr int kOutputs = GATED ? 32 : 64;
    const int lane = threadIdx.x & 31;
#pragma unroll 1
    for (int quarter = 0; quarter < 4; quarter++) {
      __syncwarp();
#pragma unroll
      for (int q = 0; q < 4; q++) {
        if (q == quarter) {
#pragma unroll
          for (int n = 0; n < 8; n++) {
            const int at = GATED ? (n < 4 ? q * 4 + n : 16 + q * 4 + n - 4) : q * 8 + n;
            float* to = scratch + (lane >> 2) * kScratchPitch + n * 8 + (lane & 3) * 2;
            *(float2*)to = make_float2(acc[at * 4], acc[at * 4 + 1]);
            *(float2*)(to + 8 * kScratchPitch) = make_float2(acc[at * 4 + 2], acc[at * 4 + 3]);
          }
        }
      }
      __syncwarp();
      const int output = lane % (kOutputs / 2) * 2;
      const int col = first + quarter * kOutputs + output;
      if (col >= stride) {
        continue;
      }
#pragma unroll 1
      for (int row = lane / (kOutputs / 2); row < rows.count; row += 64 / kOutputs) {
        T value[2];
#pragma unroll
        for (int c = 0; c < 2; c++) {
          const float* from = scratch + row * kScratchPitch + output + c;
          float result = 0.0f;
          if (col + c < cols) {
            const float gate = from[0] + (expert.b1 != nullptr ? expert.b1[col + c] : 0.0f);
            const float up = GATED ? from[32] + (expert.b3 != nullptr ? expert.b3[col + c] : 0.0f) : 0.0f;
            result = activate<true>(activation, gate, up);
          }
          narrow(result, value[c]);
        }
        *(uint32_t*)(out + (rows.first + row) * stride + col) = pack(value[0], value[1]);
      }
    }
  }
};

template <typename T>
struct Outer {
  float* out;
  int cols;

  // EDGE: with a bias, past the last column, or in rows that are no whole pairs.
  template <bool EDGE>
  __device__ __forceinline__ void store(
      const float (&acc)[128], const Rows& rows, int first, const Expert<T>& expert) const {
    const int lane = threadIdx.x & 31;
#pragma unroll
    for (int half = 0; half < 2; half++) {
      const int row = (lane >> 2) + half * 8;
      if (row >= rows.count) {
        continue;
      }
      float* to = out + (rows.first + row) * cols;
#pragma unroll
      for (int n = 0; n < 32; n++) {
        const int col = first + n * 8 + (lane & 3) * 2;
        const float low = acc[n * 4 + half * 2];
        const float high = acc[n * 4 + half * 2 + 1];
        if (!EDGE) {
          *(float2*)(to + col) = make_float2(low, high);
        } else {
          if (col < cols) {
            to[col] = low + (expert.b2 != nullptr ? expert.b2[col] : 0.0f);
          }
          if (col + 1 < cols) {
            to[col + 1] = high + (expert.b2 != nullptr ? expert.b2[col + 1] : 0.0f);
          }
        }
      }
    }
  }
};

template <typename T, bool INNER, int OUTPUTS, typename Store>
__device__ __forceinline__ void product(
    const TensorMap* xMap, const Plan& plan, const Expert<T>* experts, int k, const Store& store) {
  extern __shared__ __align__(1024) unsigned char memory[];
  const uint32_t base = (uint32_t)__cvta_generic_to_shared(memory);
  const uint32_t full = base + kBarriersAt;
  const uint32_t empty = full + kStages * 8;
  const int steps = k / kDepth;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; stage++) {
      initBarrier(full + stage * 8, 1);
      initBarrier(empty + stage * 8, 8 * kBlocks);
    }
    asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
  }
  meetCluster();
  if (threadIdx.x < 128) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;\n");
    if (threadIdx.x == 0) {
      produce<T, INNER, OUTPUTS>(xMap, plan, experts, steps, base, full, empty);
    }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;\n");
    const int group = (threadIdx.x >> 7) - 1;
    const int warp = (threadIdx.x >> 5) - 4;
    float* scratch = (float*)(memory + kStages * kStageBytes + warp * kScratchBytes);
    Turn turn;
    const int block = blockOfCluster();
    for (int index = blockIdx.x / kBlocks; index < plan.count(); index += gridDim.x / kBlocks) {
      int rowTile;
      int column;
      plan.at(index, rowTile, column);
      const Tile tile = share(plan.tiles[rowTile], block);
      const Expert<T>& expert = experts[tile.expert];
      const bool live = tile.rows > group * kGroupRows;
      float acc[128];
      consume<T>(acc, live, group, steps, turn, base, full, empty);
      if (live) {
        const int own = warp * 16;
        store(acc, Rows{(int64_t)tile.first + own, min(16, tile.rows - own)}, column * OUTPUTS, expert, scratch);
      }
    }
  }
  // The other block may still copy to this one's memory and arrive at its barriers.
  meetCluster();
}

}  // namespace

// Arguments as in experts.cu; rowTiles and columns are the numbers of tiles, xMap is that of x.
#define INNER(NAME, T, GATED)                                                                                         \
  extern "C" __global__ void __cluster_dims__(kBlocks, 1, 1) __launch_bounds__(kThreads, 1)                                                           \
      NAME(const __grid_constant__ TensorMap xMap, const Tile* tiles, const Expert<T>* experts, T* out, int rowTiles, \
           int columns, int k, int cols, int stride, int kind, float alpha, float beta, float limit) {                \
    const Inner<T> inner{out, cols, stride, Activation{kind, alpha, beta, limit}};                                    \
    product<T, true, GATED ? kTileSums / 2 : kTileSums>(                                                              \
        &xMap, Plan{tiles, rowTiles, columns}, experts, k,                                                            \
        [&](const float(&acc)[128], const Rows& rows, int first, const Expert<T>& expert, float* scratch) {           \
          if (GATED && (kind == SILU || kind == SWIGLU_OAI)) {                                                        \
            if (expert.b1 == nullptr && expert.b3 == nullptr && first + kTileSums / 2 <= cols) {                      \
              inner.template sigmoidTimesUp<false>(acc, rows, first, expert);                                         \
            } else {                                                                                                  \
              inner.template sigmoidTimesUp<true>(acc, rows, first, expert);                                          \
            }                                                                                                         \
          } else {                                                                                                    \
            inner.template anyFormula<GATED>(acc, rows, first, expert, scratch);                                      \
          }                                                                                                           \
        });                                                                                                           \
  }

INNER(inner_gated_bf16, __nv_bfloat16, true)
INNER(inner_gated_f16, __half, true)
INNER(inner_plain_bf16, __nv_bfloat16, false)
INNER(inner_plain_f16, __half, false)

#define OUTER(NAME, T)                                                                                                \
  extern "C" __global__ void __cluster_dims__(kBlocks, 1, 1) __launch_bounds__(kThreads, 1)                                                           \
      NAME(const __grid_constant__ TensorMap xMap, const Tile* tiles, const Expert<T>* experts, float* out,           \
           int rowTiles, int columns, int k, int cols) {                                                              \
    const Outer<T> outer{out, cols};                                                                                  \
    product<T, false, kTileSums>(                                                                                     \
        &xMap, Plan{tiles, rowTiles, columns}, experts, k,                                                            \
        [&](const float(&acc)[128], const Rows& rows, int first, const Expert<T>& expert, float*) {                   \
          if (expert.b2 == nullptr && first + kTileSums <= cols && (cols & 1) == 0) {                                 \
            outer.template store<false>(acc, rows, first, expert);                                                    \
          } else {                                                                                                    \
            outer.template store<true>(acc, rows, first, expert);                                                     \
          }                                                                                                           \
        });                                                                                                           \
  }

OUTER(outer_bf16, __nv_bfloat16)
OUTER(outer_f16, __half)

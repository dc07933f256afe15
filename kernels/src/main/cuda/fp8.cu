// The products of experts whose weights and rows are both e4m3, for compute capability 9.0, as hopper.cuh describes:
// codes are multiplied by codes on tensor cores. Weights have a scale for each block of 128 x 128, rows one for each 128
// values, which lie behind the row's codes. Tensor cores keep few bits of a sum of codes, so that after each 128 of k it
// is multiplied by both scales and added up in f32 outside them.

#include "codes.cuh"
#include "fp8.cuh"
#include "hopper.cuh"

namespace {

constexpr int kHalfSums = kTileSums / 2;

// Of a warp's 16 rows of 128 codes in its scratch memory, such that eight rows of the same column lie in different banks.
constexpr int kScratchPitch = 144;

// acc = add * acc + 64 x 32 times 64 x 32: the left operand in registers, or in shared memory.
#define QUARTER "wgmma.mma_async.sync.aligned.m64n64k32.f32.e4m3.e4m3 {"                                             \
  "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,%29,"    \
  "%30,%31}, "

__device__ __forceinline__ void multiply(float (&acc)[32], const uint32_t (&a)[4], uint64_t b, int add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n" QUARTER "{%32,%33,%34,%35}, %36, p, 1, 1;\n}\n"
      : SUMS_32(0)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add));
}
__device__ __forceinline__ void multiply(float (&acc)[32], uint64_t a, uint64_t b, int add) {
  asm volatile("{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n" QUARTER "%32, %33, p, 1, 1;\n}\n"
               : SUMS_32(0)
               : "l"(a), "l"(b), "r"(add));
}

__device__ __forceinline__ void ldmatrix(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

// The scales of one row of weight blocks.
struct BlockScales {
  const Coding& coding;
  const uint8_t* matrix;
  int first;

  __device__ __forceinline__ BlockScales(const Coding& c, const uint8_t* m, int row) : coding(c), matrix(m) {
    first = firstScaleOf(coding, row);
  }

  __device__ __forceinline__ uint32_t stored(int step) const { return storedScaleOf(coding, matrix, first + step); }
  __device__ __forceinline__ float of(uint32_t stored) const { return scaleOf(coding, matrix, stored); }
};

// 64 x 256 sums of one group of warps, in two halves of 128 and four quarters. A thread's sums lie as in hopper.cu:
// `upper` and `lower` are the scales of its two rows, `left` and `right` those of the halves.
//
// While one quarter is multiplied, the sums of the one before are scaled and added up. Rows are read once a stage into
// registers, but for the last quarter, so that those of the next stage can be read while that is multiplied.
__device__ __forceinline__ void consume(
    float (&sum)[128], const float* upper, const float* lower, const BlockScales& left, const BlockScales& right,
    int group, int steps, Turn& turn, uint32_t base, uint32_t full, uint32_t empty) {
  const int lane = threadIdx.x & 31;
  // Chunks of 16 bytes are swizzled by exclusive or with the row.
  const int row = group * kGroupRows + ((threadIdx.x >> 5) & 3) * 16 + (lane & 15);
  const uint32_t own = row * 128;
  const uint32_t chunk = ((lane >> 4) ^ (row & 7)) << 4;
  uint32_t a[4][4];
  auto readRows = [&](uint32_t stage) {
#pragma unroll
    for (int slice = 0; slice < 4; slice++) {
      ldmatrix(a[slice], stage + own + (chunk ^ (slice << 5)));
    }
  };
  float acc[2][32];
  auto add = [&](int quarter, const float (&scale)[2]) {
#pragma unroll
    for (int i = 0; i < 32; i++) {
      // Reads of them stay behind the wait for them.
      asm volatile("" : "+f"(acc[quarter & 1][i])::"memory");
    }
#pragma unroll
    for (int i = 0; i < 32; i++) {
      sum[quarter * 32 + i] = fmaf(acc[quarter & 1][i], scale[(i >> 1) & 1], sum[quarter * 32 + i]);
    }
  };
#pragma unroll
  for (int i = 0; i < 128; i++) {
    sum[i] = 0.0f;
  }
  auto issue = [&](int quarter, uint32_t stage) {
    const uint64_t b = operand(stage + kRowOperandBytes + quarter * 64 * 128);
    beginProducts();
#pragma unroll
    for (int slice = 0; slice < 4; slice++) {
      if (quarter < 3) {
        multiply(acc[quarter & 1], a[slice], b + slice * 2, slice);
      } else {
        multiply(acc[quarter & 1], operand(stage + group * kGroupRows * 128) + slice * 2, b + slice * 2, slice);
      }
    }
    commitProducts();
  };
  float rows[2] = {__ldg(upper), __ldg(lower)};
  uint32_t stored[2] = {left.stored(0), right.stored(0)};
  float scale[2];
  auto choose = [&](const BlockScales& blocks, int half) {
    const float block = blocks.of(stored[half]);
    scale[0] = rows[0] * block;
    scale[1] = rows[1] * block;
  };
  // All of a stage but its first quarter, which has been issued, up to the issue of its last one.
  auto middle = [&](uint32_t stage) {
    issue(0, stage);
    issue(1, stage);
    productsDoneBut<1>();
    choose(left, 0);
    add(0, scale);
    issue(2, stage);
    productsDoneBut<1>();
    add(1, scale);
    issue(3, stage);
    productsDoneBut<1>();
    choose(right, 1);
    add(2, scale);
  };
  wait(full + turn.stage * 8, turn.parity);
  readRows(base + turn.stage * kStageBytes);
#pragma unroll 1
  for (int step = 1; step < steps; step++) {
    const int last = turn.stage;
    middle(base + last * kStageBytes);
    rows[0] = __ldg(upper + step);
    rows[1] = __ldg(lower + step);
    stored[0] = left.stored(step);
    stored[1] = right.stored(step);
    turn.next();
    wait(full + turn.stage * 8, turn.parity);
    readRows(base + turn.stage * kStageBytes);
    productsDoneBut<0>();
    if (lane < kBlocks) {
      arrive(empty + last * 8, lane);
    }
    add(3, scale);
  }
  middle(base + turn.stage * kStageBytes);
  productsDoneBut<0>();
  if (lane < kBlocks) {
    arrive(empty + turn.stage * 8, lane);
  }
  add(3, scale);
  turn.next();
}

struct Inner {
  uint8_t* out;
  int cols;
  int stride;
  Activation activation;
  bool powerOfTwo;

  // Gate times sigmoid times up in place of the gates, in registers: silu and the one of gpt-oss. BIASES: whether there
  // are any.
  template <bool BIASES>
  __device__ __forceinline__ void sigmoidTimesUp(
      float (&sum)[128], int first, const float* b1, const float* b3) const {
    const int lane = threadIdx.x & 31;
    const bool isSilu = activation.kind == SILU;
    const float alpha = isSilu ? 1.0f : activation.alpha;
    const float beta = isSilu ? 0.0f : activation.beta;
#pragma unroll
    for (int n = 0; n < 16; n++) {
#pragma unroll
      for (int c = 0; c < 2; c++) {
        const int col = first + n * 8 + (lane & 3) * 2 + c;
        const bool real = !BIASES || col < cols;
        const float gateBias = BIASES && b1 != nullptr && real ? __ldg(b1 + col) : 0.0f;
        const float upBias = BIASES && b3 != nullptr && real ? __ldg(b3 + col) : 0.0f;
#pragma unroll
        for (int half = 0; half < 2; half++) {
          const int at = n * 4 + half * 2 + c;
          const float g = atMost(sum[at] + gateBias, activation.limit);
          const float u = clamp(sum[64 + at] + upBias, activation.limit);
          sum[at] = real ? g * sigmoid<true>(alpha * g) * (u + beta) : 0.0f;
        }
      }
    }
  }

  // Any formula likewise, not unrolled: a quarter of the outputs at a time, through the warp's own memory.
  __device__ __forceinline__ void anyFormula(
      float (&sum)[128], int first, const float* b1, const float* b3, float* scratch) const {
    const int lane = threadIdx.x & 31;
    auto each = [&](int quarter, bool isStore) {
#pragma unroll
      for (int i = 0; i < 16; i++) {
        const int row = (lane >> 2) + (i >> 1 & 1) * 8;
        float* at = scratch + row * 64 + (i >> 2) * 8 + (lane & 3) * 2 + (i & 1);
        if (isStore) {
          at[0] = sum[quarter * 16 + i];
          at[32] = sum[64 + quarter * 16 + i];
        } else {
          sum[quarter * 16 + i] = at[0];
        }
      }
      __syncwarp();
    };
#pragma unroll
    for (int quarter = 0; quarter < 4; quarter++) {
      each(quarter, true);
      const int col = first + quarter * 32 + lane;
      const bool real = col < cols;
      const float gateBias = b1 != nullptr && real ? b1[col] : 0.0f;
      const float upBias = b3 != nullptr && real ? b3[col] : 0.0f;
#pragma unroll 1
      for (int row = 0; row < 16; row++) {
        float* at = scratch + row * 64 + lane;
        at[0] = real ? activate<true>(activation, at[0] + gateBias, at[32] + upBias) : 0.0f;
      }
      __syncwarp();
      each(quarter, false);
    }
  }

  // Codes and scales of the first 64 of a thread's `sum`: the 128 outputs of a row are one group.
  __device__ __forceinline__ void store(
      const float (&sum)[128], const Rows& rows, int first, uint8_t* scratch) const {
    const int lane = threadIdx.x & 31;
    uint8_t* to = out + rows.first * rowBytes(stride);
#pragma unroll
    for (int half = 0; half < 2; half++) {
      uint32_t most = 0;
#pragma unroll
      for (int n = 0; n < 16; n++) {
#pragma unroll
        for (int c = 0; c < 2; c++) {
          most = max(most, __float_as_uint(sum[n * 4 + half * 2 + c]) & 0x7FFFFFFFu);
        }
      }
      most = max(most, __shfl_xor_sync(~0u, most, 1));
      most = max(most, __shfl_xor_sync(~0u, most, 2));
      const float scale = groupScale(most, powerOfTwo);
      const float inverse = __frcp_rn(scale);
      const int row = (lane >> 2) + half * 8;
      if ((lane & 3) == 0 && row < rows.count) {
        *((float*)(to + row * rowBytes(stride) + stride) + first / kGroup) = scale;
      }
#pragma unroll
      for (int n = 0; n < 16; n++) {
        *(uint16_t*)(scratch + row * kScratchPitch + n * 8 + (lane & 3) * 2) =
            encode(sum[n * 4 + half * 2], sum[n * 4 + half * 2 + 1], scale, inverse);
      }
    }
    __syncwarp();
    const int chunk = (lane & 7) * 16;
    if (first + chunk < stride) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const int row = (lane >> 3) + i * 4;
        if (row < rows.count) {
          *(uint4*)(to + row * rowBytes(stride) + first + chunk) = *(const uint4*)(scratch + row * kScratchPitch + chunk);
        }
      }
    }
    __syncwarp();
  }
};

template <bool INNER, typename Store>
__device__ __forceinline__ void product(
    const TensorMap* xMap, const uint8_t* x, const Plan& plan, const Expert<uint8_t>* experts, int k, int cols,
    const Coding& coding, int* counter, const Store& store) {
  extern __shared__ __align__(1024) unsigned char memory[];
  constexpr int kOutputs = INNER ? kHalfSums : kTileSums;
  const uint32_t base = (uint32_t)__cvta_generic_to_shared(memory);
  const uint32_t full = base + kBarriersAt;
  const uint32_t empty = full + kStages * 8;
  const int steps = (k + kGroup - 1) / kGroup;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; stage++) {
      initBarrier(full + stage * 8, 1);
      initBarrier(empty + stage * 8, 8 * kBlocks);
    }
    Jobs(memory, base).init(kReaders);
    asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
  }
  meetCluster();
  // The same in the whole warp, as the compiler sees from the shuffle.
  const int warpOfBlock = __shfl_sync(~0u, threadIdx.x >> 5, 0);
  if (warpOfBlock < 4) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;\n");
    if (threadIdx.x == 0) {
      produce<kGroup, kOutputs>(xMap, Jobs(memory, base), steps, base, full, empty);
    } else if (threadIdx.x == 32 && blockOfCluster() == 0) {
      Jobs(memory, base).handOut<INNER>(plan, experts, counter);
    }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;\n");
    const int group = (warpOfBlock >> 2) - 1;
    const int warp = warpOfBlock - 4;
    const int lane = threadIdx.x & 31;
    uint8_t* scratch = memory + kScratchAt + warp * kScratchBytes;
    Turn turn;
    Jobs jobs(memory, base);
    const int block = blockOfCluster();
    for (Job whole = jobs.nextOfWarp(); whole.rows > 0; whole = jobs.nextOfWarp()) {
      const Job job = whole.ofBlock(block);
      if (job.rows <= group * kGroupRows) {
        pass(steps, turn, full, empty);
        continue;
      }
      const int own = warp * 16;
      const int last = job.rows - 1;
      const int first = job.column * kOutputs;
      const BlockScales left(coding, (const uint8_t*)job.weights[0], first);
      const BlockScales right(
          coding, (const uint8_t*)job.weights[1], INNER ? first : min(first + kHalfSums, cols - 1));
      float sum[128];
      consume(sum, scalesOf(x, job.first + min(own + (lane >> 2), last), k),
              scalesOf(x, job.first + min(own + (lane >> 2) + 8, last), k), left, right, group, steps, turn, base, full,
              empty);
      store(sum, Rows{(int64_t)job.first + own, min(16, job.rows - own)}, first, job.biases, scratch);
    }
    storesReadBut<0>();
  }
  // The other block may still copy to this one's memory and arrive at its barriers.
  meetCluster();
}

}  // namespace

// Arguments as in hopper.cu; x is what xMap describes, with its scales, and `coding` says where those of the weights lie.
extern "C" __global__ void __cluster_dims__(kBlocks, 1, 1) __launch_bounds__(kThreads, 1)
    inner_gated_fp8(const __grid_constant__ TensorMap xMap, const uint8_t* x, const Tile* tiles,
                    const Expert<uint8_t>* experts, uint8_t* out, int rowTiles, int columns, int k, int cols, int stride,
                    int kind, float alpha, float beta, float limit, int powerOfTwo, Coding coding, int* counter) {
  const Inner inner{out, cols, stride, Activation{kind, alpha, beta, limit}, powerOfTwo != 0};
  product<true>(&xMap, x, Plan{tiles, rowTiles, columns}, experts, k, cols, coding, counter,
                [&](float(&sum)[128], const Rows& rows, int first, const float* const(&biases)[2], uint8_t* scratch) {
                  if (kind != SILU && kind != SWIGLU_OAI) {
                    inner.anyFormula(sum, first, biases[0], biases[1], (float*)scratch);
                  } else if (biases[0] == nullptr && biases[1] == nullptr) {
                    inner.sigmoidTimesUp<false>(sum, first, biases[0], biases[1]);
                  } else {
                    inner.sigmoidTimesUp<true>(sum, first, biases[0], biases[1]);
                  }
                  inner.store(sum, rows, first, scratch);
                });
}

extern "C" __global__ void __cluster_dims__(kBlocks, 1, 1) __launch_bounds__(kThreads, 1)
    outer_fp8(const __grid_constant__ TensorMap xMap, const uint8_t* x, const Tile* tiles,
              const Expert<uint8_t>* experts, float* out, int rowTiles, int columns, int k, int cols, Coding coding,
              const __grid_constant__ TensorMap outMap, int* counter) {
  product<false>(&xMap, x, Plan{tiles, rowTiles, columns}, experts, k, cols, coding, counter,
                 [&](const float(&sum)[128], const Rows& rows, int first, const float* const(&biases)[2],
                     uint8_t* scratch) {
                   storeSums(sum, rows, Sums{&outMap, out, cols}, first, biases[0], (float*)scratch);
                 });
}

// Rows of codes and their scales, of rows of `stride` values with zeros behind the last real one: row i of those of
// tokenOfOrNull[i]. One block a row, of whole warps.
extern "C" __global__ void quantize_fp8(
    const float* from, const int* tokenOfOrNull, uint8_t* to, int stride, int powerOfTwo) {
  const int lane = threadIdx.x & 31;
  const int64_t row = blockIdx.x;
  const float4* values = (const float4*)(from + (tokenOfOrNull == nullptr ? row : tokenOfOrNull[row]) * stride);
  uint8_t* codes = to + row * rowBytes(stride);
  const int groups = (stride + kGroup - 1) / kGroup;
  for (int group = threadIdx.x >> 5; group < groups; group += blockDim.x >> 5) {
    const int quad = group * (kGroup / 4) + lane;
    const bool real = quad < stride / 4;
    const float4 value = real ? values[quad] : make_float4(0.0f, 0.0f, 0.0f, 0.0f);
    uint32_t most = max(max(__float_as_uint(value.x) & 0x7FFFFFFFu, __float_as_uint(value.y) & 0x7FFFFFFFu),
                        max(__float_as_uint(value.z) & 0x7FFFFFFFu, __float_as_uint(value.w) & 0x7FFFFFFFu));
    const float scale = groupScale(__reduce_max_sync(~0u, most), powerOfTwo != 0);
    const float inverse = __frcp_rn(scale);
    if (real) {
      ((uint32_t*)codes)[quad] = (uint32_t)encode(value.x, value.y, scale, inverse) |
                                 (uint32_t)encode(value.z, value.w, scale, inverse) << 16;
    }
    if (lane == 0) {
      ((float*)(codes + stride))[group] = scale;
    }
  }
}

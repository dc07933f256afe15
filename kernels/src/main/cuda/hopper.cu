// The products of experts.cu in bf16 and f16 for compute capability 9.0, as hopper.cuh describes. Rows of x lie one
// behind the other, sorted by expert, or where their tokens do: the copy engine gathers none, so two warps do then.

#include "gather.cuh"

namespace {

constexpr int kDepth = 64;  // of k, in one stage

// Of a warp's 16 rows of 64 sums in its scratch memory, while a formula is computed that is not unrolled: `col` is
// swizzled by eights, such that four rows lie in different banks.
__device__ __forceinline__ int scratchAt(int row, int col) { return row * 64 + (col ^ ((row & 3) << 3)); }

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

// acc = add * acc + 64 x 16 times 256 x 16.
__device__ __forceinline__ void multiply(float (&acc)[128], uint64_t a, uint64_t b, int add, __nv_bfloat16) {
  WGMMA("bf16");
}
__device__ __forceinline__ void multiply(float (&acc)[128], uint64_t a, uint64_t b, int add, __half) { WGMMA("f16"); }

#define WGMMA_QUARTER(TYPE)                                                                                           \
  asm volatile(                                                                                                       \
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"                                                                    \
      "wgmma.mma_async.sync.aligned.m64n64k16.f32." TYPE "." TYPE " {"                                                \
      "%0,%1,%2,%3,%4,%5,%6,%7,%8,%9,%10,%11,%12,%13,%14,%15,%16,%17,%18,%19,%20,%21,%22,%23,%24,%25,%26,%27,%28,"    \
      "%29,%30,%31}, %32, %33, p, 1, 1, 0, 0;\n}\n"                                                                   \
      : SUMS_32(0)                                                                                                    \
      : "l"(a), "l"(b), "r"(add))

// The same for 64 columns.
__device__ __forceinline__ void multiply(float (&acc)[32], uint64_t a, uint64_t b, int add, __nv_bfloat16) {
  WGMMA_QUARTER("bf16");
}
__device__ __forceinline__ void multiply(float (&acc)[32], uint64_t a, uint64_t b, int add, __half) {
  WGMMA_QUARTER("f16");
}

// The sums of a thread: of 256 columns, of the first 64 alone, or of the first 64 of gate and of up.
struct Whole {
  float acc[128];

  template <typename T>
  __device__ __forceinline__ void add(uint64_t a, uint64_t b, int more) {
    multiply(acc, a, b, more, T());
  }
};
template <bool BOTH>
struct Quarter {
  float acc[32];
  float up[BOTH ? 32 : 1];

  template <typename T>
  __device__ __forceinline__ void add(uint64_t a, uint64_t b, int more) {
    multiply(acc, a, b, more, T());
    if constexpr (BOTH) {
      multiply(up, a, b + (kTileSums / 2 * 128 >> 4), more, T());
    }
  }

  // As they lie among those of a whole tile, of which nobody asks for others.
  __device__ __forceinline__ void among(float (&all)[128]) const {
#pragma unroll
    for (int i = 0; i < 32; i++) {
      all[i] = acc[i];
      if constexpr (BOTH) {
        all[64 + i] = up[i];
      }
    }
  }
};

// The sums of a thread lie in rows lane / 4 and lane / 4 + 8 of its warp's 16: acc[4 n + 0, 1] and acc[4 n + 2, 3] are
// columns 8 n + 2 (lane % 4) and the next.

// Between the groups of warps, which begin with a tile one after the other: while one stores, the other multiplies.
constexpr int kLead = 2;  // stages
__device__ __forceinline__ void followOtherGroup() { asm volatile("bar.sync 1, 256;\n" ::: "memory"); }
__device__ __forceinline__ void letOtherGroupFollow() { asm volatile("bar.arrive 1, 256;\n" ::: "memory"); }

// 64 x 256 sums of one group of warps. `both`: whether both groups have rows, and stages enough for one to lead. A stage
// is multiplied in halves, so that the one before it is given back while there is still work in flight. `gathered`:
// whether its rows were not brought by the copy engine.
template <typename T, typename Sum>
__device__ __forceinline__ void consume(
    Sum& sum, bool both, bool gathered, int group, int steps, Turn& turn, uint32_t base, uint32_t full, uint32_t empty) {
  const int lane = threadIdx.x & 31;
  const bool speaks = lane < kBlocks;
  if (both && group == 1) {
    followOtherGroup();
  }
  const int leads = both && group == 0 ? kLead - 1 : -1;
  int last = 0;
#pragma unroll 1
  for (int step = 0; step < steps; step++) {
    const uint32_t stage = base + turn.stage * kStageBytes;
    const uint64_t a = operand(stage + group * kGroupRows * 128);
    const uint64_t b = operand(stage + kRowOperandBytes);
    wait(full + turn.stage * 8, turn.parity);
    if (gathered) {
      asm volatile("fence.proxy.async.shared::cta;\n" ::: "memory");
    }
#pragma unroll
    for (int half = 0; half < 2; half++) {
      beginProducts();
#pragma unroll
      for (int slice = half * 2; slice < half * 2 + 2; slice++) {
        sum.template add<T>(a + slice * 2, b + slice * 2, step + slice);
      }
      commitProducts();
      if (half == 0 && step == leads) {
        letOtherGroupFollow();
      }
      productsDoneBut<1>();
      if (half == 0 && step > 0 && speaks) {
        arrive(empty + last * 8, lane);
      }
    }
    last = turn.stage;
    turn.next();
  }
  productsDoneBut<0>();
  if (speaks) {
    arrive(empty + last * 8, lane);
  }
}

template <typename T>
struct Inner {
  T* out;
  int cols;
  int stride;
  Activation activation;

  // Gate times sigmoid times up, in registers: silu and the one of gpt-oss. PLAIN: silu alone, without a bound, biases or
  // a column past the last, so that nothing is left but its exponential and its quotient.
  template <bool PLAIN>
  __device__ __forceinline__ void sigmoidTimesUp(
      const float (&acc)[128], const Rows& rows, int first, const float* b1, const float* b3) const {
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
          const bool real = PLAIN || col + c < cols;
          const float gateBias = !PLAIN && b1 != nullptr && real ? __ldg(b1 + col + c) : 0.0f;
          const float upBias = !PLAIN && b3 != nullptr && real ? __ldg(b3 + col + c) : 0.0f;
#pragma unroll
          for (int half = 0; half < 2; half++) {
            const int at = (n + i) * 4 + half * 2 + c;
            if (PLAIN) {
              narrow(acc[at] * briefSigmoid(acc[at]) * acc[64 + at], value[half * 2 + c]);
            } else {
              const float g = atMost(acc[at] + gateBias, activation.limit);
              const float u = clamp(acc[64 + at] + upBias, activation.limit);
              narrow(real ? g * briefSigmoid(alpha * g) * (u + beta) : 0.0f, value[half * 2 + c]);
            }
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
        if ((half == 0 ? upper : lower) && (PLAIN || col < stride)) {
          *(uint2*)(to + half * 8 * (int64_t)stride + col) =
              odd ? make_uint2(other, packed[1][half]) : make_uint2(packed[0][half], other);
        }
      }
    }
  }

  // Any formula, compiled once: a quarter of the sums at a time, through the warp's own shared memory.
  template <bool GATED>
  __device__ __forceinline__ void anyFormula(
      const float (&acc)[128], const Rows& rows, int first, const float* b1, const float* b3, float* scratch) const {
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
            const int row = lane >> 2;
            const int col = n * 8 + (lane & 3) * 2;
            *(float2*)(scratch + scratchAt(row, col)) = make_float2(acc[at * 4], acc[at * 4 + 1]);
            *(float2*)(scratch + scratchAt(row + 8, col)) = make_float2(acc[at * 4 + 2], acc[at * 4 + 3]);
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
          float result = 0.0f;
          if (col + c < cols) {
            const float gate =
                scratch[scratchAt(row, output + c)] + (b1 != nullptr ? b1[col + c] : 0.0f);
            const float up = GATED ? scratch[scratchAt(row, output + c + 32)] +
                                         (b3 != nullptr ? b3[col + c] : 0.0f)
                                   : 0.0f;
            result = activate<true>(activation, gate, up);
          }
          narrow(result, value[c]);
        }
        *(uint32_t*)(out + (rows.first + row) * stride + col) = pack(value[0], value[1]);
      }
    }
  }
};

template <typename T, bool INNER, int OUTPUTS, typename Store>
__device__ __forceinline__ void product(
    const TensorMap* xMap, const Tokens<T>& tokens, const Plan& plan, const Expert<T>* experts, int k, int cols,
    int* counter, const Store& store) {
  extern __shared__ __align__(1024) unsigned char memory[];
  const uint32_t base = (uint32_t)__cvta_generic_to_shared(memory);
  const uint32_t full = base + kBarriersAt;
  const uint32_t empty = full + kStages * 8;
  const int steps = k / kDepth;
  const bool gathers = INNER && tokens.tokenOfOrNull != nullptr;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < kStages; stage++) {
      initBarrier(full + stage * 8, gathers ? 1 + kGatherers * 32 : 1);
      initBarrier(empty + stage * 8, 8 * kBlocks);
    }
    Jobs(memory, base).init(gathers ? kReaders + kGatherers : kReaders);
    asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
  }
  meetCluster();
  // The same in the whole warp, as the compiler sees from the shuffle.
  const int warpOfBlock = __shfl_sync(~0u, threadIdx.x >> 5, 0);
  if (warpOfBlock < 4) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;\n");
    if (threadIdx.x == 0) {
      produce<kDepth, OUTPUTS>(gathers ? nullptr : xMap, Jobs(memory, base), steps, base, full, empty);
    } else if (threadIdx.x == 32 && blockOfCluster() == 0) {
      Jobs(memory, base).handOut<INNER>(plan, experts, counter);
    } else if (gathers && warpOfBlock >= 4 - kGatherers) {
      gather(tokens, Jobs(memory, base), steps, k, memory, base, full, empty);
    }
  } else {
    asm volatile("setmaxnreg.inc.sync.aligned.u32 232;\n");
    const int group = (warpOfBlock >> 2) - 1;
    const int warp = warpOfBlock - 4;
    float* scratch = (float*)(memory + kScratchAt + warp * kScratchBytes);
    Turn turn;
    Jobs jobs(memory, base);
    const int block = blockOfCluster();
    for (Job whole = jobs.nextOfWarp(); whole.rows > 0; whole = jobs.nextOfWarp()) {
      const Job job = whole.ofBlock(block);
      if (job.rows <= group * kGroupRows) {
        pass(steps, turn, full, empty);
        continue;
      }
      const bool both = job.rows > kGroupRows && steps > kStages;
      const int first = job.column * OUTPUTS;
      const Rows rows{(int64_t)job.first + warp * 16, min(16, job.rows - warp * 16)};
      if (cols - first > kTileSums / 4) {
        Whole sum;
        consume<T>(sum, both, gathers, group, steps, turn, base, full, empty);
        store(sum.acc, rows, first, job.biases, scratch);
      } else {
        Quarter<OUTPUTS != kTileSums> sum;
        consume<T>(sum, both, gathers, group, steps, turn, base, full, empty);
        float all[128];
        sum.among(all);
        store(all, rows, first, job.biases, scratch);
      }
    }
    storesReadBut<0>();
  }
  // The other block may still copy to this one's memory and arrive at its barriers.
  meetCluster();
}

}  // namespace

// Arguments as in experts.cu; rowTiles and columns are the numbers of tiles, xMap is that of x where there is no
// tokenOfOrNull, and outMap that of out, where its rows are whole 16 bytes; *counter is 0.
#define INNER(NAME, T, GATED)                                                                                         \
  extern "C" __global__ void __cluster_dims__(kBlocks, 1, 1) __launch_bounds__(kThreads, 1)                           \
      NAME(const __grid_constant__ TensorMap xMap, const T* x, const int* tokenOfOrNull, const Tile* tiles,           \
           const Expert<T>* experts, T* out, int rowTiles, int columns, int k, int cols, int stride, int kind,        \
           float alpha, float beta, float limit, int* counter) {                                                      \
    const Inner<T> inner{out, cols, stride, Activation{kind, alpha, beta, limit}};                                    \
    product<T, true, GATED ? kTileSums / 2 : kTileSums>(                                                              \
        &xMap, Tokens<T>{x, tokenOfOrNull}, Plan{tiles, rowTiles, columns}, experts, k, cols, counter,                \
        [&](const float(&acc)[128], const Rows& rows, int first, const float* const(&biases)[2], float* scratch) {    \
          const float* b1 = biases[0];                                                                                \
          const float* b3 = biases[1];                                                                                \
          if (GATED && kind == SILU && limit == INFINITY && b1 == nullptr && b3 == nullptr &&                         \
              first + kTileSums / 2 <= cols) {                                                                        \
            inner.template sigmoidTimesUp<true>(acc, rows, first, b1, b3);                                            \
          } else if (GATED && (kind == SILU || kind == SWIGLU_OAI)) {                                                 \
            inner.template sigmoidTimesUp<false>(acc, rows, first, b1, b3);                                           \
          } else {                                                                                                    \
            inner.template anyFormula<GATED>(acc, rows, first, b1, b3, scratch);                                      \
          }                                                                                                           \
        });                                                                                                           \
  }

INNER(inner_gated_bf16, __nv_bfloat16, true)
INNER(inner_gated_f16, __half, true)
INNER(inner_plain_bf16, __nv_bfloat16, false)
INNER(inner_plain_f16, __half, false)

#define OUTER(NAME, T)                                                                                                \
  extern "C" __global__ void __cluster_dims__(kBlocks, 1, 1) __launch_bounds__(kThreads, 1)                           \
      NAME(const __grid_constant__ TensorMap xMap, const Tile* tiles, const Expert<T>* experts, float* out,           \
           int rowTiles, int columns, int k, int cols, const __grid_constant__ TensorMap outMap, int* counter) {      \
    product<T, false, kTileSums>(                                                                                     \
        &xMap, Tokens<T>{nullptr, nullptr}, Plan{tiles, rowTiles, columns}, experts, k, cols, counter,                \
        [&](const float(&acc)[128], const Rows& rows, int first, const float* const(&biases)[2], float* scratch) {    \
          storeSums(acc, rows, Sums{&outMap, out, cols}, first, biases[0], scratch);                                  \
        });                                                                                                           \
  }

OUTER(outer_bf16, __nv_bfloat16)
OUTER(outer_f16, __half)

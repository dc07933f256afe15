// Tokens on their way to the products and back, for compute capability 8.0 and later: rounding, permutation by expert,
// weighted sum. Nothing here depends on the order in which threads run.

#include "experts.cuh"

#include <limits.h>

namespace {

__device__ __forceinline__ float widen(float value) { return value; }
__device__ __forceinline__ float widen(__nv_bfloat16 value) { return __bfloat162float(value); }
__device__ __forceinline__ float widen(__half value) { return __half2float(value); }

// Four neighbouring values: 16 bytes of f32, 8 of the others.
template <typename T>
struct __align__(4 * sizeof(T)) Four {
  T value[4];
};

// Rows of `cols` values to rows of `stride`, zeros between; one block a row.
template <typename F, typename T>
__device__ __forceinline__ void pad(const F* from, T* to, int cols, int stride) {
  from += (int64_t)blockIdx.x * cols;
  to += (int64_t)blockIdx.x * stride;
  const int quads = (cols & 3) == 0 ? cols / 4 : 0;
  for (int quad = threadIdx.x; quad < quads; quad += blockDim.x) {
    const Four<F> in = ((const Four<F>*)from)[quad];
    Four<T> out;
#pragma unroll
    for (int c = 0; c < 4; c++) {
      narrow(widen(in.value[c]), out.value[c]);
    }
    ((Four<T>*)to)[quad] = out;
  }
  for (int col = quads * 4 + threadIdx.x; col < stride; col += blockDim.x) {
    narrow(col < cols ? widen(from[col]) : 0.0f, to[col]);
  }
}

// Assignments that one warp counts and places.
constexpr int kStretch = 256;

// The stretch of this warp, and its place in shared memory for one number an expert.
struct Stretch {
  int number;
  int lane;
  int* numbers;

  __device__ __forceinline__ explicit Stretch(int experts)
      : number(blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5)), lane(threadIdx.x & 31) {
    extern __shared__ int memory[];
    numbers = memory + (threadIdx.x >> 5) * experts;
  }

  // The expert of an assignment, -1 past the last.
  __device__ __forceinline__ int expert(const int* expertOf, int assignment, int assignments) const {
    return assignment < assignments ? expertOf[assignment] : -1;
  }
};

// The token whose assignments hold `assignment`: the last of those that begin at or before it.
__device__ __forceinline__ int tokenOf(const int* offsets, int tokens, int assignment) {
  int low = 0;
  int high = tokens;
  while (high - low > 1) {
    const int middle = (low + high) >> 1;
    if (offsets[middle] <= assignment) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return low;
}

// The sum over all lanes up to this one.
__device__ __forceinline__ int sumUpTo(int value, int lane) {
#pragma unroll
  for (int step = 1; step < 32; step *= 2) {
    const int other = __shfl_up_sync(~0u, value, step);
    value += lane >= step ? other : 0;
  }
  return value;
}

// An assignment of a token that has a row here, and the level of the tree of expert ids at which it meets the next.
struct __align__(16) Addend {
  int row;
  float weight;
  int level;
};

// The level of the last: above all others.
constexpr int kRoot = 31;

// In shared memory, the assignments of a token that have rows here, by ascending expert; returns how many.
__device__ __forceinline__ int addends(
    const int* expertOf, const int* rowOf, const float* weights, int from, int to, Addend* ordered) {
  int here = 0;
  for (int a = from; a < to; a++) {
    here += rowOf[a] >= 0;
  }
  for (int a = from + (int)threadIdx.x; a < to; a += blockDim.x) {
    const int row = rowOf[a];
    if (row >= 0) {
      const int expert = expertOf[a];
      int before = 0;
      int next = INT_MAX;
      for (int b = from; b < to; b++) {
        const int other = expertOf[b];
        const bool lower = other < expert || (other == expert && b < a);
        if (rowOf[b] >= 0 && b != a) {
          before += lower;
          next = lower ? next : min(next, other);
        }
      }
      // An expert that is there twice is its own neighbour.
      const int level = next == INT_MAX ? kRoot : max(1, 32 - __clz(expert ^ next));
      ordered[before] = {row, weights[a], level};
    }
  }
  __syncthreads();
  return here;
}

__device__ __forceinline__ float scaled(float weight, float value) { return __fmul_rn(weight, value); }

__device__ __forceinline__ float4 scaled(float weight, float4 value) {
  return make_float4(
      __fmul_rn(weight, value.x), __fmul_rn(weight, value.y), __fmul_rn(weight, value.z), __fmul_rn(weight, value.w));
}

__device__ __forceinline__ float added(float left, float right) { return __fadd_rn(left, right); }

__device__ __forceinline__ float4 added(float4 left, float4 right) {
  return make_float4(
      __fadd_rn(left.x, right.x), __fadd_rn(left.y, right.y), __fadd_rn(left.z, right.z), __fadd_rn(left.w, right.w));
}

// The weighted sum of one column of V. Ids that differ in their last bit alone meet first, then those that differ in the
// last two, and so on; the lower ones stand on the left. `waiting` holds this thread's sums, the newest last, blockDim
// apart, but for the one that `sum` is.
template <typename V>
__device__ __forceinline__ V treeSum(
    const float* rows, const Addend* ordered, int count, int cols, int column, V* waiting, V zero) {
  constexpr int kAhead = 4;
  V sum = zero;
  // A bit for each level at which a sum waits; the newest waits at the lowest.
  uint32_t levels = 0;
  for (int base = 0; base < count; base += kAhead) {
    V values[kAhead];
#pragma unroll
    for (int i = 0; i < kAhead; i++) {
      if (base + i < count) {
        values[i] = __ldcs((const V*)(rows + (int64_t)ordered[base + i].row * cols) + column);
      }
    }
#pragma unroll
    for (int i = 0; i < kAhead; i++) {
      if (base + i < count) {
        const uint32_t complete = (2u << ordered[base + i].level) - 1;
        const V product = scaled(ordered[base + i].weight, values[i]);
        if ((levels & complete) != 0) {
          sum = added(sum, product);
          for (int merges = __popc(levels & complete); merges > 1; merges--) {
            waiting -= blockDim.x;
            sum = added(*waiting, sum);
          }
        } else {
          if (levels != 0) {
            *waiting = sum;
            waiting += blockDim.x;
          }
          sum = product;
        }
        levels = (levels & ~complete) | (1u << ordered[base + i].level);
      }
    }
  }
  return sum;
}

// out[token] = the weighted sum of its rows, 0 where it has none here. Each product is rounded before it is added. One
// block a token, with shared memory for `most` assignments, which no token has more of, and for the sums that wait.
template <typename T>
__device__ __forceinline__ void combine(
    const float* rows, const int* expertOf, const int* rowOf, const float* weights, const int* offsetsOrNull, int k,
    int most, T* out, int cols) {
  extern __shared__ __align__(16) unsigned char shared[];
  Addend* const ordered = (Addend*)shared;
  unsigned char* const waiting = (unsigned char*)(ordered + most);
  const int64_t token = blockIdx.x;
  const int from = offsetsOrNull == nullptr ? token * k : offsetsOrNull[token];
  const int to = offsetsOrNull == nullptr ? from + k : offsetsOrNull[token + 1];
  const int count = addends(expertOf, rowOf, weights, from, to, ordered);
  const int quads = (cols & 3) == 0 ? cols / 4 : 0;
  out += token * cols;
  for (int quad = threadIdx.x; quad < quads; quad += blockDim.x) {
    const float4 sum = treeSum(
        rows, ordered, count, cols, quad, (float4*)waiting + threadIdx.x, make_float4(0.0f, 0.0f, 0.0f, 0.0f));
    Four<T> result;
    narrow(sum.x, result.value[0]);
    narrow(sum.y, result.value[1]);
    narrow(sum.z, result.value[2]);
    narrow(sum.w, result.value[3]);
    ((Four<T>*)out)[quad] = result;
  }
  for (int col = quads * 4 + threadIdx.x; col < cols; col += blockDim.x) {
    narrow(treeSum(rows, ordered, count, cols, col, (float*)waiting + threadIdx.x, 0.0f), out[col]);
  }
}

}  // namespace

#define PAD(FROM, F, TO, T)                                                                                  \
  extern "C" __global__ void pad_##FROM##_##TO(const F* from, T* to, int cols, int stride) {                 \
    pad(from, to, cols, stride);                                                                             \
  }
#define PADS(FROM, F) PAD(FROM, F, f32, float) PAD(FROM, F, bf16, __nv_bfloat16) PAD(FROM, F, f16, __half)

PADS(f32, float)
PADS(bf16, __nv_bfloat16)
PADS(f16, __half)

// counts[e][stretch] = the assignments of that stretch to expert e; negative experts are elsewhere.
extern "C" __global__ void count(const int* expertOf, int assignments, int experts, int stretches, int* counts) {
  const Stretch own(experts);
  if (own.number >= stretches) {
    return;
  }
  for (int e = own.lane; e < experts; e += 32) {
    own.numbers[e] = 0;
  }
  __syncwarp();
  for (int a = own.number * kStretch + own.lane; a < (own.number + 1) * kStretch; a += 32) {
    const int e = own.expert(expertOf, a, assignments);
    if (e >= 0) {
      atomicAdd(own.numbers + e, 1);
    }
  }
  __syncwarp();
  for (int e = own.lane; e < experts; e += 32) {
    counts[(int64_t)e * stretches + own.number] = own.numbers[e];
  }
}

// totals[e] = the sum of counts[e][*], and counts becomes the first row of each stretch: rows of one expert lie behind
// those of the ones before it, and among them in the order of the stretches. The CPU reads `told`, a second copy of the
// totals. One block of 32 warps.
extern "C" __global__ void __launch_bounds__(1024) place_stretches(
    int* counts, int experts, int stretches, int* totals, int* told) {
  __shared__ int first[32];
  const int lane = threadIdx.x & 31;
  const int warp = threadIdx.x >> 5;
  for (int e = warp; e < experts; e += 32) {
    int sum = 0;
    for (int s = lane; s < stretches; s += 32) {
      sum += counts[(int64_t)e * stretches + s];
    }
    sum = sumUpTo(sum, lane);
    if (lane == 31) {
      totals[e] = sum;
      told[e] = sum;
    }
  }
  __syncthreads();
  int before = 0;
  for (int base = 0; base < experts; base += 32) {
    // The first row of each of 32 experts, and then one warp for each of them.
    if (warp == 0) {
      const int own = base + lane < experts ? totals[base + lane] : 0;
      const int upTo = sumUpTo(own, lane);
      first[lane] = before + upTo - own;
      before += __shfl_sync(~0u, upTo, 31);
    }
    __syncthreads();
    const int e = base + warp;
    if (e < experts) {
      int next = first[warp];
      for (int s = lane; s - lane < stretches; s += 32) {
        int* at = counts + (int64_t)e * stretches + s;
        const int own = s < stretches ? *at : 0;
        const int upTo = sumUpTo(own, lane);
        if (s < stretches) {
          *at = next + upTo - own;
        }
        next += __shfl_sync(~0u, upTo, 31);
      }
    }
    __syncthreads();
  }
}

// rowOf[a] = the row of assignment a, -1 where it is elsewhere, and tokenOfRow of that row its token. Among the rows of
// an expert, those of earlier assignments come first. A token has k assignments, or those that offsets say.
extern "C" __global__ void place(
    const int* expertOf, int assignments, int experts, int stretches, const int* firstRows, const int* offsetsOrNull,
    int tokens, int k, int* rowOf, int* tokenOfRow) {
  const Stretch own(experts);
  if (own.number >= stretches) {
    return;
  }
  for (int e = own.lane; e < experts; e += 32) {
    own.numbers[e] = firstRows[(int64_t)e * stretches + own.number];
  }
  __syncwarp();
  for (int round = 0; round < kStretch; round += 32) {
    const int a = own.number * kStretch + round + own.lane;
    const int e = own.expert(expertOf, a, assignments);
    const uint32_t alike = __match_any_sync(~0u, e);
    const uint32_t before = alike & ((1u << own.lane) - 1);
    const int row = e < 0 ? -1 : own.numbers[e] + __popc(before);
    __syncwarp();
    if (e >= 0 && before == 0) {
      own.numbers[e] += __popc(alike);
    }
    __syncwarp();
    if (a < assignments) {
      rowOf[a] = row;
      if (row >= 0) {
        tokenOfRow[row] = offsetsOrNull == nullptr ? a / k : tokenOf(offsetsOrNull, tokens, a);
      }
    }
  }
}

// Brings `chunks` times 16 bytes from page-locked memory of the machine.
extern "C" __global__ void fetch(const uint4* from, uint4* to, int chunks) {
  for (int chunk = blockIdx.x * blockDim.x + threadIdx.x; chunk < chunks; chunk += gridDim.x * blockDim.x) {
    to[chunk] = from[chunk];
  }
}

// to[row] = from[rowOf[row]], rows of `chunks` times 16 bytes. One block a row.
extern "C" __global__ void gather(const uint4* from, const int* rowOf, uint4* to, int chunks) {
  const uint4* source = from + (int64_t)rowOf[blockIdx.x] * chunks;
  uint4* target = to + (int64_t)blockIdx.x * chunks;
  for (int chunk = threadIdx.x; chunk < chunks; chunk += blockDim.x) {
    target[chunk] = source[chunk];
  }
}

#define COMBINE(TO, T)                                                                                           \
  extern "C" __global__ void __launch_bounds__(256, 6) combine_##TO(                                             \
      const float* rows, const int* expertOf, const int* rowOf, const float* weights, const int* offsetsOrNull,  \
      int k, int most, T* out, int cols) {                                                                       \
    combine(rows, expertOf, rowOf, weights, offsetsOrNull, k, most, out, cols);                                  \
  }

COMBINE(f32, float)
COMBINE(bf16, __nv_bfloat16)
COMBINE(f16, __half)

// out[a] = rows[rowOf[a]], and zeros where the row is elsewhere. One block an assignment.
extern "C" __global__ void scatter(const float* rows, const int* rowOf, float* out, int cols) {
  const int64_t assignment = blockIdx.x;
  const int row = rowOf[assignment];
  for (int col = threadIdx.x; col < cols; col += blockDim.x) {
    out[assignment * cols + col] = row < 0 ? 0.0f : rows[(int64_t)row * cols + col];
  }
}

// The choice of experts from logits on the GPU, for compute capability 8.0 and later: that of TopKRouter. Scores are f64,
// in its order of steps.

#include <stdint.h>

namespace {

// As GpuRouting numbers them.
enum Scoring { SOFTMAX, SIGMOID, LOGITS };
enum GroupScore { MAX, TOP2_SUM };
enum Normalization { NONE, OVER_CHOSEN, SIGMOID_EACH, SUM, LP };

struct Rule {
  int experts;
  int topK;
  int scoring;
  int groups;
  int kept;
  int groupScore;
  int normalization;
  int unused;
  double epsilon;  // or p
  double floor;
  double scaling;
};

constexpr int kWarps = 4;
constexpr double kGone = __builtin_nan("");

__device__ __forceinline__ double lowest() { return __longlong_as_double(0xFFF0000000000000ll); }

// NaN is last: as low as a score can be.
__device__ __forceinline__ double ranked(double score) { return isnan(score) ? lowest() : score; }

__device__ __forceinline__ double sigmoid(double x) { return 1.0 / __dadd_rn(1.0, exp(-x)); }

// The place of the largest of values[0..count), the first among equals; those that are gone (NaN) do not count. All
// lanes return the same.
__device__ __forceinline__ int largest(const double* values, int count, int lane) {
  double best = 0.0;
  int at = -1;
  for (int i = lane; i < count; i += 32) {
    if (!isnan(values[i]) && (at < 0 || values[i] > best)) {
      best = values[i];
      at = i;
    }
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    const double other = __shfl_xor_sync(~0u, best, step);
    const int otherAt = __shfl_xor_sync(~0u, at, step);
    if (otherAt >= 0 && (at < 0 || other > best || (other == best && otherAt < at))) {
      best = other;
      at = otherAt;
    }
  }
  return at;
}

// In place, as TopKRouter does it: the maximum is NaN where a value is, and values are added in their order.
__device__ __forceinline__ void softmax(double* values, int count, int lane) {
  double max = lowest();
  bool undefined = false;
  for (int i = lane; i < count; i += 32) {
    undefined |= isnan(values[i]);
    max = fmax(max, values[i]);
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    max = fmax(max, __shfl_xor_sync(~0u, max, step));
  }
  if (__any_sync(~0u, undefined)) {
    max = kGone;
  }
  for (int i = lane; i < count; i += 32) {
    values[i] = exp(values[i] - max);
  }
  __syncwarp();
  double sum = 0.0;
  for (int i = 0; i < count; i++) {
    sum += values[i];
  }
  __syncwarp();
  for (int i = lane; i < count; i += 32) {
    values[i] /= sum;
  }
  __syncwarp();
}

__device__ __forceinline__ double groupScore(const double* choice, int size, int how) {
  double best = lowest();
  double second = lowest();
  for (int e = 0; e < size; e++) {
    const double score = choice[e];
    if (score > best) {
      second = best;
      best = score;
    } else if (score > second) {
      second = score;
    }
  }
  return how == MAX || size == 1 ? best : best + second;
}

// Experts of groups that are not kept are gone afterwards. `scores`: room for one number a group.
__device__ __forceinline__ void limitGroups(double* choice, double* scores, const Rule& rule, int lane) {
  const int size = rule.experts / rule.groups;
  for (int group = lane; group < rule.groups; group += 32) {
    scores[group] = ranked(groupScore(choice + group * size, size, rule.groupScore));
  }
  __syncwarp();
  for (int round = 0; round < rule.kept; round++) {
    const int group = largest(scores, rule.groups, lane);
    __syncwarp();
    if (lane == 0) {
      scores[group] = kGone;
    }
    __syncwarp();
  }
  for (int e = lane; e < rule.experts; e += 32) {
    choice[e] = isnan(scores[e / size]) ? choice[e] : kGone;
  }
  __syncwarp();
}

__device__ __forceinline__ void divide(double* weights, int count, double divisor, int lane) {
  __syncwarp();
  for (int slot = lane; slot < count && divisor != 0.0; slot += 32) {
    weights[slot] /= divisor;
  }
  __syncwarp();
}

__device__ __forceinline__ void normalize(double* weights, const Rule& rule, int lane) {
  const int count = rule.topK;
  if (rule.normalization == OVER_CHOSEN) {
    softmax(weights, count, lane);
  } else if (rule.normalization == SIGMOID_EACH) {
    for (int slot = lane; slot < count; slot += 32) {
      weights[slot] = sigmoid(weights[slot]);
    }
    __syncwarp();
  } else if (rule.normalization == SUM) {
    double sum = 0.0;
    for (int slot = 0; slot < count; slot++) {
      sum += weights[slot];
    }
    sum += rule.epsilon;
    // A NaN stays, which fmax would drop.
    divide(weights, count, sum < rule.floor ? rule.floor : sum, lane);
  } else if (rule.normalization == LP) {
    double total = 0.0;
    for (int slot = 0; slot < count; slot++) {
      total += pow(fabs(weights[slot]), rule.epsilon);
    }
    divide(weights, count, pow(total, 1.0 / rule.epsilon), lane);
  }
}

}  // namespace

// The rule of a family over rows of logits: ids, best first, and weights, topK of them a token. One warp a token; shared
// memory holds three numbers an expert for each.
extern "C" __global__ void __launch_bounds__(kWarps * 32)
    choose(const float* logits, const float* selectionBiasOrNull, int* ids, float* weights, int tokens, const Rule rule) {
  extern __shared__ double memory[];
  const int lane = threadIdx.x & 31;
  const int warp = threadIdx.x >> 5;
  const int token = blockIdx.x * kWarps + warp;
  if (token >= tokens) {
    return;
  }
  double* scores = memory + warp * 3 * rule.experts;
  double* choice = scores + rule.experts;
  double* room = choice + rule.experts;
  for (int e = lane; e < rule.experts; e += 32) {
    const double logit = logits[(int64_t)token * rule.experts + e];
    scores[e] = rule.scoring == SIGMOID ? sigmoid(logit) : logit;
  }
  __syncwarp();
  if (rule.scoring == SOFTMAX) {
    softmax(scores, rule.experts, lane);
  }
  for (int e = lane; e < rule.experts; e += 32) {
    choice[e] = ranked(selectionBiasOrNull == nullptr ? scores[e] : __dadd_rn(scores[e], selectionBiasOrNull[e]));
  }
  __syncwarp();
  if (rule.groups > 1) {
    limitGroups(choice, room, rule, lane);
  }
  int* chosen = ids + (int64_t)token * rule.topK;
  for (int slot = 0; slot < rule.topK; slot++) {
    const int e = largest(choice, rule.experts, lane);
    __syncwarp();
    if (lane == 0) {
      choice[e] = kGone;
      room[slot] = scores[e];
      chosen[slot] = e;
    }
    __syncwarp();
  }
  normalize(room, rule, lane);
  for (int slot = lane; slot < rule.topK; slot += 32) {
    weights[(int64_t)token * rule.topK + slot] = __double2float_rn(__dmul_rn(room[slot], rule.scaling));
  }
}

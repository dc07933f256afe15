// Rows of e4m3 codes with a scale for each 128 of them.

#pragma once

#include <stdint.h>

namespace {

constexpr int kGroup = 128;  // values of a row that share a scale
constexpr float kMost = 448.0f;  // of e4m3

// Rows of `codes` codes and a scale for each 128 of them, in whole lines of 128 bytes.
__device__ __forceinline__ int64_t rowBytes(int codes) {
  return (codes + (codes + kGroup - 1) / kGroup * 4 + 127) / 128 * 128;
}
__device__ __forceinline__ const float* scalesOf(const uint8_t* rows, int64_t row, int codes) {
  return (const float*)(rows + row * rowBytes(codes) + codes);
}

// As ActivationCodec has it for groups of 128. NaN where a value is not finite, and so is every product of the group.
__device__ __forceinline__ float groupScale(uint32_t mostBits, bool powerOfTwo) {
  if (mostBits >= 0x7F800000u) {
    return __uint_as_float(0x7FC00000u);
  }
  const float scale = __fdiv_rn(fmaxf(__uint_as_float(mostBits), 1e-10f), kMost);
  // The next power of two upwards.
  return powerOfTwo ? __uint_as_float((__float_as_uint(scale) + 0x007FFFFFu) & 0x7F800000u) : scale;
}

// Codes of low / scale and high / scale, ties to even, at most +-448.
__device__ __forceinline__ uint16_t encode(float low, float high, float scale, float inverse) {
  // One step of Newton's makes the quotients of a division.
  float a = low * inverse;
  a = fmaf(fmaf(-a, scale, low), inverse, a);
  float b = high * inverse;
  b = fmaf(fmaf(-b, scale, high), inverse, b);
  uint16_t codes;
  asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;\n" : "=h"(codes) : "f"(b), "f"(a));
  return codes;
}

}  // namespace

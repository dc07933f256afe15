// Quantized weights: where their parts lie, and the numbers that they stand for. Compiles for the CPU too, where a test
// unpacks whole matrices and compares them with the Java side.

#pragma once

#include <stdint.h>
#include <string.h>

#ifdef __CUDACC__
#define DECODES __host__ __device__ __forceinline__
#else
#define DECODES inline
#endif

#ifdef __CUDA_ARCH__
#define READ(ADDRESS) __ldg(ADDRESS)
#else
#define READ(ADDRESS) (*(ADDRESS))
#endif

namespace {

// As CodeType numbers them.
enum Codes { E4M3, INT8, UINT8, UINT4, E2M1 };

template <int CODES>
constexpr int kBits = CODES == UINT4 || CODES == E2M1 ? 4 : 8;

DECODES float floatOf(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
#endif
}

// What the lowest bits of `code` stand for; exact. A float of few bits is an f32 of the same sign, exponent and mantissa,
// whose exponent counts from elsewhere; that makes subnormal ones right as well. NaN of e4m3 is 480 here: weights that
// hold it are refused before.
template <int CODES>
DECODES float valueOf(uint32_t code) {
  if (CODES == E4M3) {
    return floatOf((code & 0x80) << 24 | (code & 0x7F) << 20) * 0x1p120f;
  }
  if (CODES == E2M1) {
    return floatOf((code & 8) << 28 | (code & 7) << 22) * 0x1p126f;
  }
  // The bits of 2^23 + an integer below 2^23 are those of 2^23 or-ed with it.
  if (CODES == INT8) {
    return floatOf(0x4B000000u | ((code & 0xFF) ^ 0x80)) - 8388736.0f;
  }
  return floatOf(0x4B000000u | (code & (kBits<CODES> == 4 ? 0xF : 0xFF))) - 8388608.0f;
}

// Eight neighbouring weights from their codes, the one of the lowest column in the lowest bits: (value - zero) * scale,
// each rounded once.
template <int CODES>
DECODES void weightsOf(const uint32_t (&words)[kBits<CODES> / 4], float zero, float scale, float (&weights)[8]) {
#pragma unroll
  for (int i = 0; i < 8; i++) {
    const uint32_t code = kBits<CODES> == 4 ? words[0] >> (4 * i) : words[i / 4] >> (8 * (i % 4));
    weights[i] = (valueOf<CODES>(code) - zero) * scale;
  }
}

// How scales are stored; as QuantLayout numbers them. Those of one byte are looked up.
enum ScaleKind { SCALE_F32, SCALE_BF16, SCALE_F16, SCALE_BYTE };

// The same for all matrices of a product. Behind its codes a matrix has its scales, rows of groups, then a byte for each
// zero point in the same order, and the table of scales of one byte: 256 f32.
struct Coding {
  int rowSpan;
  int colSpan;
  int groups;
  int scaleKind;
  uint32_t scalesAt;
  uint32_t zerosAt;   // 0 where all have the same
  uint32_t tableAt;
  int zero;
  int chunks;   // of eight columns, that surely share a scale: 1, 2, 4 or 8, from a multiple of it on
};

// The number of the first scale of row n.
DECODES int firstScaleOf(const Coding& coding, int n) { return n / coding.rowSpan * coding.groups; }

// The group of column k. Padding belongs to the last one.
DECODES int groupOf(const Coding& coding, int k) {
  const int group = k / coding.colSpan;
  return group < coding.groups ? group : coding.groups - 1;
}

DECODES uint32_t storedScaleOf(const Coding& coding, const uint8_t* matrix, int index) {
  const uint8_t* scales = matrix + coding.scalesAt;
  if (coding.scaleKind == SCALE_F32) {
    return READ((const uint32_t*)scales + index);
  }
  return coding.scaleKind == SCALE_BYTE ? READ(scales + index) : READ((const uint16_t*)scales + index);
}

DECODES float scaleOf(const Coding& coding, const uint8_t* matrix, uint32_t stored) {
  switch (coding.scaleKind) {
    case SCALE_F32:
      return floatOf(stored);
    case SCALE_BF16:
      return floatOf(stored << 16);
    case SCALE_F16:
      return floatOf((stored & 0x8000) << 16 | (stored & 0x7FFF) << 13) * 0x1p112f;
    default:
      return READ((const float*)(matrix + coding.tableAt) + stored);
  }
}

DECODES float zeroOf(const Coding& coding, const uint8_t* matrix, int index) {
  return (float)(coding.zerosAt == 0 ? coding.zero : READ(matrix + coding.zerosAt + index));
}

}  // namespace

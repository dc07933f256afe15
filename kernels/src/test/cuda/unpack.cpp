// What coded.cu makes of quantized weights, on the CPU: CodesTest compiles and calls it.

#include "codes.cuh"

namespace {

template <int CODES>
void row(const uint8_t* matrix, const Coding& coding, int n, int stride, float* out) {
  for (int k = 0; k < stride; k += 8) {
    uint32_t words[kBits<CODES> / 4];
    memcpy(words, matrix + ((int64_t)n * stride + k) * kBits<CODES> / 8, sizeof words);
    const int index = firstScaleOf(coding, n) + groupOf(coding, k);
    float weights[8];
    weightsOf<CODES>(
        words, zeroOf(coding, matrix, index), scaleOf(coding, matrix, storedScaleOf(coding, matrix, index)), weights);
    memcpy(out + k, weights, sizeof weights);
  }
}

}  // namespace

// Row n of a matrix of `stride` padded columns.
extern "C" void unpack_row(int codes, const uint8_t* matrix, const Coding* coding, int n, int stride, float* out) {
  switch (codes) {
    case E4M3:
      return row<E4M3>(matrix, *coding, n, stride, out);
    case INT8:
      return row<INT8>(matrix, *coding, n, stride, out);
    case UINT8:
      return row<UINT8>(matrix, *coding, n, stride, out);
    case UINT4:
      return row<UINT4>(matrix, *coding, n, stride, out);
    default:
      return row<E2M1>(matrix, *coding, n, stride, out);
  }
}

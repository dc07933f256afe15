package org.sparkmoe.kernels.cuda;

import org.sparkmoe.kernels.tensor.DType;

/**
 * What one thread block of a product makes; the figures of {@code experts.cu}.
 *
 * @param rows of a tile
 * @param sums of a row; two make an output where gate and up projection are fused
 * @param threads of a block
 * @param sharedBytes of dynamic shared memory
 */
record Tiling(int rows, int sums, int threads, int sharedBytes) {
  private static final Tiling TENSOR_CORES = new Tiling(128, 128, 128, 3 * 2 * 128 * 64 * 2);
  private static final Tiling PLAIN = new Tiling(64, 64, 256, 0);

  static Tiling of(DType type) {
    return type == DType.F32 ? PLAIN : TENSOR_CORES;
  }

  /** Blocks beside each other for {@code outputs} outputs of {@code sumsEach} sums. */
  int columns(int outputs, int sumsEach) {
    return Math.ceilDiv(outputs * sumsEach, sums);
  }
}

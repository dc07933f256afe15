package org.sparkmoe.kernels.cuda;

import org.sparkmoe.kernels.tensor.DType;

/**
 * The sizes of an expert on the GPU. Its inputs are padded with zeros to whole stages of the
 * kernels' pipelines.
 *
 * @param type of weights, rows and intermediate
 * @param hidden H
 * @param intermediate I
 * @param gated whether there is an up projection
 */
public record GpuShape(DType type, int hidden, int intermediate, boolean gated) {
  /** Bytes that kernels may keep beside an expert. */
  static final int NOTE_BYTES = 2 * TensorMaps.BYTES;

  private static final int STAGE = 64;

  /** H, padded. */
  int paddedHidden() {
    return padded(hidden);
  }

  /** I, padded. */
  int paddedIntermediate() {
    return padded(intermediate);
  }

  /** Bytes of w1, and of w3. */
  long innerBytes() {
    return Gpu.aligned(type.bytes((long) intermediate * paddedHidden()));
  }

  /** Bytes of w2. */
  long outerBytes() {
    return Gpu.aligned(type.bytes((long) hidden * paddedIntermediate()));
  }

  /** Bytes of a bias of {@code values} values. */
  static long biasBytes(int values) {
    return Gpu.aligned(DType.F32.bytes(values));
  }

  /** Bytes of an expert with all biases. */
  public long bytes() {
    long inner = innerBytes() + biasBytes(intermediate);
    return (gated ? 2 : 1) * inner + outerBytes() + biasBytes(hidden) + NOTE_BYTES;
  }

  /** Bytes that a row takes on its way through the kernels. */
  long rowBytes() {
    return type.bytes(paddedHidden() + paddedIntermediate()) + DType.F32.bytes(hidden);
  }

  private static int padded(int values) {
    return Math.ceilDiv(values, STAGE) * STAGE;
  }
}

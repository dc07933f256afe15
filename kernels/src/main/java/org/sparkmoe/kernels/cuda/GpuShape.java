package org.sparkmoe.kernels.cuda;

import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.WeightFormat;

/**
 * The sizes of an expert on the GPU. Its inputs are padded with zeros to whole stages of the
 * kernels' pipelines.
 *
 * @param weights how the projections are stored
 * @param rows how rows and intermediates lie
 * @param hidden H
 * @param intermediate I
 * @param gated whether there is an up projection
 */
public record GpuShape(
    WeightFormat weights, GpuRows rows, int hidden, int intermediate, boolean gated) {
  /** Bytes that kernels may keep beside an expert. */
  static final int NOTE_BYTES = 2 * TensorMaps.BYTES;

  private static final int STAGE = 64;

  /** As above, with rows and intermediates that are not quantized. */
  public GpuShape(WeightFormat weights, int hidden, int intermediate, boolean gated) {
    this(weights, GpuRows.ROUNDED, hidden, intermediate, gated);
  }

  /**
   * The type in which rows come to the kernels: that of plain weights, bf16 beside quantized ones,
   * f32 where they are encoded then. Intermediates take no more room.
   */
  DType type() {
    if (rows != GpuRows.ROUNDED) {
      return DType.F32;
    }
    return switch (weights) {
      case DType plain -> plain;
      case QuantFormat _ -> DType.BF16;
    };
  }

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
    return switch (weights) {
      case DType plain -> Gpu.aligned(plain.bytes((long) intermediate * paddedHidden()));
      case QuantFormat format -> Gpu.aligned(innerLayout(format).bytes());
    };
  }

  /** Bytes of w2. */
  long outerBytes() {
    return switch (weights) {
      case DType plain -> Gpu.aligned(plain.bytes((long) hidden * paddedIntermediate()));
      case QuantFormat format -> Gpu.aligned(outerLayout(format).bytes());
    };
  }

  /** Where the parts of w1, and of w3, lie. */
  WeightLayout innerLayout(QuantFormat format) {
    return WeightLayout.of(format, intermediate, hidden, paddedHidden());
  }

  /** Where the parts of w2 lie. */
  WeightLayout outerLayout(QuantFormat format) {
    return WeightLayout.of(format, hidden, intermediate, paddedIntermediate());
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
    return type().bytes(paddedHidden() + paddedIntermediate()) + DType.F32.bytes(hidden);
  }

  /**
   * Bytes that a batch takes on the GPU beside the experts, at most: buffers grow by half.
   *
   * @param rows that its tokens make
   * @param experts E
   */
  public long batchBytes(long tokens, long rows, int experts) {
    long once =
        2 * DType.F32.bytes(hidden) + type().bytes(paddedHidden()) + DType.F32.bytes(experts);
    // id, weight, place, token
    long each = 4 * Integer.BYTES + type().bytes(paddedHidden()) + rowBytes();
    return (tokens * once + rows * each) * 3 / 2;
  }

  private int padded(int values) {
    boolean inUnits = weights instanceof QuantFormat format && FourBitLayout.fits(format);
    int whole = inUnits ? FourBitLayout.UNIT_COLS : STAGE;
    return Math.ceilDiv(values, whole) * whole;
  }
}

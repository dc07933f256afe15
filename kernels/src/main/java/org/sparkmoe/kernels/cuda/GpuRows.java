package org.sparkmoe.kernels.cuda;

import java.util.Optional;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.tensor.WeightFormat;

/** How rows and intermediates lie on the GPU while products are made of them. */
public enum GpuRows {
  /** Rounded to the type of the weights, beside quantized ones to bf16. */
  ROUNDED,
  /** E4m3 codes, with an f32 scale for each 128 of them. */
  FP8,
  /** E4m3 codes, with a power of two for each 128 of them. */
  FP8_POWERS;

  /** Values that share a scale, and rows and columns of weights that do. */
  static final int GROUP = 128;

  /**
   * How rows have to lie; empty where no kernel takes them so.
   *
   * @param weights how all projections are stored
   * @param input of the rows of the first products
   * @param inner of the intermediate
   */
  public static Optional<GpuRows> of(
      WeightFormat weights, ActivationScheme input, ActivationScheme inner) {
    if (inner.equals(ActivationScheme.NONE)) {
      return Optional.of(ROUNDED);
    }
    boolean inBlocks =
        weights instanceof QuantFormat format
            && format.codes() == CodeType.E4M3
            && format.rowSpan() == GROUP
            && format.colSpan() == GROUP
            && !format.zeros()
            && !format.ordered();
    if (!inBlocks || !input.equals(inner)) {
      return Optional.empty();
    }
    if (inner.equals(ActivationScheme.fp8PerBlock(GROUP, ScaleType.F32))) {
      return Optional.of(FP8);
    }
    return inner.equals(ActivationScheme.fp8PerBlock(GROUP, ScaleType.E8M0))
        ? Optional.of(FP8_POWERS)
        : Optional.empty();
  }

  /** Bytes of a row of {@code codes} codes with its scales behind them; as {@code fp8.cu} says. */
  static int codedBytes(int codes) {
    int scales = Math.ceilDiv(codes, GROUP) * Float.BYTES;
    return Math.ceilDiv(codes + scales, GROUP) * GROUP;
  }
}

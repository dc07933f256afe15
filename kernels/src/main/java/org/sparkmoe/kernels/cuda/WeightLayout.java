package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/** Where the parts of a quantized matrix lie on the GPU. */
sealed interface WeightLayout permits QuantLayout, FourBitLayout {

  /** That of the kernels for {@code format}. */
  static WeightLayout of(QuantFormat format, int rows, int cols, int stride) {
    return FourBitLayout.fits(format)
        ? new FourBitLayout(format, rows, cols)
        : new QuantLayout(format, rows, cols, stride);
  }

  /** Bytes of the matrix. */
  long bytes();

  /** The structure that tells kernels. */
  MemorySegment argument(Arena arena);

  /**
   * The matrix as it lies on the GPU.
   *
   * @throws IllegalArgumentException where there is no room for numbers that it holds
   */
  MemorySegment image(QuantizedMatrix matrix, Arena arena);
}

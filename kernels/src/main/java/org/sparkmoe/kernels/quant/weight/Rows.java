package org.sparkmoe.kernels.quant.weight;

import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;

/** Reads plain matrices row by row. */
final class Rows {
  private Rows() {}

  /** Widens row {@code row} to f32. */
  static void read(Matrix matrix, int row, float[] to) {
    long first = (long) row * to.length;
    // A loop for each type, so that each compiles to plain loads.
    switch (matrix.dtype()) {
      case F32 -> {
        for (int i = 0; i < to.length; i++) {
          to[i] = DType.F32.get(matrix.data(), first + i);
        }
      }
      case BF16 -> {
        for (int i = 0; i < to.length; i++) {
          to[i] = DType.BF16.get(matrix.data(), first + i);
        }
      }
      case F16 -> {
        for (int i = 0; i < to.length; i++) {
          to[i] = DType.F16.get(matrix.data(), first + i);
        }
      }
    }
  }
}

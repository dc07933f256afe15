package org.sparkmoe.kernels.testing;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.sparkmoe.kernels.tensor.DType;

/** Comparisons of f32 matrices, row by row. */
public final class Rows {
  private Rows() {}

  /** The values of an f32 segment. */
  public static float[] floats(MemorySegment data) {
    float[] values = new float[(int) (data.byteSize() / Float.BYTES)];
    MemorySegment.copy(data, DType.LE_FLOAT, 0, values, 0, values.length);
    return values;
  }

  /** Row {@code row} of a matrix with {@code cols} columns. */
  public static float[] row(float[] data, int cols, int row) {
    return Arrays.copyOfRange(data, row * cols, (row + 1) * cols);
  }

  /** {@code ‖actual − expected‖₂ ≤ tolerance · ‖expected‖₂} for every row. */
  public static void assertClose(
      float[] actual, float[] expected, int cols, double tolerance, Object context) {
    assertThat(actual).as("length, %s", context).hasSameSizeAs(expected);
    for (int row = 0; cols > 0 && row < expected.length / cols; row++) {
      assertThat(relativeError(actual, expected, cols, row))
          .as("relative L2 error of row %d, %s", row, context)
          .isLessThanOrEqualTo(tolerance);
    }
  }

  /** {@code ‖actual − expected‖₂ ≤ tolerance · ‖expected‖₂} for half of the rows. */
  public static void assertMedianClose(
      float[] actual, float[] expected, int cols, double tolerance, Object context) {
    double[] errors = new double[expected.length / cols];
    for (int row = 0; row < errors.length; row++) {
      errors[row] = relativeError(actual, expected, cols, row);
    }
    Arrays.sort(errors);
    assertThat(errors[errors.length / 2])
        .as("median of the rows' relative L2 errors, %s", context)
        .isLessThanOrEqualTo(tolerance);
  }

  /** Equal bits, NaNs alike. */
  public static void assertSameBits(float[] actual, float[] expected, Object context) {
    assertThat(bits(actual)).as("bits, %s", context).isEqualTo(bits(expected));
  }

  private static double relativeError(float[] actual, float[] expected, int cols, int row) {
    double difference = 0;
    double norm = 0;
    for (int col = 0; col < cols; col++) {
      double e = expected[row * cols + col];
      double d = actual[row * cols + col] - e;
      difference += d * d;
      norm += e * e;
    }
    return difference == 0 ? 0 : Math.sqrt(difference / norm);
  }

  private static int[] bits(float[] values) {
    int[] bits = new int[values.length];
    for (int i = 0; i < values.length; i++) {
      bits[i] = Float.floatToIntBits(values[i]);
    }
    return bits;
  }
}

package org.sparkmoe.kernels.tensor;

import java.util.Locale;

/**
 * Codes, and how many of them share a scale.
 *
 * @param codes element type
 * @param scales type of the scales
 * @param rowSpan neighbouring rows that share a scale, {@link #ALL} for all
 * @param colSpan columns that share a scale, {@link #ALL} for all
 * @param zeros whether each scale has a zero point beside it
 * @param ordered whether columns belong to groups by a list (act-order) instead of by position
 */
public record QuantFormat(
    CodeType codes, ScaleType scales, int rowSpan, int colSpan, boolean zeros, boolean ordered)
    implements WeightFormat {
  /** The span of a scale that all rows, or all columns, share. */
  public static final int ALL = Integer.MAX_VALUE;

  public QuantFormat {
    if (rowSpan < 1 || colSpan < 1) {
      throw new IllegalArgumentException(
          "a scale spans %d x %d, both must be at least 1".formatted(rowSpan, colSpan));
    }
  }

  /** Symmetric codes, groups by position. */
  public static QuantFormat of(CodeType codes, ScaleType scales, int rowSpan, int colSpan) {
    return new QuantFormat(codes, scales, rowSpan, colSpan, false, false);
  }

  /** Groups of columns in a matrix {@code cols} wide. */
  public int groups(int cols) {
    return Math.ceilDiv(cols, colSpan);
  }

  /** Scales, and zero points where there are any, of a matrix. */
  public long scaleCount(int rows, int cols) {
    return (long) Math.ceilDiv(rows, rowSpan) * groups(cols);
  }

  @Override
  public long bytes(int rows, int cols) {
    int perScale = scales.bytes() + (zeros ? 1 : 0);
    return rows * codes.bytes(cols)
        + perScale * scaleCount(rows, cols)
        + (ordered ? (long) Integer.BYTES * cols : 0);
  }

  @Override
  public String label() {
    String span =
        rowSpan == ALL && colSpan == ALL ? "tensor" : span(rowSpan, 'N') + "x" + span(colSpan, 'K');
    return (codes
            + " per "
            + span
            + ", "
            + scales
            + " scales"
            + (zeros ? ", zero points" : "")
            + (ordered ? ", act-order" : ""))
        .toLowerCase(Locale.ROOT);
  }

  private static String span(int span, char all) {
    return span == ALL ? String.valueOf(all) : String.valueOf(span);
  }
}

package org.sparkmoe.kernels.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Optional;

/**
 * A quantized weight in its stored width:
 *
 * <pre>
 *   w[n, k] = (value(code[n, k]) − zero[n, k]) · scale[n, k] · global
 * </pre>
 *
 * <p>Kernels that compute in f32 round {@code scale · global} to f32. They multiply each weight by
 * it, rounded once, or the sum over the columns of a group.
 *
 * @param codes rows × {@link CodeType#bytes}(cols) bytes, row-major; borrowed
 * @param format element type and the spans of scales
 * @param rows N, output features
 * @param cols K, input features
 * @param scales ⌈N / rowSpan⌉ × groups, row-major; borrowed
 * @param global multiplies every scale; 1 where the format has none
 * @param zerosOrNull a byte for each scale, where the format has zero points; else {@link
 *     CodeType#zero} is subtracted
 * @param groupOfOrNull the group of each of the K columns where the format is ordered; else column
 *     k is in group k / colSpan
 */
public record QuantizedMatrix(
    MemorySegment codes,
    QuantFormat format,
    int rows,
    int cols,
    MemorySegment scales,
    double global,
    MemorySegment zerosOrNull,
    int[] groupOfOrNull)
    implements Weight {

  public QuantizedMatrix {
    if (rows < 0 || cols < 0) {
      throw new IllegalArgumentException("matrix of " + rows + " x " + cols);
    }
    long count = format.scaleCount(rows, cols);
    requireBytes("codes", codes.byteSize(), rows * format.codes().bytes(cols));
    requireBytes("scales", scales.byteSize(), count * format.scales().bytes());
    requireBytes(
        "zero points",
        zerosOrNull == null ? 0 : zerosOrNull.byteSize(),
        format.zeros() ? count : 0);
    if ((groupOfOrNull != null) != format.ordered()
        || (groupOfOrNull != null && groupOfOrNull.length != cols)) {
      throw new IllegalArgumentException(
          "%d columns have %s groups"
              .formatted(cols, groupOfOrNull == null ? "no" : groupOfOrNull.length));
    }
  }

  private static void requireBytes(String what, long actual, long expected) {
    if (actual != expected) {
      throw new IllegalArgumentException(
          "%s take %d bytes, not %d".formatted(what, expected, actual));
    }
  }

  /** A symmetric matrix with groups by position and no global scale. */
  public static QuantizedMatrix of(
      MemorySegment codes, QuantFormat format, int rows, int cols, MemorySegment scales) {
    return new QuantizedMatrix(codes, format, rows, cols, scales, 1, null, null);
  }

  /** The code at (row, col), in the lowest bits. */
  public int code(int row, int col) {
    long line = row * format.codes().bytes(cols);
    if (format.codes().bits() == 8) {
      return codes.get(ValueLayout.JAVA_BYTE, line + col) & 0xFF;
    }
    int pair = codes.get(ValueLayout.JAVA_BYTE, line + col / 2);
    return (col & 1) == 0 ? pair & 0xF : (pair >>> 4) & 0xF;
  }

  /** The group of column {@code col}. */
  public int group(int col) {
    return groupOfOrNull == null ? col / format.colSpan() : groupOfOrNull[col];
  }

  /** The scale of a row's group with the global one multiplied in, rounded to f32. */
  public float scale(int row, int group) {
    return (float) (storedScale(row, group) * global);
  }

  /** What is subtracted from the codes of a row's group. */
  public int zero(int row, int group) {
    return zerosOrNull == null
        ? format.codes().zero()
        : zerosOrNull.get(ValueLayout.JAVA_BYTE, index(row, group)) & 0xFF;
  }

  @Override
  public double value(int row, int col) {
    int group = group(col);
    double centered = (double) format.codes().value(code(row, col)) - zero(row, group);
    return centered * storedScale(row, group) * global;
  }

  @Override
  public long bytes() {
    return format.bytes(rows, cols);
  }

  /**
   * What makes the matrix unusable, in words, or nothing: a scale that is not positive and finite
   * (a block of e4m3 scale 0 is fine: all its weights are 0), a code that is NaN, a group that does
   * not exist.
   */
  public Optional<String> defect() {
    if (!(global > 0) || Double.isInfinite(global)) {
      return Optional.of("a global scale of " + global + ", it must be positive and finite");
    }
    boolean zeroAllowed = format.scales() == ScaleType.E4M3;
    long count = format.scaleCount(rows, cols);
    for (long i = 0; i < count; i++) {
      float scale = format.scales().get(scales, i);
      if (!(scale > 0 && scale < Float.POSITIVE_INFINITY) && !(zeroAllowed && scale == 0)) {
        return Optional.of(
            "a scale of %s (number %d), it must be positive and finite".formatted(scale, i));
      }
    }
    if (format.codes() == CodeType.E4M3) {
      for (long i = 0; i < codes.byteSize(); i++) {
        if ((codes.get(ValueLayout.JAVA_BYTE, i) & 0x7F) == E4m3.NAN) {
          return Optional.of("NaN among its weights (number %d)".formatted(i));
        }
      }
    }
    return groupOfOrNull == null ? Optional.empty() : groupDefect();
  }

  private Optional<String> groupDefect() {
    int groups = format.groups(cols);
    for (int group : groupOfOrNull) {
      if (group < 0 || group >= groups) {
        return Optional.of("a column in group %d of %d".formatted(group, groups));
      }
    }
    return Optional.empty();
  }

  private double storedScale(int row, int group) {
    return format.scales().get(scales, index(row, group));
  }

  private long index(int row, int group) {
    return (long) (row / format.rowSpan()) * format.groups(cols) + group;
  }
}

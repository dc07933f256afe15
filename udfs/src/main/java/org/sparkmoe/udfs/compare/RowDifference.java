package org.sparkmoe.udfs.compare;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.DType;

/**
 * How far a vector is from its reference.
 *
 * @param relative L2 norm of the difference over that of the reference; infinite where the
 *     difference is not finite, or is not zero and the reference is
 * @param largest difference of two elements; infinite where one of them is no number
 * @param position of the largest difference, the first where there are several; 0 where all
 *     elements are equal
 * @param value there
 * @param reference there
 */
public record RowDifference(
    double relative, double largest, int position, float value, float reference) {

  /**
   * Compares two vectors of at least one element. NaN equals NaN, and infinities equal those of
   * their sign.
   *
   * @param row elements of type {@code rowType}, little-endian
   * @param other as many elements of type {@code otherType}
   */
  public static RowDifference of(byte[] row, DType rowType, byte[] other, DType otherType) {
    MemorySegment rows = MemorySegment.ofArray(row);
    MemorySegment others = MemorySegment.ofArray(other);
    int elements = row.length / rowType.bytes();
    double squares = 0;
    double norm = 0;
    double largest = 0;
    int position = 0;
    for (int i = 0; i < elements; i++) {
      float value = rowType.get(rows, i);
      float reference = otherType.get(others, i);
      double difference = difference(value, reference);
      squares += difference * difference;
      norm += (double) reference * reference;
      if (difference > largest) {
        largest = difference;
        position = i;
      }
    }
    return new RowDifference(
        relative(squares, norm),
        largest,
        position,
        rowType.get(rows, position),
        otherType.get(others, position));
  }

  private static double difference(float value, float reference) {
    if (value == reference || (Float.isNaN(value) && Float.isNaN(reference))) {
      return 0;
    }
    double difference = Math.abs((double) value - reference);
    return Double.isNaN(difference) ? Double.POSITIVE_INFINITY : difference;
  }

  private static double relative(double squares, double norm) {
    if (squares == 0) {
      return 0;
    }
    double relative = Math.sqrt(squares / norm);
    return Double.isNaN(relative) || Double.isInfinite(squares)
        ? Double.POSITIVE_INFINITY
        : relative;
  }
}

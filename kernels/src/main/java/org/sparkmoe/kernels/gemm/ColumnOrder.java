package org.sparkmoe.kernels.gemm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Optional;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;

/**
 * The columns of an act-order matrix, group by group and within a group as they were. Where groups
 * have as many columns as in a matrix with groups by position, which is how checkpoints are made,
 * the sorted matrix is one; the values of x that meet its columns have to be sorted likewise.
 */
final class ColumnOrder {
  private final int[] source;

  private ColumnOrder(int[] source) {
    this.source = source;
  }

  /** The order of a matrix, or empty where there is nothing to sort or groups are of any size. */
  static Optional<ColumnOrder> of(Weight weight) {
    if (!(weight instanceof QuantizedMatrix w) || !w.format().ordered()) {
      return Optional.empty();
    }
    int span = w.format().colSpan();
    int[] next = new int[w.format().groups(w.cols())];
    for (int group = 0; group < next.length; group++) {
      next[group] = group * span;
    }
    int[] source = new int[w.cols()];
    for (int k = 0; k < w.cols(); k++) {
      int group = w.group(k);
      long end = Math.min(w.cols(), (group + 1L) * span);
      if (next[group] == end) {
        return Optional.empty();
      }
      source[next[group]++] = k;
    }
    return Optional.of(new ColumnOrder(source));
  }

  /** Whether both sort their columns alike. */
  boolean isThatOf(ColumnOrder other) {
    return Arrays.equals(source, other.source);
  }

  /** Whether the columns are sorted already. */
  boolean isNatural() {
    for (int k = 0; k < source.length; k++) {
      if (source[k] != k) {
        return false;
      }
    }
    return true;
  }

  /** The columns of the matrix in this order, as K ints. */
  void copyTo(MemorySegment to) {
    MemorySegment.copy(source, 0, to, ValueLayout.JAVA_INT, 0, source.length);
  }

  /**
   * The matrix with sorted columns; its groups are by position.
   *
   * @param arena holds its codes; the rest is the matrix's own
   */
  QuantizedMatrix sort(QuantizedMatrix w, Arena arena) {
    QuantFormat format = w.format();
    int bits = format.codes().bits();
    int lineBytes = (int) format.codes().bytes(w.cols());
    MemorySegment codes = arena.allocate((long) w.rows() * lineBytes);
    byte[] line = new byte[lineBytes];
    byte[] sorted = new byte[lineBytes];
    for (int row = 0; row < w.rows(); row++) {
      long at = (long) row * lineBytes;
      MemorySegment.copy(w.codes(), ValueLayout.JAVA_BYTE, at, line, 0, lineBytes);
      if (bits == 8) {
        for (int k = 0; k < source.length; k++) {
          sorted[k] = line[source[k]];
        }
      } else {
        sortPairs(line, sorted);
      }
      MemorySegment.copy(sorted, 0, codes, ValueLayout.JAVA_BYTE, at, lineBytes);
    }
    return new QuantizedMatrix(
        codes,
        new QuantFormat(
            format.codes(),
            format.scales(),
            format.rowSpan(),
            format.colSpan(),
            format.zeros(),
            false),
        w.rows(),
        w.cols(),
        w.scales(),
        w.global(),
        w.zerosOrNull(),
        null);
  }

  private void sortPairs(byte[] line, byte[] sorted) {
    Arrays.fill(sorted, (byte) 0);
    for (int k = 0; k < source.length; k++) {
      int from = source[k];
      int code = (line[from / 2] >>> ((from & 1) * 4)) & 0xF;
      sorted[k / 2] |= (byte) (code << ((k & 1) * 4));
    }
  }
}

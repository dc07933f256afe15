package org.sparkmoe.kernels.onednn;

/**
 * Rows are computed in blocks of one of a few sizes, so that few primitives serve every batch. A
 * block that holds fewer rows is filled up: at most one row in eight is computed in vain. A row's
 * result does not depend on the size of its block as long as that is not 1: for one row oneDNN sums
 * in another order.
 */
public final class RowBlocks {
  /** Rows of the largest block. */
  public static final int MOST = 256;

  private static final int LEAST = 2;
  private static final int SIZES_PER_OCTAVE = 8;
  private static final int FIRST_STEPS = 16;

  private RowBlocks() {}

  /** The smallest size of at least {@code rows}, which is 1 to {@link #MOST}. */
  public static int size(int rows) {
    int step = step(rows);
    return Math.max(LEAST, (rows + step - 1) / step * step);
  }

  /** Rows of all blocks that hold {@code rows}, which may be any number from 0. */
  public static long computed(int rows) {
    int left = rows % MOST;
    return (long) rows - left + (left == 0 ? 0 : size(left));
  }

  /** Position of {@link #size} among all sizes. */
  static int index(int size) {
    if (size <= FIRST_STEPS) {
      return size;
    }
    int step = step(size);
    int octave = Integer.numberOfTrailingZeros(step);
    return FIRST_STEPS + (octave - 1) * SIZES_PER_OCTAVE + size / step - SIZES_PER_OCTAVE;
  }

  /** How many values {@link #index} has. */
  static int indexes() {
    return index(MOST) + 1;
  }

  /** Distance between the sizes around {@code rows}. */
  private static int step(int rows) {
    return Math.max(1, Integer.highestOneBit(Math.max(1, rows - 1)) / SIZES_PER_OCTAVE);
  }
}

package org.sparkmoe.datasets.checkpoint;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.sparkmoe.kernels.tensor.DType;

/** Copies a matrix out of strided memory, bit by bit as stored. */
final class Strided {
  /** Tiles keep both the read and the written lines in the cache while transposing. */
  private static final int TILE = 32;

  private Strided() {}

  /**
   * Writes {@code to}, rows × cols and row-major, with element (r, c) from element {@code first + r
   * · rowStep + c · colStep} of {@code from}. Steps count elements.
   */
  static void copy(
      DType dtype,
      MemorySegment from,
      long first,
      long rowStep,
      long colStep,
      MemorySegment to,
      int rows,
      int cols) {
    for (int row = 0; row < rows; row += TILE) {
      for (int col = 0; col < cols; col += TILE) {
        int lastRow = Math.min(row + TILE, rows);
        int lastCol = Math.min(col + TILE, cols);
        for (int r = row; r < lastRow; r++) {
          for (int c = col; c < lastCol; c++) {
            long source = first + r * rowStep + c * colStep;
            long target = (long) r * cols + c;
            if (dtype.bytes() == 2) {
              short bits = from.get(ValueLayout.JAVA_SHORT_UNALIGNED, source << 1);
              to.set(ValueLayout.JAVA_SHORT_UNALIGNED, target << 1, bits);
            } else {
              int bits = from.get(ValueLayout.JAVA_INT_UNALIGNED, source << 2);
              to.set(ValueLayout.JAVA_INT_UNALIGNED, target << 2, bits);
            }
          }
        }
      }
    }
  }
}

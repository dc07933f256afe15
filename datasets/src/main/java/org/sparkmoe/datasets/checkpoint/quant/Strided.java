package org.sparkmoe.datasets.checkpoint.quant;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;

/** Copies a matrix out of strided memory, bit by bit as stored. */
public final class Strided {
  /** Tiles keep both the read and the written lines in the cache while transposing. */
  private static final int TILE = 32;

  private Strided() {}

  /**
   * Writes {@code to}, rows × cols and row-major, with element (r, c) from element {@code first + r
   * · rowStep + c · colStep} of {@code from}. Steps count elements.
   *
   * @param bytes of an element: 1, 2 or 4
   */
  public static void copy(
      int bytes,
      MemorySegment from,
      long first,
      long rowStep,
      long colStep,
      MemorySegment to,
      int rows,
      int cols) {
    if (colStep == 1) {
      for (int row = 0; row < rows; row++) {
        long line = (long) cols * bytes;
        MemorySegment.copy(from, (first + row * rowStep) * bytes, to, row * line, line);
      }
      return;
    }
    for (int row = 0; row < rows; row += TILE) {
      for (int col = 0; col < cols; col += TILE) {
        int lastRow = Math.min(row + TILE, rows);
        int lastCol = Math.min(col + TILE, cols);
        for (int r = row; r < lastRow; r++) {
          for (int c = col; c < lastCol; c++) {
            long source = first + r * rowStep + c * colStep;
            long target = (long) r * cols + c;
            switch (bytes) {
              case 1 ->
                  to.set(ValueLayout.JAVA_BYTE, target, from.get(ValueLayout.JAVA_BYTE, source));
              case 2 ->
                  to.set(
                      ValueLayout.JAVA_SHORT_UNALIGNED,
                      target << 1,
                      from.get(ValueLayout.JAVA_SHORT_UNALIGNED, source << 1));
              case 4 ->
                  to.set(
                      ValueLayout.JAVA_INT_UNALIGNED,
                      target << 2,
                      from.get(ValueLayout.JAVA_INT_UNALIGNED, source << 2));
              default -> throw new IllegalArgumentException("elements of " + bytes + " bytes");
            }
          }
        }
      }
    }
  }

  /** Reads a tensor [rows, cols] and transposes it. */
  static MemorySegment transposed(
      TensorBytes tensors, String tensor, int bytes, int rows, int cols, SegmentAllocator memory) {
    MemorySegment raw = memory.allocate((long) rows * cols * bytes, 64);
    tensors.read(tensor, 0, raw);
    MemorySegment result = memory.allocate((long) rows * cols * bytes, 64);
    copy(bytes, raw, 0, 1, cols, result, cols, rows);
    return result;
  }
}

package org.sparkmoe.datasets.checkpoint.quant;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/** Some rows of a matrix, with what belongs to them of its scales. */
final class Rows {
  private Rows() {}

  /** Neighbouring rows; the first and the last have no scales in common with others. */
  static QuantizedMatrix of(QuantizedMatrix w, int first, int rows) {
    QuantFormat format = w.format();
    boolean all = format.rowSpan() == QuantFormat.ALL;
    long from = all ? 0 : (long) (first / format.rowSpan()) * format.groups(w.cols());
    long count = format.scaleCount(rows, w.cols());
    long lineBytes = format.codes().bytes(w.cols());
    int size = format.scales().bytes();
    return new QuantizedMatrix(
        w.codes().asSlice(first * lineBytes, rows * lineBytes),
        format,
        rows,
        w.cols(),
        w.scales().asSlice(from * size, count * size),
        w.global(),
        w.zerosOrNull() == null ? null : w.zerosOrNull().asSlice(from, count),
        w.groupOfOrNull());
  }

  /**
   * Every second row of a symmetric matrix with scales per row.
   *
   * @param first 0 or 1
   */
  static QuantizedMatrix alternate(QuantizedMatrix w, int first, SegmentAllocator memory) {
    QuantFormat format = w.format();
    int rows = w.rows() / 2;
    MemorySegment codes = alternate(w.codes(), first, rows, format.codes().bytes(w.cols()), memory);
    long scaleBytes = (long) format.groups(w.cols()) * format.scales().bytes();
    MemorySegment scales = alternate(w.scales(), first, rows, scaleBytes, memory);
    return new QuantizedMatrix(codes, format, rows, w.cols(), scales, w.global(), null, null);
  }

  private static MemorySegment alternate(
      MemorySegment both, int first, int rows, long lineBytes, SegmentAllocator memory) {
    MemorySegment half = memory.allocate(rows * lineBytes, 64);
    for (int row = 0; row < rows; row++) {
      MemorySegment.copy(both, (2L * row + first) * lineBytes, half, row * lineBytes, lineBytes);
    }
    return half;
  }
}

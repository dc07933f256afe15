package org.sparkmoe.datasets.checkpoint.quant;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/**
 * Signed codes: int8 of compressed-tensors with int8 zero points, or with columns that belong to
 * groups by a list, and int4. Kernels take zero points, lists and 4 bits with unsigned codes: codes
 * and zero points are shifted by half their range, which leaves their difference.
 *
 * @param codes name of int8 [N, K], or of [N, K/2] with two int4 in a byte
 * @param scales name of the grid of scales
 * @param zerosOrNull name of int8 of the same shape; without it, zero points are 0
 * @param groupsOrNull name of int32 [K], the group of each column
 * @param format of unsigned codes
 */
public record ShiftedWeight(
    String codes,
    String scales,
    String zerosOrNull,
    String groupsOrNull,
    QuantFormat format,
    int rows,
    int cols)
    implements StoredWeight {
  /** The highest bit of a byte, and of each half. */
  private static final int SIGN = 0x80;

  private static final int SIGNS = 0x88;

  @Override
  public QuantizedMatrix read(TensorBytes tensors, SegmentAllocator memory) {
    long count = format.scaleCount(rows, cols);
    MemorySegment scaleData = memory.allocate(count * format.scales().bytes(), 64);
    tensors.read(scales, 0, scaleData);
    return Checked.usable(
        tensors,
        codes,
        new QuantizedMatrix(
            shifted(
                tensors,
                codes,
                rows * format.codes().bytes(cols),
                format.codes().bits() == 4 ? SIGNS : SIGN,
                memory),
            format,
            rows,
            cols,
            scaleData,
            1,
            zerosOrNull == null ? null : shifted(tensors, zerosOrNull, count, SIGN, memory),
            groupsOrNull == null ? null : Words.read(tensors, groupsOrNull, cols)));
  }

  private static MemorySegment shifted(
      TensorBytes tensors, String tensor, long bytes, int signs, SegmentAllocator memory) {
    MemorySegment data = memory.allocate(bytes, 64);
    tensors.read(tensor, 0, data);
    for (long i = 0; i < bytes; i++) {
      int signed = data.get(ValueLayout.JAVA_BYTE, i);
      data.set(ValueLayout.JAVA_BYTE, i, (byte) (signed ^ signs));
    }
    return data;
  }
}

package org.sparkmoe.datasets.checkpoint.quant;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/**
 * Int8 codes and int8 zero points of compressed-tensors, or codes whose columns belong to groups by
 * a list. Kernels take zero points and lists with unsigned codes: both codes and zero points are
 * shifted by 128, which leaves their difference.
 *
 * @param codes name of int8 [N, K]
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
  private static final int SIGN = 0x80;

  @Override
  public QuantizedMatrix read(TensorBytes tensors, SegmentAllocator memory) {
    long count = format.scaleCount(rows, cols);
    MemorySegment scaleData = memory.allocate(count * format.scales().bytes(), 64);
    tensors.read(scales, 0, scaleData);
    return Checked.usable(
        tensors,
        codes,
        new QuantizedMatrix(
            shifted(tensors, codes, rows * format.codes().bytes(cols), memory),
            format,
            rows,
            cols,
            scaleData,
            1,
            zerosOrNull == null ? null : shifted(tensors, zerosOrNull, count, memory),
            groupsOrNull == null ? null : Words.read(tensors, groupsOrNull, cols)));
  }

  private static MemorySegment shifted(
      TensorBytes tensors, String tensor, long bytes, SegmentAllocator memory) {
    MemorySegment data = memory.allocate(bytes, 64);
    tensors.read(tensor, 0, data);
    for (long i = 0; i < bytes; i++) {
      int signed = data.get(ValueLayout.JAVA_BYTE, i);
      data.set(ValueLayout.JAVA_BYTE, i, (byte) (signed ^ SIGN));
    }
    return data;
  }
}

package org.sparkmoe.datasets.checkpoint.quant;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/**
 * compressed-tensors' {@code pack-quantized}: unsigned codes of b = 4 or 8 bits, offset by 2^(b−1),
 * in int32 words with the first in the lowest bits. Weights are packed along K, zero points along
 * N, with the same offset.
 *
 * @param packed name of int32 [N, ⌈K·b/32⌉]
 * @param scales name of [N, groups]
 * @param zerosOrNull name of int32 [⌈N·b/32⌉, groups]
 * @param groupsOrNull name of int32 [K], the group of each column
 * @param shapeOrNull name of an integer [2], which has to say N and K
 * @param shapeBytes of one of its integers
 */
public record PackedWeight(
    String packed,
    String scales,
    String zerosOrNull,
    String groupsOrNull,
    String shapeOrNull,
    int shapeBytes,
    QuantFormat format,
    int rows,
    int cols)
    implements StoredWeight {

  @Override
  public QuantizedMatrix read(TensorBytes tensors, SegmentAllocator memory) {
    checkShape(tensors);
    MemorySegment scaleData =
        memory.allocate(format.scaleCount(rows, cols) * format.scales().bytes(), 64);
    MemorySegment codes = codes(tensors, memory);
    tensors.read(scales, 0, scaleData);
    MemorySegment zeros = zerosOrNull == null ? null : zeros(tensors, memory);
    int[] groupOf = groupsOrNull == null ? null : Words.read(tensors, groupsOrNull, cols);
    return Checked.usable(
        tensors,
        packed,
        new QuantizedMatrix(codes, format, rows, cols, scaleData, 1, zeros, groupOf));
  }

  /** Little-endian words hold the codes in the kernels' order; only padding is left out. */
  private MemorySegment codes(TensorBytes tensors, SegmentAllocator memory) {
    long stored = Math.ceilDiv((long) cols * format.codes().bits(), 32) * Integer.BYTES;
    long kept = format.codes().bytes(cols);
    MemorySegment raw = memory.allocate(rows * stored, 64);
    tensors.read(packed, 0, raw);
    if (stored == kept) {
      return raw;
    }
    MemorySegment codes = memory.allocate(rows * kept, 64);
    for (int row = 0; row < rows; row++) {
      MemorySegment.copy(raw, row * stored, codes, row * kept, kept);
    }
    return codes;
  }

  private MemorySegment zeros(TensorBytes tensors, SegmentAllocator memory) {
    int bits = format.codes().bits();
    int groups = format.groups(cols);
    int perWord = 32 / bits;
    int[] words = Words.read(tensors, zerosOrNull, Math.ceilDiv(rows, perWord) * groups);
    MemorySegment zeros = memory.allocate((long) rows * groups, 64);
    int mask = (1 << bits) - 1;
    for (int row = 0; row < rows; row++) {
      for (int group = 0; group < groups; group++) {
        int word = words[row / perWord * groups + group];
        zeros.set(
            ValueLayout.JAVA_BYTE,
            (long) row * groups + group,
            (byte) ((word >>> (row % perWord * bits)) & mask));
      }
    }
    return zeros;
  }

  private void checkShape(TensorBytes tensors) {
    if (shapeOrNull == null) {
      return;
    }
    MemorySegment shape = MemorySegment.ofArray(new byte[2 * shapeBytes]);
    tensors.read(shapeOrNull, 0, shape);
    long first = Words.integer(shape, 0, shapeBytes);
    long second = Words.integer(shape, 1, shapeBytes);
    if (first != rows || second != cols) {
      throw Checked.bad(
          tensors,
          shapeOrNull,
          "says %d x %d, the configuration %d x %d".formatted(first, second, rows, cols));
    }
  }
}

package org.sparkmoe.datasets.checkpoint.quant;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/**
 * GPTQ: unsigned codes of b = 4 or 8 bits in int32 words, the first in the lowest bits; weights
 * packed along K, zero points along N. Version 1 stores zero points less 1, of which only b bits
 * are left: 0 is stored as the largest.
 *
 * @param qweight name of int32 [K·b/32, N]
 * @param scales name of [groups, N]
 * @param qzeros name of int32 [groups, N·b/32]
 * @param groupsOrNull name of int32 [K], the group of each column
 * @param zeroOffset what is added to stored zero points: 1 for version 1, 0 for version 2; without
 *     meaning where the format has no zero points
 */
public record GptqWeight(
    String qweight,
    String scales,
    String qzeros,
    String groupsOrNull,
    int zeroOffset,
    QuantFormat format,
    int rows,
    int cols)
    implements StoredWeight {

  @Override
  public QuantizedMatrix read(TensorBytes tensors, SegmentAllocator memory) {
    int perWord = 32 / format.codes().bits();
    int groups = format.groups(cols);
    // A word holds neighbouring columns of one row in the kernels' order.
    MemorySegment codes =
        Strided.transposed(tensors, qweight, Integer.BYTES, cols / perWord, rows, memory);
    MemorySegment scaleData =
        Strided.transposed(tensors, scales, format.scales().bytes(), groups, rows, memory);
    int[] words = Words.read(tensors, qzeros, groups * (rows / perWord));
    MemorySegment zeros = null;
    if (format.zeros()) {
      zeros = zeros(words, groups, memory);
    } else {
      checkSymmetric(tensors, words);
    }
    int[] groupOf = null;
    if (groupsOrNull != null) {
      groupOf = Words.read(tensors, groupsOrNull, cols);
      if (!format.ordered()) {
        checkInOrder(tensors, groupOf);
        groupOf = null;
      }
    }
    return Checked.usable(
        tensors,
        qweight,
        new QuantizedMatrix(codes, format, rows, cols, scaleData, 1, zeros, groupOf));
  }

  private MemorySegment zeros(int[] words, int groups, SegmentAllocator memory) {
    int bits = format.codes().bits();
    int perWord = 32 / bits;
    int mask = (1 << bits) - 1;
    MemorySegment zeros = memory.allocate((long) rows * groups, 64);
    for (int row = 0; row < rows; row++) {
      for (int group = 0; group < groups; group++) {
        int word = words[group * (rows / perWord) + row / perWord];
        int zero = ((word >>> (row % perWord * bits)) + zeroOffset) & mask;
        zeros.set(ValueLayout.JAVA_BYTE, (long) row * groups + group, (byte) zero);
      }
    }
    return zeros;
  }

  private void checkSymmetric(TensorBytes tensors, int[] words) {
    int bits = format.codes().bits();
    for (int word : words) {
      if (!isSymmetric(bits, word) || word != words[0]) {
        throw Checked.bad(
            tensors,
            qzeros,
            "holds zero points 0x%08x, but symmetric %d-bit weights have 0x%08x (version 1) or 0x%08x (version 2)"
                .formatted(word, bits, symmetric(bits) - ones(bits), symmetric(bits)));
      }
    }
  }

  /** Whether all zero points of a word are those of symmetric weights, of either version. */
  public static boolean isSymmetric(int bits, int word) {
    return word == symmetric(bits) || word == symmetric(bits) - ones(bits);
  }

  private static int symmetric(int bits) {
    return bits == 4 ? 0x88888888 : 0x80808080;
  }

  private static int ones(int bits) {
    return bits == 4 ? 0x11111111 : 0x01010101;
  }

  private void checkInOrder(TensorBytes tensors, int[] groupOf) {
    for (int col = 0; col < cols; col++) {
      if (groupOf[col] != col / format.colSpan()) {
        throw Checked.bad(
            tensors,
            groupsOrNull,
            "puts column %d into group %d, but the configuration says desc_act false"
                .formatted(col, groupOf[col]));
      }
    }
  }
}

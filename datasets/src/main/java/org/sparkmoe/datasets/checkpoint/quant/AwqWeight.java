package org.sparkmoe.datasets.checkpoint.quant;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/**
 * AWQ, version gemm: unsigned 4-bit codes and zero points packed along N, eight to an int32 word in
 * an order of their own.
 *
 * @param qweight name of int32 [K, N/8]
 * @param scales name of [groups, N]
 * @param qzeros name of int32 [groups, N/8]
 */
public record AwqWeight(
    String qweight, String scales, String qzeros, QuantFormat format, int rows, int cols)
    implements StoredWeight {
  /** Which of eight neighbouring outputs the i-th lowest four bits of a word belong to. */
  private static final int[] OUTPUT = {0, 2, 4, 6, 1, 3, 5, 7};

  @Override
  public QuantizedMatrix read(TensorBytes tensors, SegmentAllocator memory) {
    int groups = format.groups(cols);
    MemorySegment raw = memory.allocate((long) cols * (rows / 8) * Integer.BYTES, 64);
    tensors.read(qweight, 0, raw);
    MemorySegment codes = memory.allocate(rows * format.codes().bytes(cols), 64);
    unpack(raw, codes);
    MemorySegment scaleData =
        Strided.transposed(tensors, scales, format.scales().bytes(), groups, rows, memory);
    MemorySegment zeros = memory.allocate((long) rows * groups, 64);
    int[] words = Words.read(tensors, qzeros, groups * (rows / 8));
    for (int i = 0; i < words.length; i++) {
      int group = i / (rows / 8);
      int first = i % (rows / 8) * 8;
      for (int nibble = 0; nibble < 8; nibble++) {
        zeros.set(
            ValueLayout.JAVA_BYTE,
            (long) (first + OUTPUT[nibble]) * groups + group,
            (byte) ((words[i] >>> (4 * nibble)) & 0xF));
      }
    }
    return Checked.usable(
        tensors,
        qweight,
        new QuantizedMatrix(codes, format, rows, cols, scaleData, 1, zeros, null));
  }

  /** Two words, of neighbouring columns, give a byte for each of eight rows. */
  private void unpack(MemorySegment raw, MemorySegment codes) {
    int words = rows / 8;
    long lineBytes = format.codes().bytes(cols);
    byte[][] lines = new byte[8][(int) lineBytes];
    for (int word = 0; word < words; word++) {
      for (int col = 0; col < cols; col += 2) {
        int low = Words.get(raw, (long) col * words + word);
        int high = col + 1 < cols ? Words.get(raw, (long) (col + 1) * words + word) : 0;
        for (int nibble = 0; nibble < 8; nibble++) {
          int pair = ((low >>> (4 * nibble)) & 0xF) | (((high >>> (4 * nibble)) & 0xF) << 4);
          lines[OUTPUT[nibble]][col / 2] = (byte) pair;
        }
      }
      for (int line = 0; line < 8; line++) {
        MemorySegment.copy(
            lines[line],
            0,
            codes,
            ValueLayout.JAVA_BYTE,
            (8L * word + line) * lineBytes,
            (int) lineBytes);
      }
    }
  }
}

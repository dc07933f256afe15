package org.sparkmoe.datasets.checkpoint.quant;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/**
 * AWQ, version gemm: unsigned codes of b = 4 or 8 bits and zero points packed along N, in int32
 * words with an order of their own.
 *
 * @param qweight name of int32 [K, N·b/32]
 * @param scales name of [groups, N]
 * @param qzeros name of int32 [groups, N·b/32]
 */
public record AwqWeight(
    String qweight, String scales, String qzeros, QuantFormat format, int rows, int cols)
    implements StoredWeight {
  /** Which of eight neighbouring outputs the i-th lowest four bits of a word belong to. */
  private static final int[] OUTPUT_OF_NIBBLE = {0, 2, 4, 6, 1, 3, 5, 7};

  /** Which of four neighbouring outputs the i-th lowest byte of a word belongs to. */
  private static final int[] OUTPUT_OF_BYTE = {0, 2, 1, 3};

  @Override
  public QuantizedMatrix read(TensorBytes tensors, SegmentAllocator memory) {
    int groups = format.groups(cols);
    int bits = format.codes().bits();
    int[] output = bits == 4 ? OUTPUT_OF_NIBBLE : OUTPUT_OF_BYTE;
    int perLine = rows / output.length;
    MemorySegment raw = memory.allocate((long) cols * perLine * Integer.BYTES, 64);
    tensors.read(qweight, 0, raw);
    MemorySegment codes = memory.allocate(rows * format.codes().bytes(cols), 64);
    unpack(raw, output, codes);
    MemorySegment scaleData =
        Strided.transposed(tensors, scales, format.scales().bytes(), groups, rows, memory);
    MemorySegment zeros = memory.allocate((long) rows * groups, 64);
    int[] words = Words.read(tensors, qzeros, groups * perLine);
    int mask = (1 << bits) - 1;
    for (int i = 0; i < words.length; i++) {
      int group = i / perLine;
      int first = i % perLine * output.length;
      for (int part = 0; part < output.length; part++) {
        zeros.set(
            ValueLayout.JAVA_BYTE,
            (long) (first + output[part]) * groups + group,
            (byte) ((words[i] >>> (bits * part)) & mask));
      }
    }
    return Checked.usable(
        tensors,
        qweight,
        new QuantizedMatrix(codes, format, rows, cols, scaleData, 1, zeros, null));
  }

  /** Words of one place in all lines give the codes of neighbouring rows. */
  private void unpack(MemorySegment raw, int[] output, MemorySegment codes) {
    int bits = format.codes().bits();
    int words = rows / output.length;
    int perByte = Byte.SIZE / bits;
    int mask = (1 << bits) - 1;
    long lineBytes = format.codes().bytes(cols);
    byte[][] lines = new byte[output.length][(int) lineBytes];
    for (int word = 0; word < words; word++) {
      for (byte[] line : lines) {
        Arrays.fill(line, (byte) 0);
      }
      for (int col = 0; col < cols; col++) {
        int packed = Words.get(raw, (long) col * words + word);
        int shift = col % perByte * bits;
        for (int part = 0; part < output.length; part++) {
          int code = (packed >>> (bits * part)) & mask;
          lines[output[part]][col / perByte] |= (byte) (code << shift);
        }
      }
      for (int line = 0; line < lines.length; line++) {
        MemorySegment.copy(
            lines[line],
            0,
            codes,
            ValueLayout.JAVA_BYTE,
            ((long) output.length * word + line) * lineBytes,
            (int) lineBytes);
      }
    }
  }
}

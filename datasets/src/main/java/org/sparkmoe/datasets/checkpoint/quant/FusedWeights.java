package org.sparkmoe.datasets.checkpoint.quant;

import java.io.Serializable;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/**
 * The quantized experts of a layer in two tensors of codes and two of scales, E first. Code rows
 * have {@code b} bytes for a row of inputs; scale grids are those of the formats.
 *
 * @param gateUp codes [E, 2I, H], or [E, H, 2I] where {@code transposed}
 * @param gateUpScales their scales: a grid for all 2I rows
 * @param down codes [E, H, I], or [E, I, H] where {@code transposed}
 * @param downScales their scales
 * @param transposed whether inputs come first; codes then have a byte each, and scales are per
 *     output
 * @param interleaved whether gate and up rows alternate instead of following each other; scales are
 *     then per row
 * @param in format of gate and up
 * @param out format of down
 * @param hidden H
 * @param width I
 */
public record FusedWeights(
    String gateUp,
    String gateUpScales,
    String down,
    String downScales,
    boolean transposed,
    boolean interleaved,
    QuantFormat in,
    QuantFormat out,
    int hidden,
    int width)
    implements Serializable {

  /**
   * Reads one expert.
   *
   * @throws org.sparkmoe.datasets.InputException as {@link StoredWeight#read}
   */
  public ExpertWeights read(int expert, TensorBytes tensors, SegmentAllocator memory) {
    int both = 2 * width;
    MemorySegment codes = codes(tensors, gateUp, expert, in, both, hidden, memory);
    MemorySegment scales = scales(tensors, gateUpScales, expert, in, both, hidden, memory);
    QuantizedMatrix w2 =
        new QuantizedMatrix(
            codes(tensors, down, expert, out, hidden, width, memory),
            out,
            hidden,
            width,
            scales(tensors, downScales, expert, out, hidden, width, memory),
            1,
            null,
            null);
    return ExpertWeights.gated(
        half(tensors, codes, scales, 0, memory),
        half(tensors, codes, scales, 1, memory),
        Checked.usable(tensors, down, w2));
  }

  private QuantizedMatrix half(
      TensorBytes tensors,
      MemorySegment codes,
      MemorySegment scales,
      int index,
      SegmentAllocator memory) {
    long lines = in.scaleCount(width, hidden) / in.groups(hidden);
    MemorySegment own = rows(codes, index, width, in.codes().bytes(hidden), memory);
    MemorySegment ownScales =
        in.rowSpan() == QuantFormat.ALL
            ? scales
            : rows(
                scales, index, (int) lines, (long) in.groups(hidden) * in.scales().bytes(), memory);
    return Checked.usable(tensors, gateUp, QuantizedMatrix.of(own, in, width, hidden, ownScales));
  }

  /** The first or second of two matrices with {@code rows} lines each. */
  private MemorySegment rows(
      MemorySegment both, int index, int rows, long lineBytes, SegmentAllocator memory) {
    if (!interleaved) {
      return both.asSlice((long) index * rows * lineBytes, rows * lineBytes);
    }
    MemorySegment half = memory.allocate(rows * lineBytes, 64);
    for (int row = 0; row < rows; row++) {
      MemorySegment.copy(both, (2L * row + index) * lineBytes, half, row * lineBytes, lineBytes);
    }
    return half;
  }

  private MemorySegment codes(
      TensorBytes tensors,
      String tensor,
      int expert,
      QuantFormat format,
      int rows,
      int cols,
      SegmentAllocator memory) {
    long bytes = rows * format.codes().bytes(cols);
    MemorySegment raw = memory.allocate(bytes, 64);
    tensors.read(tensor, expert * bytes, raw);
    if (!transposed) {
      return raw;
    }
    MemorySegment codes = memory.allocate(bytes, 64);
    Strided.copy(1, raw, 0, 1, rows, codes, rows, cols);
    return codes;
  }

  private static MemorySegment scales(
      TensorBytes tensors,
      String tensor,
      int expert,
      QuantFormat format,
      int rows,
      int cols,
      SegmentAllocator memory) {
    long bytes = format.scaleCount(rows, cols) * format.scales().bytes();
    MemorySegment scales = memory.allocate(bytes, 64);
    tensors.read(tensor, expert * bytes, scales);
    return scales;
  }
}

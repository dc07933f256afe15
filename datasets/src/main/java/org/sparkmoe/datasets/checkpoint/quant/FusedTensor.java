package org.sparkmoe.datasets.checkpoint.quant;

import java.io.Serializable;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/**
 * A quantized matrix of every expert in common tensors, E first. Codes have {@code b} bytes for a
 * row of inputs.
 *
 * @param codes name of [E, N, b], or [E, b, N] where {@code transposed}
 * @param scales name of the experts' grids, [E, N, groups] or, where {@code transposed}, [E,
 *     groups, N]; of one grid where {@code common}
 * @param globalOrNull name of an f32 that takes part in every scale
 * @param globals how many there are: one for all experts, or one for each
 * @param transposed whether inputs come first
 * @param common whether all experts have one grid
 * @param rows N, output features
 * @param cols K, input features
 */
public record FusedTensor(
    String codes,
    String scales,
    String globalOrNull,
    int globals,
    boolean transposed,
    boolean common,
    QuantFormat format,
    int rows,
    int cols)
    implements Serializable {

  /**
   * Reads the matrix of one expert.
   *
   * @throws org.sparkmoe.datasets.InputException as {@link StoredWeight#read}
   */
  QuantizedMatrix read(int expert, TensorBytes tensors, SegmentAllocator memory) {
    int lineBytes = (int) format.codes().bytes(cols);
    MemorySegment codeData = read(tensors, codes, expert, 1, lineBytes, memory);
    int lines = Math.ceilDiv(rows, format.rowSpan());
    int groups = format.groups(cols);
    int size = format.scales().bytes();
    MemorySegment scaleData;
    if (lines == rows) {
      scaleData = read(tensors, scales, common ? 0 : expert, size, groups, memory);
    } else {
      long bytes = (long) lines * groups * size;
      scaleData = memory.allocate(bytes, 64);
      tensors.read(scales, common ? 0 : expert * bytes, scaleData);
    }
    return Checked.usable(
        tensors,
        codes,
        new QuantizedMatrix(
            codeData, format, rows, cols, scaleData, global(expert, tensors), null, null));
  }

  /** N × {@code width} elements of an expert, by outputs. */
  private MemorySegment read(
      TensorBytes tensors, String name, int expert, int size, int width, SegmentAllocator memory) {
    long bytes = (long) rows * width * size;
    MemorySegment raw = memory.allocate(bytes, 64);
    tensors.read(name, expert * bytes, raw);
    if (!transposed || width == 1) {
      return raw;
    }
    MemorySegment byOutput = memory.allocate(bytes, 64);
    Strided.copy(size, raw, 0, 1, rows, byOutput, rows, width);
    return byOutput;
  }

  private double global(int expert, TensorBytes tensors) {
    if (globalOrNull == null) {
      return 1;
    }
    MemorySegment value = MemorySegment.ofArray(new byte[Float.BYTES]);
    tensors.read(globalOrNull, globals == 1 ? 0 : DType.F32.bytes(expert), value);
    float stored = DType.F32.get(value, 0);
    if (!(stored > 0) || Float.isInfinite(stored)) {
      throw Checked.bad(tensors, globalOrNull, "is " + stored + ", it must be positive and finite");
    }
    return stored;
  }
}

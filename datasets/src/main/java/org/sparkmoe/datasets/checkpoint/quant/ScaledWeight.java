package org.sparkmoe.datasets.checkpoint.quant;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/**
 * A weight whose codes and scales lie as kernels take them: FP8, INT8, NVFP4, MXFP4 and MXFP8 with
 * tensors of their own.
 *
 * @param codes name of [N, K] codes of a byte, or [N, K/2] with two in each
 * @param scales name of the grid of scales
 * @param globalOrNull name of an f32 scalar that takes part in every scale
 * @param reciprocal whether scales are divided by it instead of multiplied
 */
public record ScaledWeight(
    String codes,
    String scales,
    String globalOrNull,
    boolean reciprocal,
    QuantFormat format,
    int rows,
    int cols)
    implements StoredWeight {

  @Override
  public QuantizedMatrix read(TensorBytes tensors, SegmentAllocator memory) {
    MemorySegment codeData = memory.allocate(rows * format.codes().bytes(cols), 64);
    tensors.read(codes, 0, codeData);
    MemorySegment scaleData =
        memory.allocate(format.scaleCount(rows, cols) * format.scales().bytes(), 64);
    tensors.read(scales, 0, scaleData);
    return Checked.usable(
        tensors,
        codes,
        new QuantizedMatrix(codeData, format, rows, cols, scaleData, global(tensors), null, null));
  }

  private double global(TensorBytes tensors) {
    if (globalOrNull == null) {
      return 1;
    }
    MemorySegment value = MemorySegment.ofArray(new byte[Float.BYTES]);
    tensors.read(globalOrNull, 0, value);
    float stored = DType.F32.get(value, 0);
    if (!(stored > 0) || Float.isInfinite(stored)) {
      throw Checked.bad(tensors, globalOrNull, "is " + stored + ", it must be positive and finite");
    }
    return reciprocal ? 1.0 / stored : stored;
  }
}

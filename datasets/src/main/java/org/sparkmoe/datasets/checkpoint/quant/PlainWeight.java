package org.sparkmoe.datasets.checkpoint.quant;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;

/**
 * A weight that is not quantized: neighbouring rows of a tensor [.., K].
 *
 * @param tensor its full name
 * @param firstRow where the weight begins in it
 * @param format element type
 */
public record PlainWeight(String tensor, long firstRow, DType format, int rows, int cols)
    implements StoredWeight {

  @Override
  public Matrix read(TensorBytes tensors, SegmentAllocator memory) {
    MemorySegment data = memory.allocate(format.bytes(rows, cols), 64);
    tensors.read(tensor, format.bytes(firstRow * cols), data);
    return new Matrix(data, format, rows, cols);
  }
}

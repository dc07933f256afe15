package org.sparkmoe.datasets.checkpoint.quant;

import java.lang.foreign.SegmentAllocator;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;

/**
 * Some rows of a quantized weight: gate or up of a linear map that computes both.
 *
 * @param whole the weight of that map
 * @param first row; where rows share scales, it begins with a scale
 * @param rows how many
 */
public record SlicedWeight(StoredWeight whole, int first, int rows) implements StoredWeight {

  @Override
  public int cols() {
    return whole.cols();
  }

  @Override
  public WeightFormat format() {
    return whole.format();
  }

  @Override
  public Weight read(TensorBytes tensors, SegmentAllocator memory) {
    return Rows.of((QuantizedMatrix) whole.read(tensors, memory), first, rows);
  }
}

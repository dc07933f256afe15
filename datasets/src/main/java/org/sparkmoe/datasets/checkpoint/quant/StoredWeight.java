package org.sparkmoe.datasets.checkpoint.quant;

import java.io.Serializable;
import java.lang.foreign.SegmentAllocator;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;

/**
 * Where the weight of one linear map is, N × K. A value that was checked against the tensors' types
 * and shapes; their contents are checked when they are read.
 */
public sealed interface StoredWeight extends Serializable
    permits PlainWeight,
        ScaledWeight,
        ShiftedWeight,
        SlicedWeight,
        PackedWeight,
        GptqWeight,
        AwqWeight {

  /** N, output features. */
  int rows();

  /** K, input features. */
  int cols();

  /** The form that {@link #read} gives. */
  WeightFormat format();

  /**
   * Reads the weight.
   *
   * @param memory holds the result, and what is rearranged on the way
   * @throws org.sparkmoe.datasets.InputException if the file cannot be read, or holds what makes
   *     the weight unusable: a scale that is zero or NaN, zero points that contradict the
   *     configuration, a column in no group
   */
  Weight read(TensorBytes tensors, SegmentAllocator memory);
}

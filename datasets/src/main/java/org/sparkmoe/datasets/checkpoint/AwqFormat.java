package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.datasets.checkpoint.quant.AwqWeight;
import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;

/**
 * AWQ, version gemm, 4 bits with zero points.
 *
 * @param group inputs that share a scale, {@link QuantFormat#ALL} for one per output
 */
record AwqFormat(int group) implements LinearFormat {
  private static final Set<SafetensorsDType> WORDS = Set.of(SafetensorsDType.I32);

  @Override
  public StoredWeight weight(LinearTensors tensors) {
    int rows = tensors.rows();
    int cols = tensors.cols();
    if (rows % 8 != 0) {
      throw tensors.bad(
          "has %d outputs, which words of 8 codes do not fill; this variant is not supported"
              .formatted(rows));
    }
    long groups = Math.ceilDiv(cols, group);
    String weight = tensors.take("qweight", WORDS, new long[] {cols, rows / 8});
    String scales = tensors.take("scales", LinearTensors.FLOATS, new long[] {groups, rows});
    String zeros = tensors.take("qzeros", WORDS, new long[] {groups, rows / 8});
    QuantFormat format =
        new QuantFormat(CodeType.UINT4, tensors.scaleType("scales"), 1, group, true, false);
    return new AwqWeight(weight, scales, zeros, format, rows, cols);
  }

  @Override
  public ActivationRule activation() {
    return ActivationRule.NONE;
  }
}

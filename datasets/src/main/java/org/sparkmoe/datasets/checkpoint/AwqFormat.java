package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.datasets.checkpoint.quant.AwqWeight;
import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;

/**
 * AWQ, version gemm, with zero points.
 *
 * @param bits of a code, 4 or 8
 * @param group inputs that share a scale, {@link QuantFormat#ALL} for one per output
 */
record AwqFormat(int bits, int group) implements LinearFormat {
  private static final Set<SafetensorsDType> WORDS = Set.of(SafetensorsDType.I32);

  @Override
  public StoredWeight weight(LinearTensors tensors) {
    int rows = tensors.rows();
    int cols = tensors.cols();
    int perWord = 32 / bits;
    if (rows % perWord != 0) {
      throw tensors.bad(
          "has %d outputs, which words of %d codes do not fill; this variant is not supported"
              .formatted(rows, perWord));
    }
    long groups = Math.ceilDiv(cols, group);
    String weight = tensors.take("qweight", WORDS, new long[] {cols, rows / perWord});
    String scales = tensors.take("scales", LinearTensors.FLOATS, new long[] {groups, rows});
    String zeros = tensors.take("qzeros", WORDS, new long[] {groups, rows / perWord});
    QuantFormat format =
        new QuantFormat(
            bits == 4 ? CodeType.UINT4 : CodeType.UINT8,
            tensors.scaleType("scales"),
            1,
            group,
            true,
            false);
    return new AwqWeight(weight, scales, zeros, format, rows, cols);
  }

  @Override
  public ActivationRule activation() {
    return ActivationRule.NONE;
  }
}

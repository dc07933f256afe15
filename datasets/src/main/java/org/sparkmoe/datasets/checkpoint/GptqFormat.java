package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.datasets.checkpoint.quant.GptqWeight;
import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;

/**
 * GPTQ. Zero points of symmetric weights say which version wrote them, whatever the label; they
 * stand for the same value in both. For others the label decides.
 *
 * @param bits of a code, 4 or 8
 * @param group inputs that share a scale, {@link QuantFormat#ALL} for one per output
 * @param actOrder whether columns belong to groups by a list
 * @param symmetric whether all zero points are the middle
 * @param zeroOffset what is added to stored zero points
 */
record GptqFormat(int bits, int group, boolean actOrder, boolean symmetric, int zeroOffset)
    implements LinearFormat {
  private static final Set<SafetensorsDType> WORDS = Set.of(SafetensorsDType.I32);

  @Override
  public StoredWeight weight(LinearTensors tensors) {
    int rows = tensors.rows();
    int cols = tensors.cols();
    int perWord = 32 / bits;
    if (cols % perWord != 0 || rows % perWord != 0) {
      throw tensors.bad(
          "is %d x %d, which words of %d codes do not fill; this variant is not supported"
              .formatted(rows, cols, perWord));
    }
    long groups = Math.ceilDiv(cols, group);
    String weight = tensors.take("qweight", WORDS, new long[] {cols / perWord, rows});
    String scales = tensors.take("scales", LinearTensors.FLOATS, new long[] {groups, rows});
    String zeros = tensors.take("qzeros", WORDS, new long[] {groups, rows / perWord});
    // One group needs no list, which may hold anything.
    boolean ordered = actOrder && groups > 1;
    String groupOf =
        ordered
            ? tensors.take("g_idx", WORDS, new long[] {cols})
            : tensors.takeOrNull("g_idx", WORDS, new long[] {cols});
    QuantFormat format =
        new QuantFormat(
            bits == 4 ? CodeType.UINT4 : CodeType.UINT8,
            tensors.scaleType("scales"),
            1,
            group,
            !symmetric,
            ordered);
    return new GptqWeight(
        weight, scales, zeros, groups == 1 ? null : groupOf, zeroOffset, format, rows, cols);
  }

  @Override
  public ActivationRule activation() {
    return ActivationRule.NONE;
  }
}

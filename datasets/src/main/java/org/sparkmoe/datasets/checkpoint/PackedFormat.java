package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.datasets.checkpoint.quant.PackedWeight;
import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;

/**
 * compressed-tensors' {@code pack-quantized}.
 *
 * @param bits of a code, 4 or 8
 * @param group inputs that share a scale, {@link QuantFormat#ALL} for one per output
 * @param symmetric whether there are no zero points
 * @param actOrder whether the configuration says that columns belong to groups by a list
 * @param activation of the input
 */
record PackedFormat(
    int bits, int group, boolean symmetric, boolean actOrder, ActivationRule activation)
    implements LinearFormat {
  private static final Set<SafetensorsDType> WORDS = Set.of(SafetensorsDType.I32);

  @Override
  public StoredWeight weight(LinearTensors tensors) {
    int rows = tensors.rows();
    int cols = tensors.cols();
    long groups = Math.ceilDiv(cols, group);
    int perWord = 32 / bits;
    String packed =
        tensors.take("weight_packed", WORDS, new long[] {rows, Math.ceilDiv(cols, perWord)});
    String scales = tensors.take("weight_scale", LinearTensors.FLOATS, new long[] {rows, groups});
    String zeros =
        symmetric
            ? null
            : tensors.take(
                "weight_zero_point", WORDS, new long[] {Math.ceilDiv(rows, perWord), groups});
    String groupOf =
        actOrder
            ? tensors.take("weight_g_idx", WORDS, new long[] {cols})
            : tensors.takeOrNull("weight_g_idx", WORDS, new long[] {cols});
    String shape =
        tensors.takeOrNull(
            "weight_shape", Set.of(SafetensorsDType.I64, SafetensorsDType.I32), new long[] {2});
    int shapeBytes = shape == null ? 0 : tensors.get("weight_shape").dtype().bits() / 8;
    QuantFormat format =
        new QuantFormat(
            bits == 4 ? CodeType.UINT4 : CodeType.UINT8,
            tensors.scaleType("weight_scale"),
            1,
            group,
            !symmetric,
            groupOf != null);
    return new PackedWeight(packed, scales, zeros, groupOf, shape, shapeBytes, format, rows, cols);
  }
}

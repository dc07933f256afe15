package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.datasets.checkpoint.quant.ScaledWeight;
import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.ScaleType;

/**
 * e2m1 codes, two in a byte, with a scale for each {@code group} inputs in {@code weight_scale}:
 * NVFP4 (e4m3 for 16 and an f32 for the tensor) and MXFP4 (a power of two for 32).
 *
 * @param codes suffix of the codes
 * @param globalOrNull suffix of the scale for the tensor
 * @param reciprocal whether that is one over the scale
 * @param group inputs that share a scale
 * @param activation of the input
 */
record Fp4Format(
    String codes, String globalOrNull, boolean reciprocal, int group, ActivationRule activation)
    implements LinearFormat {

  /** NVFP4 as ModelOpt stores it. */
  static Fp4Format modelOpt(ActivationRule activation) {
    return new Fp4Format("weight", "weight_scale_2", false, 16, activation);
  }

  /** NVFP4 as compressed-tensors stores it: what it calls global scales are reciprocals. */
  static Fp4Format nvfp4Packed(ActivationRule activation) {
    return new Fp4Format("weight_packed", "weight_global_scale", true, 16, activation);
  }

  /** MXFP4 as compressed-tensors stores it. */
  static Fp4Format mxfp4Packed(ActivationRule activation) {
    return new Fp4Format("weight_packed", null, false, 32, activation);
  }

  @Override
  public StoredWeight weight(LinearTensors tensors) {
    int rows = tensors.rows();
    int cols = tensors.cols();
    if (cols % group != 0) {
      throw tensors.bad(
          "has %d inputs, which do not divide into groups of %d; this variant is not supported"
              .formatted(cols, group));
    }
    String packed = tensors.take(codes, Set.of(SafetensorsDType.U8), new long[] {rows, cols / 2});
    Set<SafetensorsDType> types =
        group == 16
            ? Set.of(SafetensorsDType.F8_E4M3)
            : Set.of(SafetensorsDType.U8, SafetensorsDType.F8_E8M0);
    String scales = tensors.take("weight_scale", types, new long[] {rows, cols / group});
    String global =
        globalOrNull == null
            ? null
            : tensors.take(
                globalOrNull, Set.of(SafetensorsDType.F32), new long[] {}, new long[] {1});
    ScaleType type = tensors.scaleType("weight_scale");
    return new ScaledWeight(
        packed,
        scales,
        global,
        reciprocal,
        QuantFormat.of(CodeType.E2M1, type, 1, group),
        rows,
        cols);
  }
}

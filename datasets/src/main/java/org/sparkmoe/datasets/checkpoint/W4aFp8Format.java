package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.datasets.checkpoint.quant.ShiftedWeight;
import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;

/**
 * SGLang's {@code w4afp8}: int4 codes in two's complement, two in a byte with the even input in the
 * low half, a scale to multiply by for each 128 inputs, and FP8 inputs with a static scale.
 */
record W4aFp8Format() implements LinearFormat {
  static final int GROUP = 128;

  private static final ActivationRule INPUT =
      ActivationRule.fixed(ActivationScheme.fp8(Granularity.TENSOR), "input_scale");

  @Override
  public StoredWeight weight(LinearTensors tensors) {
    int rows = tensors.rows();
    int cols = tensors.cols();
    if (cols % GROUP != 0) {
      throw tensors.bad(
          "has %d inputs, which do not divide into groups of %d; this variant is not supported"
              .formatted(cols, GROUP));
    }
    String codes = tensors.take("weight", Set.of(SafetensorsDType.I8), new long[] {rows, cols / 2});
    String scales =
        tensors.take("weight_scale_inv", LinearTensors.FLOATS, new long[] {rows, cols / GROUP});
    QuantFormat format =
        QuantFormat.of(CodeType.UINT4, tensors.scaleType("weight_scale_inv"), 1, GROUP);
    return new ShiftedWeight(codes, scales, null, null, format, rows, cols);
  }

  @Override
  public ActivationRule activation() {
    return INPUT;
  }
}

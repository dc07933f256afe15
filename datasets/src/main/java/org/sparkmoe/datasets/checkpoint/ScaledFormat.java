package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.datasets.checkpoint.quant.ScaledWeight;
import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.ScaleType;

/**
 * Codes of a byte in {@code weight}, and a grid of scales to multiply by in {@code weight_scale} or
 * {@code weight_scale_inv}: FP8 (e4m3), INT8, MXFP8.
 *
 * @param codes the element type, E4M3 or INT8
 * @param grid which weights share a scale
 * @param exponents whether scales stored as plain bytes are powers of two; refused if not
 * @param activation of the input
 */
record ScaledFormat(CodeType codes, ScaleGrid grid, boolean exponents, ActivationRule activation)
    implements LinearFormat {

  static ScaledFormat fp8(ScaleGrid grid, ActivationRule activation) {
    return new ScaledFormat(CodeType.E4M3, grid, false, activation);
  }

  static ScaledFormat int8(ScaleGrid grid, ActivationRule activation) {
    return new ScaledFormat(CodeType.INT8, grid, false, activation);
  }

  /** e4m3 with a power of two for each 32 inputs. */
  static ScaledFormat mxfp8(ActivationRule activation) {
    return new ScaledFormat(CodeType.E4M3, ScaleGrid.blocks(1, 32), true, activation);
  }

  /** As the configuration says, with plain bytes taken for powers of two. */
  ScaledFormat withExponents() {
    return new ScaledFormat(codes, grid, true, activation);
  }

  @Override
  public StoredWeight weight(LinearTensors tensors) {
    int rows = tensors.rows();
    int cols = tensors.cols();
    String weight = tensors.take("weight", codeTypes(), new long[] {rows, cols});
    String suffix = tensors.oneOf("weight_scale", "weight_scale_inv");
    String scales = tensors.take(suffix, scaleTypes(), grid.shapes(rows, cols));
    ScaleGrid.Span span = grid.span(tensors.get(suffix).shape(), rows, cols).orElseThrow();
    ScaleType type = tensors.scaleType(suffix);
    return new ScaledWeight(
        weight,
        scales,
        null,
        false,
        QuantFormat.of(codes, type, span.rows(), span.cols()),
        rows,
        cols);
  }

  Set<SafetensorsDType> codeTypes() {
    return Set.of(codes == CodeType.INT8 ? SafetensorsDType.I8 : SafetensorsDType.F8_E4M3);
  }

  Set<SafetensorsDType> scaleTypes() {
    return exponents
        ? Set.of(
            SafetensorsDType.F32,
            SafetensorsDType.BF16,
            SafetensorsDType.F16,
            SafetensorsDType.F8_E8M0,
            SafetensorsDType.U8)
        : Set.of(
            SafetensorsDType.F32,
            SafetensorsDType.BF16,
            SafetensorsDType.F16,
            SafetensorsDType.F8_E8M0);
  }
}

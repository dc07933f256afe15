package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.datasets.checkpoint.quant.ShiftedWeight;
import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;

/**
 * Integers of compressed-tensors, packed into words or with a byte each; the tensors say which.
 *
 * @param grid which weights share a scale
 * @param packed for words
 */
record CompressedIntFormat(ScaleGrid grid, PackedFormat packed) implements LinearFormat {

  @Override
  public StoredWeight weight(LinearTensors tensors) {
    if (tensors.has("weight_packed")) {
      if (grid.isBlocksOfRows()) {
        throw tensors.bad("is packed with scales per block, which is not supported");
      }
      return packed.weight(tensors);
    }
    boolean ordered = packed.actOrder() || tensors.has("weight_g_idx");
    return packed.symmetric() && !ordered
        ? new ScaledFormat(CodeType.INT8, grid, false, packed.activation()).weight(tensors)
        : shifted(tensors, ordered);
  }

  private StoredWeight shifted(LinearTensors tensors, boolean ordered) {
    int rows = tensors.rows();
    int cols = tensors.cols();
    Set<SafetensorsDType> bytes = Set.of(SafetensorsDType.I8);
    String codes = tensors.take("weight", bytes, new long[] {rows, cols});
    long[][] shapes = grid.shapes(rows, cols);
    String scales = tensors.take("weight_scale", LinearTensors.FLOATS, shapes);
    long[] shape = tensors.get("weight_scale").shape();
    ScaleGrid.Span span = grid.span(shape, rows, cols).orElseThrow();
    String zeros =
        packed.symmetric() ? null : tensors.take("weight_zero_point", bytes, new long[][] {shape});
    String groupOf =
        ordered
            ? tensors.take("weight_g_idx", Set.of(SafetensorsDType.I32), new long[] {cols})
            : null;
    QuantFormat format =
        new QuantFormat(
            CodeType.UINT8,
            tensors.scaleType("weight_scale"),
            span.rows(),
            span.cols(),
            zeros != null,
            ordered);
    return new ShiftedWeight(codes, scales, zeros, groupOf, format, rows, cols);
  }

  @Override
  public ActivationRule activation() {
    return packed.activation();
  }
}

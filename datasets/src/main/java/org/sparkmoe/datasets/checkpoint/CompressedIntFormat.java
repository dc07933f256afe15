package org.sparkmoe.datasets.checkpoint;

import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.kernels.tensor.CodeType;

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
    if (!packed.symmetric()) {
      throw tensors.bad("has int8 weights with zero points (symmetric false), unsupported");
    }
    return new ScaledFormat(CodeType.INT8, grid, false, packed.activation()).weight(tensors);
  }

  @Override
  public ActivationRule activation() {
    return packed.activation();
  }
}

package org.sparkmoe.datasets.checkpoint;

import org.sparkmoe.kernels.layer.MoeLayerSpec;

/**
 * What a family's configuration says about one layer, to be matched with the tensors found.
 *
 * @param spec what the layer computes
 * @param fused how the family's own files order a fused expert tensor
 * @param routerBias whether the router's logits have a bias
 * @param selectionBias whether a bias takes part in the choice
 * @param expertBias whether experts have biases
 * @param outputBias whether a bias is added to the layer's output
 */
record LayerRecipe(
    MoeLayerSpec spec,
    FusedOrder fused,
    boolean routerBias,
    boolean selectionBias,
    boolean expertBias,
    boolean outputBias) {

  /** How gate and up projections share one tensor. */
  enum FusedOrder {
    /** {@code [E, 2I, H]}, gate rows first: what transformers 5 saves for most families. */
    ROWS,
    /** {@code [E, H, 2I]}, gate columns first. */
    COLUMNS,
    /** {@code [E, H, 2I]}, gate and up columns alternate (gpt-oss). */
    INTERLEAVED_COLUMNS
  }

  static LayerRecipe of(MoeLayerSpec spec) {
    return new LayerRecipe(spec, FusedOrder.ROWS, false, false, false, false);
  }

  LayerRecipe fused(FusedOrder order) {
    return new LayerRecipe(spec, order, routerBias, selectionBias, expertBias, outputBias);
  }

  LayerRecipe withSelectionBias(boolean present) {
    return new LayerRecipe(spec, fused, routerBias, present, expertBias, outputBias);
  }

  LayerRecipe withRouterAndExpertBias() {
    return new LayerRecipe(spec, fused, true, selectionBias, true, outputBias);
  }

  LayerRecipe withOutputBias() {
    return new LayerRecipe(spec, fused, routerBias, selectionBias, expertBias, true);
  }
}

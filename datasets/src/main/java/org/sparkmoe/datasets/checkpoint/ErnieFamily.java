package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.kernels.router.Normalization;
import org.sparkmoe.kernels.router.Scoring;
import org.sparkmoe.kernels.router.TopKRule;

/**
 * Ernie 4.5: softmax, chosen with a bias, weights divided by their sum but by no less than a floor.
 */
final class ErnieFamily implements Family {
  @Override
  public Set<String> modelTypes() {
    return Set.of("ernie4_5_moe");
  }

  @Override
  public void check(ModelConfig config) {
    Family.super.check(config);
    config.expectText("moe_gate", "topk");
    config.expectFlag("moe_use_aux_free", true);
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    int interval = config.integerOr(1, 1, MAX_LAYERS, "moe_layer_interval");
    int start = config.integerOr(1, 0, MAX_LAYERS, "moe_layer_start_index");
    int end = config.integerOr(-1, -1, MAX_LAYERS, "moe_layer_end_index");
    return (layer + 1) % interval == 0 && layer >= start && (end == -1 || layer <= end);
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    double floor = config.number("moe_norm_min", 1e-12, 0);
    int topK = config.integer(1, MAX_EXPERTS, "moe_k", "num_experts_per_tok");
    TopKRule routing =
        new TopKRule(topK, Scoring.SOFTMAX, null, new Normalization.Sum(0, floor), 1, false);
    int width = Sizes.width(config, "moe_intermediate_size");
    int experts = config.integer(1, MAX_EXPERTS, "moe_num_experts", "num_experts");
    int shared = config.integerOr(2, 0, 64, "moe_num_shared_experts");
    return LayerRecipe.of(
            Sizes.spec(config, width, experts, routing, Sizes.shared(width * shared, false)))
        .withSelectionBias(true);
  }
}

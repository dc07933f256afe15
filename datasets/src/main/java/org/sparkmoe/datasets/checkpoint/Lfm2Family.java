package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.kernels.router.Normalization;
import org.sparkmoe.kernels.router.Scoring;
import org.sparkmoe.kernels.router.TopKRule;

/**
 * LFM2-MoE: sigmoid, usually chosen with a bias, weights divided by their sum plus 1e-6, scaled.
 */
final class Lfm2Family implements Family {
  @Override
  public Set<String> modelTypes() {
    return Set.of("lfm2_moe");
  }

  @Override
  public void check(ModelConfig config) {
    config.expectText("scoring_func", "sigmoid");
    config.expectInteger("moe_layer_freq", 1);
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    return layer >= config.integerOr(2, 0, MAX_LAYERS, "num_dense_layers");
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    Normalization normalization =
        config.flag("norm_topk_prob", true) ? new Normalization.Sum(1e-6, 0) : Normalization.NONE;
    TopKRule routing =
        new TopKRule(
            Sizes.topK(config),
            Scoring.SIGMOID,
            null,
            normalization,
            config.number("routed_scaling_factor", 1, 0),
            false);
    return LayerRecipe.of(Sizes.spec(config, "moe_intermediate_size", routing))
        .withSelectionBias(config.flag("use_expert_bias", true));
  }
}

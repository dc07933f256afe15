package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.kernels.router.Normalization;
import org.sparkmoe.kernels.router.Scoring;
import org.sparkmoe.kernels.router.TopKRule;

/** MiniMax-M2: sigmoid, chosen with a bias, weights divided by their plain sum. */
final class MiniMaxM2Family implements Family {
  @Override
  public Set<String> modelTypes() {
    return Set.of("minimax_m2");
  }

  @Override
  public void check(ModelConfig config) {
    config.expectText("scoring_func", "sigmoid");
    config.expectInteger("moe_layer_freq", 1);
    config.expectFlag("use_routing_bias", true);
    config.expectInteger("shared_intermediate_size", 0);
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    return true;
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    TopKRule routing =
        new TopKRule(Sizes.topK(config), Scoring.SIGMOID, null, Normalization.Sum.PLAIN, 1, false);
    return LayerRecipe.of(Sizes.spec(config, "intermediate_size", routing)).withSelectionBias(true);
  }
}

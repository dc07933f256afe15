package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.kernels.router.TopKRule;

/** Mixtral and MiniMax-Text: softmax over all experts, the chosen weights always renormalized. */
final class MixtralFamily implements Family {
  @Override
  public Set<String> modelTypes() {
    return Set.of("mixtral", "minimax");
  }

  @Override
  public void check(ModelConfig config) {
    Family.super.check(config);
    config.expectInteger("shared_intermediate_size", 0);
    config.expectFlag("use_routing_bias", false);
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    return true;
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    return LayerRecipe.of(
        Sizes.spec(config, "intermediate_size", TopKRule.softmax(Sizes.topK(config), true)));
  }
}

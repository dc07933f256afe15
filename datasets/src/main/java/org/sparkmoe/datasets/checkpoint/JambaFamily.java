package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.kernels.router.TopKRule;

/** Jamba: softmax over all experts, the chosen weights left as they are. */
final class JambaFamily implements Family {
  @Override
  public Set<String> modelTypes() {
    return Set.of("jamba");
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    int period = config.integerOr(2, 1, MAX_LAYERS, "expert_layer_period");
    int offset = config.integerOr(1, 0, MAX_LAYERS, "expert_layer_offset");
    // With one expert transformers builds a plain layer.
    return layer % period == offset && Sizes.experts(config) > 1;
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    return LayerRecipe.of(
        Sizes.spec(config, "intermediate_size", TopKRule.softmax(Sizes.topK(config), false)));
  }
}

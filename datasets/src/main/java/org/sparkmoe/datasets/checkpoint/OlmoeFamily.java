package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.kernels.router.TopKRule;

/** OLMoE and FlexOlmo: softmax, renormalized only where {@code norm_topk_prob} says so. */
final class OlmoeFamily implements Family {
  @Override
  public Set<String> modelTypes() {
    return Set.of("olmoe", "flex_olmo");
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    return true;
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    boolean renormalize = config.flag("norm_topk_prob", false);
    return LayerRecipe.of(
        Sizes.spec(config, "intermediate_size", TopKRule.softmax(Sizes.topK(config), renormalize)));
  }
}

package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.kernels.router.TopKRule;

/** JetMoE's feed-forward: routed as Granite, plus a bias on the output. */
final class JetMoeFamily implements Family {
  @Override
  public Set<String> modelTypes() {
    return Set.of("jetmoe");
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    return true;
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    return LayerRecipe.of(
            Sizes.spec(
                config,
                Sizes.hidden(config),
                Sizes.width(config, "intermediate_size"),
                Sizes.experts(config),
                TopKRule.softmaxOverTopK(Sizes.topK(config)),
                Activations.of(config, "activation_function"),
                null))
        .withOutputBias();
  }
}

package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.kernels.router.TopKRule;

/** GraniteMoE with its shared and hybrid variants: top k of the logits, softmax over those. */
final class GraniteFamily implements Family {
  @Override
  public Set<String> modelTypes() {
    return Set.of("granitemoe", "granitemoeshared", "granitemoehybrid");
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    // The small hybrids have no experts, only the "shared" feed-forward.
    return Sizes.expertsOrNone(config) > 0;
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    int shared =
        switch (config.modelType()) {
          case "granitemoe" -> 0;
          case "granitemoeshared" -> config.integerOr(0, 0, MAX_WIDTH, "shared_intermediate_size");
          default -> config.integer(0, MAX_WIDTH, "shared_intermediate_size");
        };
    return LayerRecipe.of(
        Sizes.spec(
            config,
            Sizes.width(config, "intermediate_size"),
            Sizes.experts(config),
            TopKRule.softmaxOverTopK(Sizes.topK(config)),
            Sizes.shared(shared, false)));
  }
}

package org.sparkmoe.datasets.checkpoint;

import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.sparkmoe.kernels.layer.SharedExpertSpec;
import org.sparkmoe.kernels.router.TopKRule;

/**
 * Llama 4: the sigmoid of the best logit multiplies that expert's input; an ungated shared expert
 * of the same width runs beside it.
 */
final class Llama4Family implements Family {
  @Override
  public Set<String> modelTypes() {
    return Set.of("llama4", "llama4_text");
  }

  @Override
  public void check(ModelConfig config) {
    config.expectText("scoring_func", "sigmoid");
    config.expectInteger("moe_layer_freq", 1);
    // Several weighted inputs would need one dispatched row per slot instead of one per token.
    config.expectInteger("num_experts_per_tok", 1);
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    Optional<List<Integer>> layers = config.integers("moe_layers", 0, MAX_LAYERS);
    if (layers.isPresent()) {
      return layers.get().contains(layer);
    }
    return (layer + 1) % config.integerOr(1, 1, MAX_LAYERS, "interleave_moe_layer_step") == 0;
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    int width = Sizes.width(config, "intermediate_size");
    return LayerRecipe.of(
            Sizes.spec(
                config,
                width,
                Sizes.experts(config),
                TopKRule.sigmoidOnInput(),
                new SharedExpertSpec(width, false)))
        .fused(LayerRecipe.FusedOrder.COLUMNS);
  }
}

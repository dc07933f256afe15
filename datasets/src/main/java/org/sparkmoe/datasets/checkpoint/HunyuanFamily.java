package org.sparkmoe.datasets.checkpoint;

import java.util.OptionalInt;
import java.util.Set;
import org.sparkmoe.kernels.layer.SharedExpertSpec;
import org.sparkmoe.kernels.router.TopKRule;

/**
 * Hunyuan-A13B: softmax, renormalized, beside one ungated shared expert. Its configuration may give
 * a number per layer for each size.
 */
final class HunyuanFamily implements Family {
  @Override
  public Set<String> modelTypes() {
    return Set.of("hunyuan_v1_moe");
  }

  @Override
  public void check(ModelConfig config) {
    Family.super.check(config);
    config.expectFlag("norm_topk_prob", true);
    config.expectFlag("use_mixed_mlp_moe", true);
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    return layer >= config.integerOr(0, 0, MAX_LAYERS, "moe_layer_num_skipped");
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    int experts = required(config, layer, MAX_EXPERTS, "num_experts");
    int topK = required(config, layer, MAX_EXPERTS, "moe_topk");
    int dense = Sizes.width(config, "intermediate_size");
    int width = config.perLayer(layer, 1, MAX_WIDTH, "moe_intermediate_size").orElse(dense);
    int shared = config.perLayer(layer, 1, 64, "num_shared_expert").orElse(1);
    return LayerRecipe.of(
        Sizes.spec(
            config,
            width,
            experts,
            TopKRule.softmax(topK, true),
            new SharedExpertSpec(dense * shared, false)));
  }

  private static int required(ModelConfig config, int layer, int max, String key) {
    OptionalInt value = config.perLayer(layer, 1, max, key);
    return value.orElseThrow(() -> config.bad("lacks " + key));
  }
}

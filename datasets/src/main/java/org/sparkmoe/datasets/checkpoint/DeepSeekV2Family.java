package org.sparkmoe.datasets.checkpoint;

import java.util.Set;
import org.sparkmoe.kernels.router.GroupLimit;
import org.sparkmoe.kernels.router.TopKRule;

/**
 * DeepSeek-V2: softmax without renormalization, scaled; the large model first keeps the groups
 * whose best expert is best.
 */
final class DeepSeekV2Family implements Family {
  private static final String GROUPED = "group_limited_greedy";

  @Override
  public Set<String> modelTypes() {
    return Set.of("deepseek_v2");
  }

  @Override
  public void check(ModelConfig config) {
    config.expectText("scoring_func", "softmax");
    config.expectText("topk_method", "greedy", GROUPED);
    config.expectInteger("moe_layer_freq", 1);
    // Released models say false. On true, the model's own code and transformers disagree.
    config.expectFlag("norm_topk_prob", false);
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    return layer >= config.integerOr(0, 0, MAX_LAYERS, "first_k_dense_replace");
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    TopKRule routing =
        TopKRule.softmax(Sizes.topK(config), false)
            .withScalingFactor(config.number("routed_scaling_factor", 1, 0));
    if (config.text("topk_method").orElse("greedy").equals(GROUPED)) {
      int groups = config.integer(1, MAX_EXPERTS, "n_group");
      int kept = config.integer(1, groups, "topk_group");
      routing = routing.withGroups(new GroupLimit(groups, kept, GroupLimit.Score.MAX));
    }
    int width = Sizes.width(config, "moe_intermediate_size");
    int shared = config.integerOr(0, 0, 64, "n_shared_experts");
    return LayerRecipe.of(
        Sizes.spec(
            config, width, Sizes.experts(config), routing, Sizes.shared(width * shared, false)));
  }
}

package org.sparkmoe.datasets.checkpoint;

import java.util.List;
import java.util.Set;
import org.sparkmoe.kernels.layer.SharedExpertSpec;
import org.sparkmoe.kernels.router.TopKRule;

/**
 * Qwen mixtures: softmax, renormalized where {@code norm_topk_prob} says so; most have one shared
 * expert behind a sigmoid gate.
 */
final class QwenFamily implements Family {
  private static final Set<String> WITH_SHARED =
      Set.of("qwen2_moe", "qwen3_next", "qwen3_5_moe", "qwen3_5_moe_text");
  private static final Set<String> ALWAYS_RENORMALIZED =
      Set.of("qwen3_5_moe", "qwen3_5_moe_text", "qwen3_vl_moe", "qwen3_vl_moe_text");
  private static final Set<String> STORED_BY_COLUMNS = Set.of("qwen3_vl_moe", "qwen3_vl_moe_text");

  @Override
  public Set<String> modelTypes() {
    return Set.of(
        "qwen2_moe",
        "qwen3_moe",
        "qwen3_next",
        "qwen3_5_moe",
        "qwen3_5_moe_text",
        "qwen3_vl_moe",
        "qwen3_vl_moe_text");
  }

  @Override
  public void check(ModelConfig config) {
    Family.super.check(config);
    if (ALWAYS_RENORMALIZED.contains(config.modelType())) {
      config.expectFlag("norm_topk_prob", true);
    }
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    List<Integer> dense = config.integers("mlp_only_layers", 0, MAX_LAYERS).orElse(List.of());
    int step = config.integerOr(1, 1, MAX_LAYERS, "decoder_sparse_step");
    return !dense.contains(layer) && Sizes.expertsOrNone(config) > 0 && (layer + 1) % step == 0;
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    String type = config.modelType();
    boolean renormalize =
        ALWAYS_RENORMALIZED.contains(type)
            // The classes disagree on a missing key: true for Qwen3-Next, false for the others.
            || config.flag("norm_topk_prob", type.equals("qwen3_next"));
    SharedExpertSpec shared =
        WITH_SHARED.contains(type)
            ? Sizes.shared(Sizes.width(config, "shared_expert_intermediate_size"), true)
            : null;
    LayerRecipe recipe =
        LayerRecipe.of(
            Sizes.spec(
                config,
                Sizes.width(config, "moe_intermediate_size"),
                Sizes.experts(config),
                TopKRule.softmax(Sizes.topK(config), renormalize),
                shared));
    return STORED_BY_COLUMNS.contains(type) ? recipe.fused(LayerRecipe.FusedOrder.COLUMNS) : recipe;
  }
}

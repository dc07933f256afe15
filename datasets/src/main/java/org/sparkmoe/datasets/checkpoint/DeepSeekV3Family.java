package org.sparkmoe.datasets.checkpoint;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.sparkmoe.kernels.router.GroupLimit;
import org.sparkmoe.kernels.router.Normalization;
import org.sparkmoe.kernels.router.Scoring;
import org.sparkmoe.kernels.router.TopKRule;

/**
 * DeepSeek-V3 and the many that copied its router: sigmoid, chosen with a bias among the groups
 * with the best two experts, weights divided by their sum plus 1e-20 and scaled.
 */
final class DeepSeekV3Family implements Family {
  /** Leading dense layers where the configuration has no key, as the classes default. */
  private static final Map<String, Integer> DENSE_BY_DEFAULT =
      Map.of(
          "deepseek_v3", 3,
          "deepseek_v32", 3,
          "kimi_k2", 3,
          "kimi_linear", 1,
          "glm4_moe", 1,
          "glm4_moe_lite", 1,
          "glm_moe_dsa", 3,
          "dots1", 0,
          "mimo_v2_flash", 1,
          "exaone_moe", 1);

  private static final Normalization SUM = new Normalization.Sum(1e-20, 0);

  @Override
  public Set<String> modelTypes() {
    return DENSE_BY_DEFAULT.keySet();
  }

  @Override
  public void check(ModelConfig config) {
    // transformers reads neither key; published configurations state them.
    config.expectText("scoring_func", "sigmoid");
    config.expectText("moe_router_activation_func", "sigmoid");
    config.expectText("topk_method", "noaux_tc");
    if (!config.isList("moe_layer_freq")) {
      config.expectInteger("moe_layer_freq", 1);
    }
  }

  @Override
  public boolean sparse(ModelConfig config, int layer) {
    Optional<List<String>> types = config.texts("mlp_layer_types");
    if (types.isPresent()) {
      return listed(config, "mlp_layer_types", types.get(), layer).equals("sparse");
    }
    if (config.isList("moe_layer_freq")) {
      // MiMo's published configuration has a 0 or 1 for each layer.
      List<Integer> sparse = config.integers("moe_layer_freq", 0, 1).orElseThrow();
      return listed(config, "moe_layer_freq", sparse, layer) == 1;
    }
    int dense = DENSE_BY_DEFAULT.get(config.modelType());
    return layer >= config.integerOr(dense, 0, MAX_LAYERS, "first_k_dense_replace");
  }

  @Override
  public LayerRecipe recipe(ModelConfig config, int layer) {
    int experts = Sizes.experts(config);
    int topK = config.integer(1, MAX_EXPERTS, "num_experts_per_tok", "num_experts_per_token");
    int groups = groups(config);
    int kept = groups == 1 ? 1 : config.integer(1, groups, "topk_group");
    boolean renormalize =
        config.has("moe_renormalize")
            ? config.flag("moe_renormalize", true)
            : config.flag("norm_topk_prob", !config.modelType().equals("dots1"));
    TopKRule routing =
        new TopKRule(
            topK,
            Scoring.SIGMOID,
            null,
            renormalize ? SUM : Normalization.NONE,
            scalingFactor(config),
            false);
    if (kept < groups) {
      routing = routing.withGroups(new GroupLimit(groups, kept, GroupLimit.Score.TOP2_SUM));
    }
    int width = Sizes.width(config, "moe_intermediate_size");
    int shared = config.integerOr(0, 0, 64, "n_shared_experts", "num_shared_experts");
    return LayerRecipe.of(
            Sizes.spec(config, width, experts, routing, Sizes.shared(width * shared, false)))
        .withSelectionBias(true);
  }

  private static int groups(ModelConfig config) {
    String[] keys = {"n_group", "num_expert_group"};
    // DeepSeek's own classes default to 8 groups, all others to 1: too much to guess.
    return config.modelType().startsWith("deepseek")
        ? config.integer(1, MAX_EXPERTS, keys)
        : config.integerOr(1, 1, MAX_EXPERTS, keys);
  }

  private static double scalingFactor(ModelConfig config) {
    if (!config.has("routed_scaling_factor") && !config.isNull("routed_scaling_factor")) {
      throw config.bad("lacks routed_scaling_factor");
    }
    // Null in MiMo's published configuration, meaning 1.
    return config.number("routed_scaling_factor", 1, 0);
  }

  private static <T> T listed(ModelConfig config, String key, List<T> values, int layer) {
    if (layer >= values.size()) {
      throw config.bad(
          "has %d values for %s, one per layer is needed".formatted(values.size(), key));
    }
    return values.get(layer);
  }
}

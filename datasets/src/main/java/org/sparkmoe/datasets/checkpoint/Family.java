package org.sparkmoe.datasets.checkpoint;

import java.util.Set;

/** Models that share their router's mathematics and their configuration's words. */
interface Family {
  /** Bounds for sizes in a configuration, far above any model, so that products stay in a long. */
  int MAX_WIDTH = 1 << 20;

  int MAX_EXPERTS = 1 << 16;
  int MAX_LAYERS = 10_000;

  /** The {@code model_type}s it covers, outer and nested. */
  Set<String> modelTypes();

  /** Decoder layers of the model proper; anything behind them is for multi-token prediction. */
  default int layers(ModelConfig config) {
    return config.integer(1, MAX_LAYERS, "num_hidden_layers");
  }

  /** Refuses keys that contradict the family. */
  default void check(ModelConfig config) {
    config.expectText("scoring_func", "softmax");
    config.expectText("topk_method", "greedy");
    config.expectInteger("moe_layer_freq", 1);
  }

  /** Whether {@code layer}, 0 ≤ layer &lt; {@link #layers}, is a mixture of experts. */
  boolean sparse(ModelConfig config, int layer);

  /** The layer, which {@link #sparse} said is one. */
  LayerRecipe recipe(ModelConfig config, int layer);
}

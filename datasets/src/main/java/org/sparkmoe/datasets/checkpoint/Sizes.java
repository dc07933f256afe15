package org.sparkmoe.datasets.checkpoint;

import org.sparkmoe.datasets.InputException;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.kernels.layer.SharedExpertSpec;
import org.sparkmoe.kernels.router.RoutingRule;

/** The numbers of a layer under the key names most families share. */
final class Sizes {
  private static final String[] EXPERTS = {"num_experts", "num_local_experts", "n_routed_experts"};

  private Sizes() {}

  static int hidden(ModelConfig config) {
    return config.integer(1, Family.MAX_WIDTH, "hidden_size");
  }

  static int width(ModelConfig config, String... keys) {
    return config.integer(1, Family.MAX_WIDTH, keys);
  }

  static int experts(ModelConfig config) {
    return config.integer(1, Family.MAX_EXPERTS, EXPERTS);
  }

  /** Experts, 0 or absent where the configuration describes a model without them. */
  static int expertsOrNone(ModelConfig config) {
    return config.integerOr(0, 0, Family.MAX_EXPERTS, EXPERTS);
  }

  static int topK(ModelConfig config) {
    return config.integer(1, Family.MAX_EXPERTS, "num_experts_per_tok");
  }

  /** A layer without shared expert whose width is at {@code widthKey}. */
  static MoeLayerSpec spec(ModelConfig config, String widthKey, RoutingRule routing) {
    return spec(config, width(config, widthKey), experts(config), routing, null);
  }

  static MoeLayerSpec spec(
      ModelConfig config,
      int intermediate,
      int experts,
      RoutingRule routing,
      SharedExpertSpec sharedOrNull) {
    Activation activation = Activations.of(config, "hidden_act");
    return spec(config, hidden(config), intermediate, experts, routing, activation, sharedOrNull);
  }

  /** Turns a combination that cannot be, such as top 9 of 8 experts, into the user's error. */
  static MoeLayerSpec spec(
      ModelConfig config,
      int hidden,
      int intermediate,
      int experts,
      RoutingRule routing,
      Activation activation,
      SharedExpertSpec sharedOrNull) {
    try {
      return new MoeLayerSpec(hidden, intermediate, experts, routing, activation, sharedOrNull);
    } catch (IllegalArgumentException e) {
      throw refused(config, e);
    }
  }

  static InputException refused(ModelConfig config, IllegalArgumentException e) {
    return config.bad("describes an impossible layer: " + e.getMessage());
  }

  static SharedExpertSpec shared(int intermediate, boolean gated) {
    return intermediate == 0 ? null : new SharedExpertSpec(intermediate, gated);
  }
}

package org.sparkmoe.datasets.checkpoint;

import java.util.Optional;
import org.sparkmoe.kernels.experts.Activation;

/** Names of activations in configurations, as transformers' {@code ACT2FN} defines them. */
final class Activations {
  private Activations() {}

  /**
   * The activation of gated experts; silu where the configuration names none, as all classes do.
   */
  static Activation of(ModelConfig config, String key) {
    Optional<String> name = config.text(key);
    return switch (name.orElse("silu")) {
      case "silu", "swish" -> Activation.SILU;
      case "gelu", "gelu_python" -> Activation.of(Activation.Kind.GELU);
      case "gelu_new", "gelu_pytorch_tanh", "gelu_python_tanh", "gelu_fast", "gelu_accurate" ->
          Activation.of(Activation.Kind.GELU_TANH);
      default -> {
        config.expectText(
            key,
            "silu",
            "swish",
            "gelu",
            "gelu_python",
            "gelu_new",
            "gelu_pytorch_tanh",
            "gelu_python_tanh",
            "gelu_fast",
            "gelu_accurate");
        throw new AssertionError("the list above is that of the cases");
      }
    };
  }
}

package org.sparkmoe.datasets.checkpoint;

import java.util.Optional;
import java.util.regex.Pattern;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.tensor.ScaleType;

/**
 * SGLang's {@code w4afp8}: routed experts in {@link W4aFp8Format}, all other linear maps in FP8
 * with blocks of 128 × 128, as DeepSeek publishes them.
 */
final class W4aFp8Config implements QuantConfig {
  private static final Pattern ROUTED = Pattern.compile(".*\\bexperts\\.\\d+\\..*");

  private final LinearFormat experts = new W4aFp8Format();
  private final LinearFormat others =
      ScaledFormat.fp8(
          ScaleGrid.blocks(W4aFp8Format.GROUP, W4aFp8Format.GROUP),
          ActivationRule.dynamic(ActivationScheme.fp8PerBlock(W4aFp8Format.GROUP, ScaleType.F32)));
  private final ModulePatterns left;

  W4aFp8Config(ModelConfig config) {
    config.requireInteger("group_size", W4aFp8Format.GROUP);
    this.left = ModulePatterns.at(config, "modules_to_not_convert", "ignored_layers");
  }

  @Override
  public String label() {
    return "quant_method w4afp8";
  }

  @Override
  public Optional<LinearFormat> of(String linear) {
    if (left.contains(linear)) {
      return Optional.empty();
    }
    return Optional.of(ROUTED.matcher(linear).matches() ? experts : others);
  }
}

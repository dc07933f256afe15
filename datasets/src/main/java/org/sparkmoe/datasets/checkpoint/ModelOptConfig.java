package org.sparkmoe.datasets.checkpoint;

import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;

/**
 * NVIDIA ModelOpt, in config.json or in hf_quant_config.json: one algorithm for all maps, or {@code
 * MIXED_PRECISION} with one for each module named.
 */
final class ModelOptConfig implements QuantConfig {
  private static final String MIXED = "MIXED_PRECISION";

  private final ModelConfig config;
  private final String algorithm;
  private final ModulePatterns left;
  private final Map<String, LinearFormat> formats = new HashMap<>();

  ModelOptConfig(ModelConfig outer) {
    this.config = outer.isObject("quantization") ? outer.child("quantization") : outer;
    this.algorithm = algorithm(config);
    this.left =
        ModulePatterns.at(
            config, "exclude_modules", "ignore", "ignored_layers", "modules_to_not_convert");
  }

  @Override
  public String label() {
    return "ModelOpt quant_algo " + algorithm;
  }

  @Override
  public Optional<LinearFormat> of(String linear) {
    if (left.contains(linear)) {
      return Optional.empty();
    }
    if (!algorithm.equals(MIXED)) {
      return Optional.of(formats.computeIfAbsent("", name -> format(config, algorithm)));
    }
    List<String> modules = config.keysOf("quantized_layers");
    for (String name = linear; !name.isEmpty(); name = parent(name)) {
      if (modules.contains(name)) {
        return Optional.of(formats.computeIfAbsent(name, this::mixed));
      }
    }
    return Optional.empty();
  }

  private LinearFormat mixed(String module) {
    ModelConfig settings = config.child("quantized_layers").child(module);
    return format(settings, algorithm(settings));
  }

  private static String parent(String name) {
    return name.substring(0, Math.max(0, name.lastIndexOf('.')));
  }

  private static String algorithm(ModelConfig settings) {
    return settings
        .text("quant_algo")
        .orElseThrow(() -> settings.bad("has no quant_algo"))
        .toUpperCase(Locale.ROOT);
  }

  private static LinearFormat format(ModelConfig settings, String algorithm) {
    return switch (algorithm) {
      case "NVFP4" -> nvfp4(settings, ActivationRule.fixed(ActivationScheme.NVFP4, "input_scale"));
      case "W4A16_NVFP4" -> nvfp4(settings, ActivationRule.NONE);
      case "FP8" ->
          ScaledFormat.fp8(
              ScaleGrid.tensor(),
              ActivationRule.fixed(ActivationScheme.fp8(Granularity.TENSOR), "input_scale"));
      case "FP8_PER_CHANNEL_PER_TOKEN" ->
          ScaledFormat.fp8(
              ScaleGrid.channel(), ActivationRule.dynamic(ActivationScheme.fp8(Granularity.TOKEN)));
      // "Per block, weights only".
      case "FP8_PB_WO" -> ScaledFormat.fp8(ScaleGrid.blocks(128, 128), ActivationRule.NONE);
      case "MXFP8" -> ScaledFormat.mxfp8(ActivationRule.dynamic(ActivationScheme.MXFP8));
      default ->
          throw settings.bad(
              "has quant_algo %s, supported are FP8, FP8_PB_WO, FP8_PER_CHANNEL_PER_TOKEN, MXFP8, NVFP4, W4A16_NVFP4 and %s of these"
                  .formatted(Quoted.of(algorithm), MIXED));
    };
  }

  private static LinearFormat nvfp4(ModelConfig settings, ActivationRule activation) {
    settings.requireInteger("group_size", 16);
    return Fp4Format.modelOpt(activation);
  }
}

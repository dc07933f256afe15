package org.sparkmoe.datasets.checkpoint;

import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.ScaleType;

/** Reads {@code quantization_config} by its {@code quant_method}. */
final class QuantConfigs {
  private static final String SUPPORTED =
      "awq, compressed-tensors, fbgemm_fp8, fp8, gptq, modelopt, mxfp4, mxfp8, w4afp8";

  /** The largest group or block, above any in use. */
  static final int MAX_GROUP = 1 << 16;

  private QuantConfigs() {}

  /**
   * Reads the configuration.
   *
   * @throws org.sparkmoe.datasets.InputException if its method or one of its values is not
   *     supported
   */
  static QuantConfig of(ModelConfig config) {
    String method =
        config
            .text("quant_method")
            .orElseGet(() -> config.isObject("quantization") ? "modelopt" : "")
            .toLowerCase(Locale.ROOT);
    return switch (method) {
      case "fp8" -> fp8(config);
      case "fbgemm_fp8" ->
          uniform(
              config,
              method,
              ScaledFormat.fp8(
                  ScaleGrid.channel(),
                  ActivationRule.dynamic(ActivationScheme.fp8PerToken(scaleBound(config)))));
      case "compressed-tensors" -> new CompressedTensorsConfig(config);
      case "gptq" -> gptq(config);
      case "awq" -> awq(config);
      case "modelopt", "modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed" ->
          new ModelOptConfig(config);
      case "mxfp4" -> uniform(config, method, new MxBlocksFormat());
      case "mxfp8" ->
          uniform(
              config, method, ScaledFormat.mxfp8(ActivationRule.dynamic(ActivationScheme.MXFP8)));
      case "w4afp8" -> new W4aFp8Config(config);
      default ->
          throw config.bad(
              "has quant_method %s, which is not supported; supported are %s"
                  .formatted(Quoted.of(method), SUPPORTED));
    };
  }

  private static QuantConfig uniform(ModelConfig config, String method, LinearFormat format) {
    return new UniformConfig(
        "quant_method " + method,
        format,
        ModulePatterns.at(config, "modules_to_not_convert", "ignored_layers", "exclude_modules"));
  }

  private static QuantConfig fp8(ModelConfig config) {
    config.requireText("fmt", "e4m3", "e4m3fn", "float8_e4m3fn", "float8_e4m3");
    config.requireText("scale_fmt", "ue8m0", "float");
    config.requireText("activation_scheme", "dynamic", "static");
    boolean fixed = config.text("activation_scheme").orElse("dynamic").equals("static");
    boolean powers = config.text("scale_fmt").orElse("").equals("ue8m0");
    List<Integer> block = config.integers("weight_block_size", 1, MAX_GROUP).orElse(null);
    if (block == null) {
      ActivationScheme tensor = ActivationScheme.fp8(Granularity.TENSOR);
      ScaledFormat format =
          ScaledFormat.fp8(
              ScaleGrid.tensorOrChannel(),
              fixed ? ActivationRule.fixed(tensor, "input_scale") : ActivationRule.dynamic(tensor));
      return uniform(config, "fp8", powers ? format.withExponents() : format);
    }
    if (block.size() != 2 || fixed) {
      throw config.bad(
          "has weight_block_size %s with activation_scheme %s, only [rows, cols] with dynamic is known"
              .formatted(block, fixed ? "static" : "dynamic"));
    }
    ActivationScheme scheme =
        ActivationScheme.fp8PerBlock(block.get(1), powers ? ScaleType.E8M0 : ScaleType.F32);
    ScaledFormat format =
        ScaledFormat.fp8(
            ScaleGrid.blocks(block.get(0), block.get(1)), ActivationRule.dynamic(scheme));
    return uniform(config, "fp8", powers ? format.withExponents() : format);
  }

  /** FBGEMM's bound; the default is that of the configuration's class in transformers. */
  private static float scaleBound(ModelConfig config) {
    float bound = (float) config.number("activation_scale_ub", 1200, 0);
    if (!(bound > 0) || Float.isInfinite(bound)) {
      throw config.bad(
          "has %s for activation_scale_ub, which must be a positive f32"
              .formatted(config.shown("activation_scale_ub")));
    }
    return bound;
  }

  private static QuantConfig gptq(ModelConfig config) {
    config.requireText("checkpoint_format", "gptq", "gptq_v2");
    if (config.flag("is_marlin_format", false)) {
      throw config.bad("has is_marlin_format true, which is not supported");
    }
    List<String> modules = config.keysOf("dynamic");
    if (modules.stream().anyMatch(module -> !module.startsWith("-:"))) {
      throw config.bad(
          "has other GPTQ settings for some modules (dynamic), which is not supported");
    }
    int bits = bits(config, "bits", 4, 8);
    GptqFormat format =
        new GptqFormat(
            bits,
            group(config),
            config.flag("desc_act", false),
            config.flag("sym", true),
            config.text("checkpoint_format").orElse("gptq").equals("gptq") ? 1 : 0);
    return uniform(config, "gptq", format);
  }

  private static QuantConfig awq(ModelConfig config) {
    config.requireText("version", "gemm", "GEMM");
    if (!config.flag("zero_point", true)) {
      throw config.bad("has zero_point false for quant_method awq, only true is supported");
    }
    return uniform(config, "awq", new AwqFormat(bits(config, "bits", 4, 8), group(config)));
  }

  /** Bits of a code, one of those known. */
  static int bits(ModelConfig config, String key, int... known) {
    int bits = config.integer(1, 64, key);
    for (int one : known) {
      if (one == bits) {
        return bits;
      }
    }
    throw config.bad(
        "has %d for %s, supported are %s".formatted(bits, key, Arrays.toString(known)));
  }

  /** Inputs that share a scale; −1 stands for all. */
  static int group(ModelConfig config) {
    int group = config.integer(-1, MAX_GROUP, "group_size", "q_group_size");
    if (group == 0) {
      throw config.bad("has 0 for group_size, which must be -1 or more than 0");
    }
    return group == -1 ? QuantFormat.ALL : group;
  }
}

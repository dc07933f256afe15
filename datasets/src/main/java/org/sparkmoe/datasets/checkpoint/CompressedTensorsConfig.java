package org.sparkmoe.datasets.checkpoint;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.quant.ActivationScheme.Codes;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.ScaleType;

/**
 * compressed-tensors: groups of linear maps, each with arguments for weights and inputs. A map
 * belongs to the group that names it, else to the one with a regular expression for it, else to the
 * one for all {@code Linear}. Groups without a map in the layer are not looked at.
 */
final class CompressedTensorsConfig implements QuantConfig {
  private static final String[] FORMATS = {
    "float-quantized",
    "int-quantized",
    "naive-quantized",
    "pack-quantized",
    "nvfp4-pack-quantized",
    "mxfp4-pack-quantized",
    "mxfp8-quantized",
    "mixed-precision",
    "dense"
  };

  private final ModelConfig config;
  private final ModulePatterns ignored;
  private final Map<String, ModulePatterns> targets = new LinkedHashMap<>();
  private final Map<String, LinearFormat> formats = new HashMap<>();

  CompressedTensorsConfig(ModelConfig config) {
    this.config = config;
    config.requireText("format", FORMATS);
    config
        .optionalChild("sparsity_config")
        .ifPresent(sparsity -> sparsity.requireText("format", "dense"));
    if (config.optionalChild("transform_config").stream()
        .anyMatch(transforms -> !transforms.keysOf("config_groups").isEmpty())) {
      throw config.bad("transforms activations (transform_config), which is not supported");
    }
    this.ignored = ModulePatterns.at(config, "ignore");
    for (String group : config.keysOf("config_groups")) {
      targets.put(group, ModulePatterns.at(config.child("config_groups").child(group), "targets"));
    }
  }

  @Override
  public String label() {
    return "quant_method compressed-tensors, format " + config.text("format").orElse("unnamed");
  }

  @Override
  public Optional<LinearFormat> of(String linear) {
    if (ignored.contains(linear)) {
      return Optional.empty();
    }
    return group(linear)
        .map(
            group ->
                formats.computeIfAbsent(
                    group, name -> format(config.child("config_groups").child(name))));
  }

  private Optional<String> group(String linear) {
    return first(patterns -> patterns.name(linear))
        .or(() -> first(patterns -> patterns.contains(linear)))
        .or(() -> first(patterns -> patterns.name("Linear")));
  }

  private Optional<String> first(Predicate<ModulePatterns> test) {
    return targets.entrySet().stream()
        .filter(target -> test.test(target.getValue()))
        .map(Map.Entry::getKey)
        .findFirst();
  }

  private static LinearFormat format(ModelConfig group) {
    group.requireText("format", FORMATS);
    if (group.has("output_activations")) {
      throw group.bad("quantizes outputs (output_activations), which is not supported");
    }
    ActivationRule activation =
        group
            .optionalChild("input_activations")
            .map(CompressedTensorsConfig::activation)
            .orElse(ActivationRule.NONE);
    ModelConfig weights = group.child("weights");
    weights.requireText("type", "float", "int");
    boolean isFloat = weights.text("type").orElse("int").equals("float");
    boolean symmetric = weights.flag("symmetric", true);
    int bits = QuantConfigs.bits(weights, "num_bits", 4, 8);
    if (weights.flagOrText("dynamic")) {
      throw weights.bad("has dynamic weights, which are not supported");
    }
    if (!isFloat) {
      return new CompressedIntFormat(
          grid(weights),
          new PackedFormat(bits, columns(weights), symmetric, actOrder(weights), activation));
    }
    if (!symmetric) {
      throw weights.bad("has float weights with zero points (symmetric false), unsupported");
    }
    if (bits == 8) {
      boolean exponents = weights.text("scale_dtype").orElse("").contains("uint8");
      ScaledFormat format = ScaledFormat.fp8(grid(weights), activation);
      return exponents || group.text("format").orElse("").equals("mxfp8-quantized")
          ? format.withExponents()
          : format;
    }
    return switch (columns(weights)) {
      case 16 -> Fp4Format.nvfp4Packed(activation);
      case 32 -> Fp4Format.mxfp4Packed(activation);
      default ->
          throw weights.bad(
              "has 4-bit floats in groups of %s, known are 16 (NVFP4) and 32 (MXFP4)"
                  .formatted(weights.shown("group_size")));
    };
  }

  /** The strategy; where it is missing, the group size says it. */
  private static String strategy(ModelConfig arguments) {
    return arguments
        .text("strategy")
        .orElseGet(
            () -> {
              if (!arguments.has("group_size")) {
                return "tensor";
              }
              return QuantConfigs.group(arguments) == QuantFormat.ALL ? "channel" : "group";
            });
  }

  private static ScaleGrid grid(ModelConfig weights) {
    String strategy = strategy(weights);
    return switch (strategy) {
      case "tensor" -> ScaleGrid.tensor();
      case "channel" -> ScaleGrid.channel();
      case "group", "tensor_group" -> ScaleGrid.blocks(1, QuantConfigs.group(weights));
      case "block" -> {
        List<Integer> block =
            weights.integers("block_structure", 1, QuantConfigs.MAX_GROUP).orElse(List.of());
        if (block.size() != 2) {
          throw weights.bad("has no block_structure [rows, cols] for strategy block");
        }
        yield ScaleGrid.blocks(block.get(0), block.get(1));
      }
      default -> throw unknown(weights, strategy);
    };
  }

  /** Columns that share a scale of packed weights. */
  private static int columns(ModelConfig weights) {
    String strategy = strategy(weights);
    return switch (strategy) {
      case "channel", "tensor", "block" -> QuantFormat.ALL;
      case "group", "tensor_group" -> QuantConfigs.group(weights);
      default -> throw unknown(weights, strategy);
    };
  }

  private static boolean actOrder(ModelConfig weights) {
    if (weights.isFlag("actorder")) {
      return weights.flag("actorder", false);
    }
    weights.requireText("actorder", "group", "dynamic", "weight", "static");
    String order = weights.text("actorder").orElse("weight");
    return order.equals("group") || order.equals("dynamic");
  }

  private static ActivationRule activation(ModelConfig inputs) {
    inputs.requireText("type", "float", "int");
    boolean isFloat = inputs.text("type").orElse("int").equals("float");
    int bits = QuantConfigs.bits(inputs, "num_bits", 4, 8);
    String strategy = strategy(inputs);
    if (!inputs.flag("symmetric", true)) {
      throw inputs.bad("has inputs with zero points (symmetric false), which is not supported");
    }
    boolean dynamic = inputs.flagOrText("dynamic");
    if (bits == 4) {
      return fourBits(inputs, isFloat, strategy, dynamic);
    }
    return switch (strategy) {
      case "tensor" -> {
        ActivationScheme scheme = eightBits(isFloat, Granularity.TENSOR);
        yield dynamic
            ? ActivationRule.dynamic(scheme)
            : ActivationRule.fixed(scheme, "input_scale");
      }
      case "token" -> {
        requireDynamic(inputs, dynamic);
        yield ActivationRule.dynamic(eightBits(isFloat, Granularity.TOKEN));
      }
      case "group" -> {
        requireDynamic(inputs, dynamic);
        int group = QuantConfigs.group(inputs);
        boolean exponents = inputs.text("scale_dtype").orElse("").contains("uint8");
        yield ActivationRule.dynamic(
            isFloat
                ? ActivationScheme.fp8PerBlock(group, exponents ? ScaleType.E8M0 : ScaleType.F32)
                : ActivationScheme.int8PerBlock(group));
      }
      default -> throw unknown(inputs, strategy);
    };
  }

  private static ActivationRule fourBits(
      ModelConfig inputs, boolean isFloat, String strategy, boolean dynamic) {
    int group = inputs.has("group_size") ? QuantConfigs.group(inputs) : 0;
    if (isFloat && group == 16 && strategy.equals("tensor_group")) {
      if (!inputs.isText("dynamic") && dynamic) {
        throw inputs.bad("has NVFP4 inputs without a static scale, only dynamic local is known");
      }
      return ActivationRule.reciprocal(ActivationScheme.NVFP4, "input_global_scale");
    }
    if (isFloat && group == 32 && strategy.equals("group") && dynamic) {
      return ActivationRule.dynamic(
          new ActivationScheme(Codes.E2M1, Granularity.BLOCK, 32, ScaleType.E8M0));
    }
    throw inputs.bad("has 4-bit inputs that are neither NVFP4 nor MXFP4, which is not supported");
  }

  private static ActivationScheme eightBits(boolean isFloat, Granularity granularity) {
    return isFloat ? ActivationScheme.fp8(granularity) : ActivationScheme.int8(granularity);
  }

  private static void requireDynamic(ModelConfig inputs, boolean dynamic) {
    if (!dynamic) {
      throw inputs.bad("has static inputs per token or group, which are not supported");
    }
  }

  private static InputException unknown(ModelConfig config, String strategy) {
    return config.bad(
        "has strategy %s, which is not supported here".formatted(Quoted.of(strategy)));
  }
}

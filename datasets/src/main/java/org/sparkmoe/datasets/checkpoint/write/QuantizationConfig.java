package org.sparkmoe.datasets.checkpoint.write;

import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.JsonNodeFactory;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.util.List;
import org.sparkmoe.kernels.quant.weight.WeightQuantizer;

/** The {@code quantization_config} of each format, in the words of real checkpoints. */
interface QuantizationConfig {

  /**
   * The configuration.
   *
   * @param unquantized names of the linear modules that stay as they are
   */
  ObjectNode of(List<String> unquantized);

  /** FP8 per 128 × 128, as DeepSeek and Qwen publish it; activations per token and 128 channels. */
  static ObjectNode fp8Blocks(List<String> unquantized) {
    ObjectNode config = JsonNodeFactory.instance.objectNode();
    config.put("quant_method", "fp8").put("activation_scheme", "dynamic").put("fmt", "e4m3");
    config
        .putArray("weight_block_size")
        .add(WeightQuantizer.FP8_BLOCK)
        .add(WeightQuantizer.FP8_BLOCK);
    names(config.putArray("modules_to_not_convert"), unquantized);
    return config;
  }

  /** gpt-oss: nothing but what stays as it is. */
  static ObjectNode mxfp4(List<String> unquantized) {
    ObjectNode config = JsonNodeFactory.instance.objectNode();
    config.put("quant_method", "mxfp4");
    names(config.putArray("modules_to_not_convert"), unquantized);
    return config;
  }

  /** compressed-tensors with one group of linear modules. */
  static QuantizationConfig compressedTensors(
      String format, ObjectNode weights, ObjectNode activationsOrNull) {
    return unquantized -> {
      ObjectNode config = JsonNodeFactory.instance.objectNode();
      config
          .put("quant_method", "compressed-tensors")
          .put("format", format)
          .put("quantization_status", "compressed");
      names(config.putArray("ignore"), unquantized);
      config.putNull("kv_cache_scheme");
      ObjectNode group = config.putObject("config_groups").putObject("group_0");
      group.putArray("targets").add("Linear");
      group.set("weights", weights);
      group.set("input_activations", activationsOrNull);
      group.putNull("output_activations");
      return config;
    };
  }

  /**
   * The arguments of a quantization.
   *
   * @param group values that share a scale, 0 where the strategy is none of groups
   */
  static ObjectNode arguments(int bits, String type, String strategy, int group, boolean dynamic) {
    ObjectNode arguments =
        JsonNodeFactory.instance
            .objectNode()
            .put("num_bits", bits)
            .put("type", type)
            .put("strategy", strategy)
            .put("symmetric", true)
            .put("dynamic", dynamic)
            .put("group_size", group == 0 ? null : group);
    return arguments
        .putNull("block_structure")
        .put("observer", dynamic ? null : "minmax")
        .putNull("actorder");
  }

  private static void names(ArrayNode array, List<String> names) {
    names.forEach(array::add);
  }
}

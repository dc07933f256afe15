package org.sparkmoe.datasets.checkpoint;

import java.util.List;
import java.util.Optional;
import org.sparkmoe.datasets.checkpoint.quant.PlainWeight;
import org.sparkmoe.datasets.safetensors.Quoted;

/**
 * Finds the weights of linear maps, quantized or not. What the tensors are decides; the
 * configuration has to agree where they are quantized.
 */
final class LinearPlanner {
  private static final List<String> WEIGHTS = List.of("weight", "weight_packed", "qweight");

  private final ModuleTensors tensors;
  private final Optional<ModelConfig> quantization;
  private QuantConfig configOrNull;

  /**
   * @param quantization what the checkpoint says of its quantization
   */
  LinearPlanner(ModuleTensors tensors, Optional<ModelConfig> quantization) {
    this.tensors = tensors;
    this.quantization = quantization;
  }

  /** Whether a linear map has a weight, in whatever form. */
  boolean has(String linear) {
    return WEIGHTS.stream().anyMatch(suffix -> tensors.has(linear + "." + suffix));
  }

  /**
   * The map called {@code linear}, which must be there.
   *
   * @param rows N
   * @param cols K
   */
  LinearPlan plan(String linear, int rows, int cols) {
    String weight =
        WEIGHTS.stream()
            .map(suffix -> linear + "." + suffix)
            .filter(tensors::has)
            .findFirst()
            .orElse(linear + ".weight");
    if (tensors.get(weight).dtype().kernelType().isPresent()) {
      return plain(weight, rows, cols);
    }
    LinearFormat format = format(linear, weight);
    LinearTensors own = new LinearTensors(tensors, linear, rows, cols);
    return new LinearPlan(format.weight(own), format.activation(), scale(format, own));
  }

  private LinearPlan plain(String tensor, int rows, int cols) {
    String name = tensors.take(tensor, new long[] {rows, cols});
    return new LinearPlan(
        new PlainWeight(name, 0, tensors.get(name).dtype().kernelType().orElseThrow(), rows, cols),
        ActivationRule.NONE,
        null);
  }

  /**
   * How the configuration says a linear map is quantized.
   *
   * @param linear its full name
   * @param tensor the quantized one, for messages
   */
  LinearFormat format(String linear, String tensor) {
    String what = "tensor %s (%s) is quantized".formatted(Quoted.of(tensor), dtype(tensor));
    if (quantization.isEmpty()) {
      throw tensors.bad(
          what
              + ", but config.json has no quantization_config; use the config.json that came with"
              + " the weights");
    }
    if (configOrNull == null) {
      configOrNull = QuantConfigs.of(quantization.get());
    }
    return configOrNull
        .of(linear)
        .orElseThrow(
            () ->
                tensors.bad(
                    "%s, but by quantization_config (%s) %s is not; config.json and weights must be of one model"
                        .formatted(what, configOrNull.label(), Quoted.of(linear))));
  }

  private String dtype(String tensor) {
    return tensors.get(tensor).dtype().name();
  }

  private TensorRef scale(LinearFormat format, LinearTensors own) {
    String suffix = format.activation().scaleSuffixOrNull();
    if (suffix == null) {
      return null;
    }
    LinearTensors holder =
        own.has(suffix) ? own : own.otherName().filter(other -> other.has(suffix)).orElse(own);
    holder.take(suffix, LinearTensors.FLOATS, new long[] {}, new long[] {1});
    return holder.get(suffix);
  }
}

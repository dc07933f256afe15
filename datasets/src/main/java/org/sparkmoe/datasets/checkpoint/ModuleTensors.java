package org.sparkmoe.datasets.checkpoint;

import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.regex.Pattern;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;

/**
 * The tensors of one mixture, handed out by name and checked as they are taken. What nobody took is
 * refused at the end: a tensor that is not understood may change the result.
 */
final class ModuleTensors {
  /**
   * Last words of names that only quantized weights have, see GPTQ, AWQ, compressed-tensors, FP8.
   */
  private static final Pattern QUANTIZED_NAME =
      Pattern.compile(
          ".*(scale|scales|scale_inv|scale_2|packed|qweight|qzeros|g_idx|zero_point|blocks"
              + "|weight_shape|absmax|quant_map|quant_state.*)");

  private final String where;
  private final ModelConfig config;
  private final Map<String, TensorRef> tensors;
  private final Set<String> taken = new HashSet<>();

  /**
   * @param where how messages name the layer
   * @param tensors by full name
   */
  ModuleTensors(String where, ModelConfig config, Map<String, TensorRef> tensors) {
    this.where = where;
    this.config = config;
    this.tensors = tensors;
  }

  boolean has(String name) {
    return tensors.containsKey(name);
  }

  Collection<String> names() {
    return tensors.keySet();
  }

  TensorRef get(String name) {
    TensorRef tensor = tensors.get(name);
    if (tensor == null) {
      throw bad("tensor %s is missing; download the whole checkpoint".formatted(Quoted.of(name)));
    }
    return tensor;
  }

  /** Takes a tensor that must be there, in any of the given shapes. */
  String take(String name, long[]... shapes) {
    TensorRef tensor = get(name);
    if (Arrays.stream(shapes).noneMatch(shape -> Arrays.equals(shape, tensor.shape()))) {
      throw bad(
          "tensor %s is %s, but the configuration asks for %s; config.json and weights must be of one model"
              .formatted(
                  Quoted.of(name),
                  Arrays.toString(tensor.shape()),
                  String.join(" or ", Arrays.stream(shapes).map(Arrays::toString).toList())));
    }
    taken.add(name);
    return name;
  }

  /** Which one of the names is there. */
  Optional<String> oneOf(String what, List<String> names) {
    List<String> present = names.stream().filter(this::has).toList();
    if (present.size() > 1) {
      throw bad("has several tensors for the %s: %s; only one can be".formatted(what, present));
    }
    return present.stream().findFirst();
  }

  /** Refuses quantized weights, by what the tensors are: configurations list exceptions. */
  void refuseQuantized() {
    for (TensorRef tensor : tensors.values()) {
      boolean named = QUANTIZED_NAME.matcher(tensor.name()).matches();
      if (named || tensor.dtype().kernelType().isEmpty()) {
        throw bad(
            "tensor %s (%s) is quantized (%s); quantized checkpoints are not supported in this version, use the model's bf16 weights"
                .formatted(
                    Quoted.of(tensor.name()),
                    tensor.dtype(),
                    config
                        .quantization()
                        .map(method -> "quantization_config: " + method)
                        .orElse("config.json has no quantization_config")));
      }
    }
  }

  void refuseLeftovers() {
    for (String name : names()) {
      if (!taken.contains(name)) {
        throw bad(
            "tensor %s has no part in a %s layer; this variant of the model is not supported"
                .formatted(Quoted.of(name), config.modelType()));
      }
    }
  }

  InputException bad(String what) {
    return new InputException(where + ": " + what);
  }
}

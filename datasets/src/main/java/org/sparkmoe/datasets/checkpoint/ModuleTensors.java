package org.sparkmoe.datasets.checkpoint;

import java.util.Arrays;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.safetensors.Quoted;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;

/**
 * The tensors of one mixture, handed out by name and checked as they are taken. What nobody took is
 * refused at the end: a tensor that is not understood may change the result.
 */
final class ModuleTensors {
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

  /** Takes a tensor of plain floats that must be there, in any of the given shapes. */
  String take(String name, long[]... shapes) {
    return take(name, LinearTensors.FLOATS, shapes);
  }

  /** Takes a tensor that must be there, of one of the types and shapes. Its name. */
  String take(String name, Set<SafetensorsDType> types, long[]... shapes) {
    TensorRef tensor = get(name);
    if (!types.contains(tensor.dtype())) {
      throw bad(
          "tensor %s is %s, supported here is %s%s"
              .formatted(
                  Quoted.of(name),
                  tensor.dtype(),
                  String.join(" or ", types.stream().map(Enum::name).sorted().toList()),
                  "; use a checkpoint in one of the formats that the documentation lists"));
    }
    if (Arrays.stream(shapes).noneMatch(shape -> Arrays.equals(shape, tensor.shape()))) {
      throw bad(
          "tensor %s is %s, but the configuration asks for %s; config.json and weights must be of one model"
              .formatted(
                  Quoted.of(name),
                  Arrays.toString(tensor.shape()),
                  String.join(" or ", Arrays.stream(shapes).map(Arrays::toString).toList())));
    }
    taken.add(name);
    return tensor.name();
  }

  /** Which one of the names is there. */
  Optional<String> oneOf(String what, List<String> names) {
    List<String> present = names.stream().filter(this::has).toList();
    if (present.size() > 1) {
      throw bad("has several tensors for the %s: %s; only one can be".formatted(what, present));
    }
    return present.stream().findFirst();
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

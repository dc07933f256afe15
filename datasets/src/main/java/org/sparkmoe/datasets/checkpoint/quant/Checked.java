package org.sparkmoe.datasets.checkpoint.quant;

import java.util.Optional;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/** Turns what makes a weight unusable into the user's error. */
final class Checked {
  private Checked() {}

  /** The weight, if it is usable. */
  static QuantizedMatrix usable(TensorBytes tensors, String tensor, QuantizedMatrix weight) {
    Optional<String> defect = weight.defect();
    if (defect.isPresent()) {
      throw bad(tensors, tensor, "has " + defect.get());
    }
    return weight;
  }

  static InputException bad(TensorBytes tensors, String tensor, String what) {
    return new InputException(
        "%s %s; fetch or quantize the checkpoint again".formatted(tensors.label(tensor), what));
  }
}

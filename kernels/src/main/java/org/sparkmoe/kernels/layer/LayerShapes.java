package org.sparkmoe.kernels.layer;

import java.util.Optional;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.tensor.Matrix;

/** Compares the tensors that are read at once with what the specification announces. */
final class LayerShapes {
  private LayerShapes() {}

  static void check(MoeLayerSpec spec, LayerWeights weights, Matrix router) {
    if (router.rows() != spec.experts() || router.cols() != spec.hidden()) {
      throw new IllegalArgumentException(
          "router is %d x %d, expected experts x hidden = %d x %d"
              .formatted(router.rows(), router.cols(), spec.experts(), spec.hidden()));
    }
    checkLength("router bias", weights.routerBias(), spec.experts());
    checkLength("selection bias", weights.selectionBias(), spec.experts());
    checkLength("output bias", weights.outputBias(), spec.hidden());
    checkLength("shared expert gate", weights.sharedGate(), spec.hidden());
    checkPresence(
        "shared expert gate",
        weights.sharedGate(),
        spec.shared().map(SharedExpertSpec::gated).orElse(false));
  }

  /** Checks one expert's projections; {@code name} names it in the message. */
  static ExpertWeights checkExpert(
      String name, ExpertWeights weights, int hidden, int intermediate) {
    if (weights.hidden() != hidden || weights.intermediate() != intermediate) {
      throw new IllegalArgumentException(
          "%s has hidden %d and intermediate %d, expected %d and %d"
              .formatted(name, weights.hidden(), weights.intermediate(), hidden, intermediate));
    }
    return weights;
  }

  private static void checkLength(String name, Optional<float[]> values, int expected) {
    if (values.isPresent() && values.get().length != expected) {
      throw new IllegalArgumentException(
          "%s has %d values, expected %d".formatted(name, values.get().length, expected));
    }
  }

  private static void checkPresence(String name, Optional<?> found, boolean expected) {
    if (found.isPresent() != expected) {
      throw new IllegalArgumentException(
          "the specification says %s %s, the weights have %s"
              .formatted(expected ? "a" : "no", name, found.isPresent() ? "one" : "none"));
    }
  }
}

package org.sparkmoe.kernels.layer;

import java.lang.foreign.Arena;
import java.util.Optional;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.router.Gating;
import org.sparkmoe.kernels.router.RouterWeights;
import org.sparkmoe.kernels.store.StoredExperts;
import org.sparkmoe.kernels.tensor.Matrix;

/** What every batch of a layer needs, packed at once and never evicted. */
record PinnedWeights(Gating gating, float[] outputBiasOrNull, Optional<SharedExpert> shared) {

  /** Reads and packs them into memory that lives as long as the layer's place in the store. */
  static PinnedWeights prepare(
      MoeLayerSpec spec,
      LayerWeights weights,
      ExpertKernel kernel,
      LayerCodecs codecs,
      StoredExperts place) {
    try (Arena staging = Arena.ofConfined()) {
      Matrix router = weights.router(staging);
      LayerShapes.check(spec, weights, router);
      RouterWeights routing =
          new RouterWeights(
              router, weights.routerBias().orElse(null), weights.selectionBias().orElse(null));
      long bytes = kernel.gatingBytes(spec.routing(), router.dtype(), router.rows(), router.cols());
      return new PinnedWeights(
          kernel.gating(spec.routing(), routing, place.pin(bytes)),
          weights.outputBias().orElse(null),
          spec.shared()
              .map(shared -> shared(shared, spec, weights, kernel, codecs, place, staging)));
    }
  }

  private static SharedExpert shared(
      SharedExpertSpec shared,
      MoeLayerSpec layer,
      LayerWeights weights,
      ExpertKernel kernel,
      LayerCodecs codecs,
      StoredExperts place,
      Arena staging) {
    ExpertWeights tensors =
        weights
            .sharedExpert(staging)
            .orElseThrow(
                () ->
                    new IllegalArgumentException(
                        "the specification says a shared expert, the weights have none"));
    LayerShapes.checkExpert("shared expert", tensors, layer.hidden(), shared.intermediate());
    Optional<Matrix> gate =
        shared.gated()
            ? Optional.of(Matrix.of(1, layer.hidden(), weights.sharedGate().orElseThrow()))
            : Optional.empty();
    return SharedExpert.prepare(
        tensors,
        gate,
        layer.activation(),
        kernel,
        codecs,
        place.pin(LayerMemory.sharedBytes(tensors, gate.isPresent(), kernel)));
  }
}

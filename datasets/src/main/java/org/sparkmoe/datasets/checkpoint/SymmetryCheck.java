package org.sparkmoe.datasets.checkpoint;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Optional;
import org.sparkmoe.datasets.checkpoint.quant.GptqWeight;
import org.sparkmoe.datasets.checkpoint.quant.StoredWeight;
import org.sparkmoe.datasets.safetensors.Quoted;

/**
 * Looks at the zero points of one GPTQ weight that the configuration calls symmetric, before
 * anything runs; executors look at all.
 *
 * @param weight the layer's first
 */
record SymmetryCheck(GptqWeight weight) {
  private static final int BYTES = 4096;

  /** The check of a layer, where there is something to check. */
  static Optional<SymmetryCheck> of(LayerPlan plan) {
    StoredWeight first =
        plan.experts() instanceof ExpertLayout.PerExpert experts
            ? experts.gates().getFirst()
            : null;
    return first instanceof GptqWeight weight && !weight.format().zeros()
        ? Optional.of(new SymmetryCheck(weight))
        : Optional.empty();
  }

  void check(SmallTensors small, ModuleTensors tensors) {
    byte[] bytes = small.first(tensors.get(weight.qzeros()), BYTES);
    ByteBuffer words = ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN);
    while (words.remaining() >= Integer.BYTES) {
      int word = words.getInt();
      if (!GptqWeight.isSymmetric(weight.format().codes().bits(), word)) {
        throw tensors.bad(
            "tensor %s holds zero points 0x%08x, but quantization_config says sym true; config.json and weights must be of one model"
                .formatted(Quoted.of(weight.qzeros()), word));
      }
    }
  }
}

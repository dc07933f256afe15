package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.util.List;
import org.sparkmoe.kernels.gemm.PanelMatrix;
import org.sparkmoe.kernels.gemm.VectorGemm;
import org.sparkmoe.kernels.quant.ActivationCodec;

/**
 * An expert whose projections are packed for {@link VectorGemm}; w1 and w3 read their inputs in one
 * order.
 */
record PackedExpert(
    PanelMatrix w1,
    PanelMatrix w3OrNull,
    PanelMatrix w2,
    float[] b1OrNull,
    float[] b3OrNull,
    float[] b2OrNull,
    Activation activation,
    ActivationCodec inner)
    implements PreparedExpert {

  static PackedExpert pack(
      ExpertWeights weights,
      Activation activation,
      ActivationCodec inner,
      VectorGemm gemm,
      Arena arena) {
    requireFit(weights, activation);
    List<PanelMatrix> in =
        weights
            .w3()
            .map(w3 -> gemm.packTogether(arena, weights.w1(), w3))
            .orElseGet(() -> gemm.packTogether(arena, weights.w1()));
    return new PackedExpert(
        in.getFirst(),
        in.size() > 1 ? in.getLast() : null,
        gemm.pack(weights.w2(), arena),
        weights.b1OrNull(),
        weights.b3OrNull(),
        weights.b2OrNull(),
        activation,
        inner);
  }

  /** Refuses a gated activation without w3, and the other way round. */
  static void requireFit(ExpertWeights weights, Activation activation) {
    if (activation.gated() != weights.w3().isPresent()) {
      throw new IllegalArgumentException(
          "activation %s and an expert %s w3 do not go together"
              .formatted(activation.kind(), activation.gated() ? "without" : "with"));
    }
  }

  @Override
  public int hidden() {
    return w1.cols();
  }

  @Override
  public int intermediate() {
    return w1.rows();
  }

  @Override
  public long computedRows(int rows) {
    return VectorExpertKernel.computedRows(this, rows);
  }

  @Override
  public long bytes() {
    return w1.bytes() + w2.bytes() + (w3OrNull == null ? 0 : w3OrNull.bytes());
  }
}

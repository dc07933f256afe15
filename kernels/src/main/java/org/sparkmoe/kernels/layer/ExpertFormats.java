package org.sparkmoe.kernels.layer;

import java.io.Serializable;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.tensor.WeightFormat;

/**
 * How the projections of an expert are stored.
 *
 * @param in of w1 and w3
 * @param down of w2
 */
public record ExpertFormats(WeightFormat in, WeightFormat down) implements Serializable {

  /** All projections alike. */
  public static ExpertFormats of(WeightFormat format) {
    return new ExpertFormats(format, format);
  }

  /** Of these weights; where w1 and w3 differ, the larger. */
  static ExpertFormats of(ExpertWeights weights) {
    WeightFormat gate = weights.w1().format();
    WeightFormat up = weights.w3().map(w3 -> w3.format()).orElse(gate);
    int rows = weights.intermediate();
    int cols = weights.hidden();
    boolean gateLarger = gate.bytes(rows, cols) >= up.bytes(rows, cols);
    return new ExpertFormats(gateLarger ? gate : up, weights.w2().format());
  }

  /** Bytes of an expert as stored. */
  long bytes(int hidden, int intermediate, boolean gated) {
    return (gated ? 2 : 1) * in.bytes(intermediate, hidden) + down.bytes(hidden, intermediate);
  }
}

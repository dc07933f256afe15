package org.sparkmoe.kernels.router;

import java.io.Serializable;

/** What is done to the k chosen weights before the scaling factor. */
public sealed interface Normalization extends Serializable {

  /** The scores stay as they are. */
  record None() implements Normalization {}

  /** Softmax over the k chosen scores (gpt-oss, Granite, JetMoE). */
  record Softmax() implements Normalization {}

  /** Sigmoid of each chosen score (Llama 4). */
  record Sigmoid() implements Normalization {}

  /**
   * {@code w / max(Σw + epsilon, floor)}.
   *
   * @param epsilon added to the sum; 1e-20 in DeepSeek-V3, 1e-6 in LFM2, 0 where the family has
   *     none
   * @param floor smallest divisor; 1e-12 in Ernie 4.5, 0 where the family has none
   */
  record Sum(double epsilon, double floor) implements Normalization {
    public static final Sum PLAIN = new Sum(0, 0);
  }

  /** {@code w / (Σ|w|^p)^(1/p)} (DBRX). */
  record Lp(double p) implements Normalization {
    public Lp {
      if (!(p > 0)) {
        throw new IllegalArgumentException("Lp normalization needs p > 0, not " + p);
      }
    }
  }

  Normalization NONE = new None();
}

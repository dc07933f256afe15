package org.sparkmoe.kernels.bench;

import java.util.Locale;

/** How tokens spread over experts. Made by a bias on the router's logits, which all peers share. */
public enum RoutingKind {
  /** All experts alike, up to chance. */
  UNIFORM {
    @Override
    float bias(int expert) {
      return 0;
    }
  },
  /** The popularity of an expert falls with its rank about as 1 / rank. */
  ZIPF {
    @Override
    float bias(int expert) {
      return (float) -Math.log(expert + 1.0);
    }
  },
  /** Every token goes to expert 0; its other slots are spread evenly. */
  ONE_HOT {
    @Override
    float bias(int expert) {
      return expert == 0 ? 6 : 0;
    }
  };

  /** Added to the logits of {@code expert}, which have variance 1. */
  abstract float bias(int expert);

  /** The name in options. */
  public String option() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }

  public float[] biases(int experts) {
    float[] biases = new float[experts];
    for (int expert = 0; expert < experts; expert++) {
      biases[expert] = bias(expert);
    }
    return biases;
  }
}

package org.sparkmoe.kernels.router;

/** Score, select, weigh: see {@link TopKRule}. */
final class TopKRouter extends Router {
  private final TopKRule rule;

  TopKRouter(TopKRule rule, int experts) {
    super(experts, rule.topK());
    this.rule = rule;
  }

  @Override
  void routeRows(
      int tokens, float[] logits, float[] bias, int[] topkIds, float[] topkWeights, int to) {
    int experts = experts();
    int topK = topK();
    double[] scores = new double[experts];
    double[] choice = bias == null ? scores : new double[experts];
    Selection selection = new Selection(experts, topK, rule.groupsOrNull());
    double[] weights = new double[topK];
    for (int token = 0; token < tokens; token++) {
      score(logits, token * experts, scores);
      if (bias != null) {
        for (int e = 0; e < experts; e++) {
          choice[e] = scores[e] + bias[e];
        }
      }
      int[] chosen = selection.select(choice);
      for (int slot = 0; slot < topK; slot++) {
        weights[slot] = scores[chosen[slot]];
      }
      normalize(weights);
      int out = to + token * topK;
      for (int slot = 0; slot < topK; slot++) {
        topkIds[out + slot] = chosen[slot];
        topkWeights[out + slot] = (float) (weights[slot] * rule.scalingFactor());
      }
    }
  }

  private void score(float[] logits, int offset, double[] scores) {
    for (int e = 0; e < scores.length; e++) {
      scores[e] = logits[offset + e];
    }
    switch (rule.scoring()) {
      case SOFTMAX -> softmax(scores);
      case SIGMOID -> sigmoid(scores);
      case LOGITS -> {}
    }
  }

  private void normalize(double[] weights) {
    switch (rule.normalization()) {
      case Normalization.None none -> {}
      case Normalization.Softmax softmax -> softmax(weights);
      case Normalization.Sigmoid sigmoid -> sigmoid(weights);
      case Normalization.Sum sum -> {
        // In slot order, as the GPU adds them.
        double total = 0;
        for (double weight : weights) {
          total += weight;
        }
        divide(weights, Math.max(total + sum.epsilon(), sum.floor()));
      }
      case Normalization.Lp lp -> {
        double total = 0;
        for (double weight : weights) {
          total += Math.pow(Math.abs(weight), lp.p());
        }
        divide(weights, Math.pow(total, 1 / lp.p()));
      }
    }
  }

  /** A zero divisor means that every weight underflowed to zero; they stay zero. */
  private static void divide(double[] weights, double divisor) {
    if (divisor == 0) {
      return;
    }
    for (int slot = 0; slot < weights.length; slot++) {
      weights[slot] /= divisor;
    }
  }

  private static void sigmoid(double[] values) {
    for (int i = 0; i < values.length; i++) {
      values[i] = 1 / (1 + Math.exp(-values[i]));
    }
  }

  static void softmax(double[] values) {
    double max = Double.NEGATIVE_INFINITY;
    for (double value : values) {
      max = Math.max(max, value);
    }
    double sum = 0;
    for (int i = 0; i < values.length; i++) {
      values[i] = Math.exp(values[i] - max);
      sum += values[i];
    }
    for (int i = 0; i < values.length; i++) {
      values[i] /= sum;
    }
  }
}

package org.sparkmoe.kernels.router;

/** Two rounds of threshold, softmax, maximum: see {@link SparseMixerRule}. */
final class SparseMixerRouter extends Router {
  private final double threshold;

  SparseMixerRouter(SparseMixerRule rule, int experts) {
    super(experts, rule.topK());
    this.threshold = 2.0 * rule.jitter();
  }

  @Override
  void routeRows(
      int tokens, float[] logits, float[] bias, int[] topkIds, float[] topkWeights, int to) {
    double[] choice = new double[experts()];
    double[] kept = new double[experts()];
    for (int token = 0; token < tokens; token++) {
      int row = token * experts();
      for (int e = 0; e < choice.length; e++) {
        float score = logits[row + e] + (bias == null ? 0 : bias[e]);
        choice[e] = Float.isNaN(score) ? Double.NEGATIVE_INFINITY : score;
      }
      int out = to + 2 * token;
      int first = round(choice, -1, kept);
      topkIds[out] = first;
      topkWeights[out] = (float) kept[first];
      int second = round(choice, first, kept);
      topkIds[out + 1] = second;
      topkWeights[out + 1] = (float) kept[second];
    }
  }

  /**
   * Returns the winner among all but {@code excluded}; {@code kept} receives the softmax of the
   * survivors.
   */
  private int round(double[] scores, int excluded, double[] kept) {
    int winner = -1;
    for (int e = 0; e < scores.length; e++) {
      if (e != excluded && (winner < 0 || scores[e] > scores[winner])) {
        winner = e;
      }
    }
    double max = scores[winner];
    for (int e = 0; e < scores.length; e++) {
      double relativeGap = (max - scores[e]) / Math.max(Math.abs(scores[e]), max);
      boolean dropped = e == excluded || relativeGap > threshold;
      kept[e] = dropped ? Double.NEGATIVE_INFINITY : scores[e];
    }
    TopKRouter.softmax(kept);
    return winner;
  }
}

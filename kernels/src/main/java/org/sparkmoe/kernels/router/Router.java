package org.sparkmoe.kernels.router;

/**
 * Applies a {@link RoutingRule} to a batch of logits. Immutable and thread-safe.
 *
 * <p>A NaN logit is never preferred to a number; a row of NaNs gets the lowest ids and NaN weights,
 * so ids are valid whatever the input.
 */
public abstract sealed class Router permits TopKRouter, SparseMixerRouter {
  private final int experts;
  private final int topK;

  Router(int experts, int topK) {
    if (topK > experts) {
      throw new IllegalArgumentException("top " + topK + " of only " + experts + " experts");
    }
    this.experts = experts;
    this.topK = topK;
  }

  /** The router of {@code rule} over {@code experts} experts. */
  public static Router of(RoutingRule rule, int experts) {
    return switch (rule) {
      case TopKRule topK -> new TopKRouter(topK, experts);
      case SparseMixerRule sparseMixer -> new SparseMixerRouter(sparseMixer, experts);
    };
  }

  public final int experts() {
    return experts;
  }

  public final int topK() {
    return topK;
  }

  /**
   * Routes {@code tokens} rows.
   *
   * @param logits tokens × experts, row-major
   * @param selectionBiasOrNull one value per expert, added to the scores for the choice only; null
   *     for none
   * @param topkIds receives tokens × topK expert ids, best first
   * @param topkWeights receives tokens × topK weights, scaling factor included
   */
  public final void route(
      int tokens, float[] logits, float[] selectionBiasOrNull, int[] topkIds, float[] topkWeights) {
    route(tokens, logits, selectionBiasOrNull, topkIds, topkWeights, 0);
  }

  /**
   * As above, for rows in the middle of a batch.
   *
   * @param firstToken the place of the first of these tokens in {@code topkIds} and {@code
   *     topkWeights}
   */
  public final void route(
      int tokens,
      float[] logits,
      float[] selectionBiasOrNull,
      int[] topkIds,
      float[] topkWeights,
      int firstToken) {
    long end = (long) firstToken + tokens;
    requireLength("logits", logits.length, (long) tokens * experts);
    requireLength("topkIds", topkIds.length, end * topK);
    requireLength("topkWeights", topkWeights.length, end * topK);
    if (selectionBiasOrNull != null && selectionBiasOrNull.length != experts) {
      throw new IllegalArgumentException(
          "selection bias has %d values for %d experts"
              .formatted(selectionBiasOrNull.length, experts));
    }
    routeRows(tokens, logits, selectionBiasOrNull, topkIds, topkWeights, firstToken * topK);
  }

  /** Writes results from {@code to}. */
  abstract void routeRows(
      int tokens,
      float[] logits,
      float[] selectionBiasOrNull,
      int[] topkIds,
      float[] topkWeights,
      int to);

  private static void requireLength(String name, int length, long needed) {
    if (length < needed) {
      throw new IllegalArgumentException(
          "%s has room for %d values, %d needed".formatted(name, length, needed));
    }
  }
}

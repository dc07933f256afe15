package org.sparkmoe.kernels.permute;

import java.util.Arrays;

/**
 * The assignments of a batch of tokens to experts, token after token. Ragged, because a lane keeps
 * only its own slots of a token, and has a token once for each of its partials.
 *
 * @param tokens number of tokens
 * @param offsets token t owns the assignments offsets[t] to offsets[t + 1] − 1; tokens + 1 values,
 *     ascending from 0
 * @param expertIds global expert id per assignment; −1 where the slot is served elsewhere
 * @param weights {@code topk_weights} per assignment
 */
public record TokenRoutes(int tokens, int[] offsets, int[] expertIds, float[] weights) {

  public TokenRoutes {
    if (offsets.length != tokens + 1 || offsets[0] != 0) {
      throw new IllegalArgumentException(
          "%d tokens need %d offsets from 0, got %d".formatted(tokens, tokens + 1, offsets.length));
    }
    for (int token = 0; token < tokens; token++) {
      if (offsets[token + 1] < offsets[token]) {
        throw new IllegalArgumentException("offsets descend at token " + token);
      }
    }
    if (expertIds.length != offsets[tokens] || weights.length != offsets[tokens]) {
      throw new IllegalArgumentException(
          "offsets announce %d assignments, got %d expert ids and %d weights"
              .formatted(offsets[tokens], expertIds.length, weights.length));
    }
  }

  /**
   * Every token has k slots.
   *
   * @param expertIds tokens × k
   * @param weights tokens × k
   */
  public static TokenRoutes uniform(int tokens, int k, int[] expertIds, float[] weights) {
    int[] offsets = new int[tokens + 1];
    Arrays.setAll(offsets, token -> Math.multiplyExact(token, k));
    return new TokenRoutes(tokens, offsets, expertIds, weights);
  }

  /** Assignments of all tokens together. */
  public int assignments() {
    return expertIds.length;
  }

  /** Tokens {@code from} to {@code to} − 1, numbered from 0. */
  public TokenRoutes slice(int from, int to) {
    if (from == 0 && to == tokens) {
      return this;
    }
    int first = offsets[from];
    int last = offsets[to];
    int[] shifted = new int[to - from + 1];
    Arrays.setAll(shifted, token -> offsets[from + token] - first);
    return new TokenRoutes(
        to - from,
        shifted,
        Arrays.copyOfRange(expertIds, first, last),
        Arrays.copyOfRange(weights, first, last));
  }

  /** The same assignments with weight 1: what is left once the weights multiply the input. */
  public TokenRoutes withUnitWeights() {
    float[] ones = new float[weights.length];
    Arrays.fill(ones, 1);
    return new TokenRoutes(tokens, offsets, expertIds, ones);
  }
}

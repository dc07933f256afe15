package org.sparkmoe.kernels.router;

import java.io.Serializable;

/**
 * Restricts the choice to the best groups of experts (DeepSeek). Experts are split into {@code
 * groups} equal, contiguous groups; only those of the {@code kept} best groups can be chosen.
 *
 * @param groups number of groups, divides the number of experts
 * @param kept groups that stay, ties to the lower group
 * @param score how a group is judged
 */
public record GroupLimit(int groups, int kept, Score score) implements Serializable {

  /** A group's score from the (biased) scores of its experts. */
  public enum Score {
    /** The best expert (DeepSeek-V2, {@code group_limited_greedy}). */
    MAX,
    /** The sum of the two best experts (DeepSeek-V3, {@code noaux_tc}). */
    TOP2_SUM
  }

  public GroupLimit {
    if (groups < 1 || kept < 1 || kept > groups) {
      throw new IllegalArgumentException(
          "cannot keep " + kept + " of " + groups + " expert groups");
    }
  }
}

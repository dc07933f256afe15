package org.sparkmoe.kernels.router;

import java.util.Arrays;

/**
 * The top k of one row of scores, best first, ties to the lower id, within the groups that a {@link
 * GroupLimit} keeps. Holds scratch for one row: use from one thread.
 */
final class Selection {
  private final GroupLimit groupsOrNull;
  private final int groupSize;
  private final int[] chosen;
  private final double[] chosenScores;
  private final int[] keptGroups;
  private final double[] keptScores;

  Selection(int experts, int topK, GroupLimit groupsOrNull) {
    this.groupsOrNull = groupsOrNull;
    this.groupSize = groupsOrNull == null ? experts : experts / groupsOrNull.groups();
    this.chosen = new int[topK];
    this.chosenScores = new double[topK];
    this.keptGroups = new int[groupsOrNull == null ? 1 : groupsOrNull.kept()];
    this.keptScores = new double[keptGroups.length];
  }

  /** Returns the chosen ids, best first; the array is reused by the next call. */
  int[] select(double[] scores) {
    int found = 0;
    if (groupsOrNull == null) {
      for (int e = 0; e < scores.length; e++) {
        found = offer(chosen, chosenScores, found, e, scores[e]);
      }
    } else {
      chooseGroups(scores);
      // Ascending groups visit experts in ascending id, which is what makes ties go to the lower
      // id.
      Arrays.sort(keptGroups);
      for (int group : keptGroups) {
        for (int e = group * groupSize; e < (group + 1) * groupSize; e++) {
          found = offer(chosen, chosenScores, found, e, scores[e]);
        }
      }
    }
    return chosen;
  }

  private void chooseGroups(double[] scores) {
    int found = 0;
    for (int group = 0; group < groupsOrNull.groups(); group++) {
      found = offer(keptGroups, keptScores, found, group, groupScore(scores, group * groupSize));
    }
  }

  private double groupScore(double[] scores, int from) {
    double best = Double.NEGATIVE_INFINITY;
    double second = Double.NEGATIVE_INFINITY;
    for (int e = from; e < from + groupSize; e++) {
      double score = scores[e];
      if (score > best) {
        second = best;
        best = score;
      } else if (score > second) {
        second = score;
      }
    }
    return switch (groupsOrNull.score()) {
      case MAX -> best;
      case TOP2_SUM -> groupSize == 1 ? best : best + second;
    };
  }

  /**
   * Keeps {@code ids} the best so far in descending order. Candidates come in ascending id, so an
   * equal score goes behind those already there.
   */
  private static int offer(int[] ids, double[] scores, int found, int id, double candidate) {
    double score = Double.isNaN(candidate) ? Double.NEGATIVE_INFINITY : candidate;
    if (found == ids.length && !(score > scores[found - 1])) {
      return found;
    }
    int slot = found < ids.length ? found : found - 1;
    while (slot > 0 && score > scores[slot - 1]) {
      ids[slot] = ids[slot - 1];
      scores[slot] = scores[slot - 1];
      slot--;
    }
    ids[slot] = id;
    scores[slot] = score;
    return Math.min(found + 1, ids.length);
  }
}

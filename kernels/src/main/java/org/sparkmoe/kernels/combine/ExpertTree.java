package org.sparkmoe.kernels.combine;

/**
 * The order in which a token's slots are summed: that of the binary tree over expert ids. Ids that
 * differ in their last bit alone meet first, then those that differ in the last two, and so on; the
 * lower ids stand on the left of each sum. Where one side was not chosen, the other is the sum.
 *
 * <p>So a sum over the chosen experts of a subtree is the same whoever makes it, and lanes that
 * hold whole subtrees send one vector for each. A sum in the order of slots has no such parts.
 *
 * <p>This class follows experts that go by in ascending order, and says which sums are complete.
 */
public final class ExpertTree {
  /** In place of an expert after the last. */
  public static final int END = -1;

  /** Levels at which sums wait for what comes, a bit each; the newest sum waits at the lowest. */
  private long waiting;

  /** Starts a token. */
  public void clear() {
    waiting = 0;
  }

  /**
   * Goes past an expert.
   *
   * @param expert ≥ 0, not below the one before
   * @param next the expert after it, or {@link #END}
   * @return how many of the waiting sums, the newest first, have all that stands on their right
   *     now: the expert is added to the newest, the result to the one before, and so on. What comes
   *     of it, or the expert itself, waits in turn
   */
  public int pass(int expert, int next) {
    long complete = next == END ? -1 : (2L << level(expert, next)) - 1;
    int met = Long.bitCount(waiting & complete);
    waiting &= ~complete;
    if (next != END) {
      waiting |= 1L << level(expert, next);
    }
    return met;
  }

  /** Low bits without which two ids are equal. An expert that is there twice is its neighbour. */
  private static int level(int left, int right) {
    return Math.max(1, Integer.SIZE - Integer.numberOfLeadingZeros(left ^ right));
  }
}

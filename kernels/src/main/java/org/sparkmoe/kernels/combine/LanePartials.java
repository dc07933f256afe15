package org.sparkmoe.kernels.combine;

/**
 * What lanes can sum of a token before it is combined, without changing a bit: the slots of a
 * subtree of {@link ExpertTree} are one <em>partial</em> where all of them are on one lane. One
 * thread at a time.
 */
public final class LanePartials {
  /** The lane of a subtree whose slots are on several. */
  private static final int SEVERAL = -1;

  private final ExpertTree tree = new ExpertTree();
  private final int[] order;
  private final boolean[] starts;

  /** Of subtrees that wait for their other side: its lane, its first slot by expert. */
  private final int[] lanes;

  private final int[] firsts;

  /** For tokens of {@code topK} slots. */
  public LanePartials(int topK) {
    this.order = new int[topK];
    this.starts = new boolean[topK];
    this.lanes = new int[topK];
    this.firsts = new int[topK];
  }

  /**
   * Takes a token.
   *
   * @param ids experts of its slots, from {@code from}
   * @param laneOfSlot lanes that compute them, ≥ 0
   */
  public void take(int[] ids, int from, int[] laneOfSlot) {
    sort(ids, from);
    tree.clear();
    int open = 0;
    for (int i = 0; i < order.length; i++) {
      int next = i + 1 < order.length ? ids[from + order[i + 1]] : ExpertTree.END;
      int lane = laneOfSlot[order[i]];
      int first = i;
      starts[i] = true;
      for (int met = tree.pass(ids[from + order[i]], next); met > 0; met--) {
        open--;
        if (lanes[open] == lane && lane != SEVERAL) {
          starts[first] = false;
        } else {
          lane = SEVERAL;
        }
        first = firsts[open];
      }
      lanes[open] = lane;
      firsts[open++] = first;
    }
  }

  /** The slot that is number {@code i} by ascending expert. */
  public int slot(int i) {
    return order[i];
  }

  /** Whether {@link #slot} {@code i} begins a partial; the others belong to their lane's last. */
  public boolean starts(int i) {
    return starts[i];
  }

  /** By insertion: slots are few. */
  private void sort(int[] ids, int from) {
    for (int slot = 0; slot < order.length; slot++) {
      int at = slot;
      for (; at > 0 && ids[from + order[at - 1]] > ids[from + slot]; at--) {
        order[at] = order[at - 1];
      }
      order[at] = slot;
    }
  }
}

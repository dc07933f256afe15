package org.sparkmoe.kernels.permute;

import java.util.Arrays;

/**
 * The experts that live on one lane: global expert id to local index. Everything else (experts of
 * other lanes, −1, ids out of range) is remote.
 */
public final class ExpertMap {
  /** What {@link #local} gives for an expert that does not live here. */
  public static final int REMOTE = -1;

  private final int[] localOf;
  private final int[] globalOf;

  private ExpertMap(int[] localOf, int[] globalOf) {
    this.localOf = localOf;
    this.globalOf = globalOf;
  }

  /** Every one of {@code experts} experts is here; local and global ids are equal. */
  public static ExpertMap all(int experts) {
    int[] ids = new int[experts];
    Arrays.setAll(ids, id -> id);
    return new ExpertMap(ids, ids);
  }

  /**
   * The map of a lane.
   *
   * @param experts E, of the whole layer
   * @param localExperts global ids of the experts here, in local order
   * @throws IllegalArgumentException for an id outside 0…E−1 or given twice
   */
  public static ExpertMap of(int experts, int[] localExperts) {
    int[] localOf = new int[experts];
    Arrays.fill(localOf, REMOTE);
    for (int local = 0; local < localExperts.length; local++) {
      int global = localExperts[local];
      if (global < 0 || global >= experts) {
        throw new IllegalArgumentException(
            "expert %d is not one of 0 to %d".formatted(global, experts - 1));
      }
      if (localOf[global] != REMOTE) {
        throw new IllegalArgumentException("expert " + global + " is given twice");
      }
      localOf[global] = local;
    }
    return new ExpertMap(localOf, localExperts.clone());
  }

  /** Local index of expert {@code global}, or {@link #REMOTE}; any integer may be asked. */
  public int local(int global) {
    return global >= 0 && global < localOf.length ? localOf[global] : REMOTE;
  }

  /** Global id of the expert with index {@code local}, 0 ≤ local &lt; {@link #localExperts()}. */
  public int global(int local) {
    return globalOf[local];
  }

  /** Experts here. */
  public int localExperts() {
    return globalOf.length;
  }

  /** Experts of the whole layer. */
  public int experts() {
    return localOf.length;
  }
}

package org.sparkmoe.kernels.permute;

import java.io.Serializable;
import java.util.Arrays;
import java.util.stream.IntStream;

/** Which lane owns which expert. A value: every executor derives the same maps from it. */
public final class ExpertPlacement implements Serializable {
  private static final long serialVersionUID = 1;

  private final int lanes;
  private final int[] laneOf;

  private ExpertPlacement(int lanes, int[] laneOf) {
    this.lanes = lanes;
    this.laneOf = laneOf;
  }

  /**
   * Contiguous ranges of experts; where they do not divide evenly, the first lanes own one more.
   */
  public static ExpertPlacement linear(int experts, int lanes) {
    check(experts, lanes);
    int share = experts / lanes;
    int larger = experts % lanes;
    int[] laneOf = new int[experts];
    int expert = 0;
    for (int lane = 0; lane < lanes; lane++) {
      int end = expert + share + (lane < larger ? 1 : 0);
      Arrays.fill(laneOf, expert, end, lane);
      expert = end;
    }
    return new ExpertPlacement(lanes, laneOf);
  }

  /** Expert e on lane {@code e mod lanes}. */
  public static ExpertPlacement roundRobin(int experts, int lanes) {
    check(experts, lanes);
    return new ExpertPlacement(
        lanes, IntStream.range(0, experts).map(expert -> expert % lanes).toArray());
  }

  public int lanes() {
    return lanes;
  }

  public int experts() {
    return laneOf.length;
  }

  /** The lane that owns {@code expert}, 0 ≤ expert &lt; {@link #experts()}. */
  public int laneOf(int expert) {
    return laneOf[expert];
  }

  /** The experts of {@code lane}, by ascending id; a lane may own none. */
  public ExpertMap map(int lane) {
    if (lane < 0 || lane >= lanes) {
      throw new IllegalArgumentException("lane %d of %d".formatted(lane, lanes));
    }
    int[] local =
        IntStream.range(0, laneOf.length).filter(expert -> laneOf[expert] == lane).toArray();
    return ExpertMap.of(laneOf.length, local);
  }

  private static void check(int experts, int lanes) {
    if (experts < 1 || lanes < 1) {
      throw new IllegalArgumentException(
          "%d experts on %d lanes: both must be at least 1".formatted(experts, lanes));
    }
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof ExpertPlacement that
        && lanes == that.lanes
        && Arrays.equals(laneOf, that.laneOf);
  }

  @Override
  public int hashCode() {
    return 31 * lanes + Arrays.hashCode(laneOf);
  }

  @Override
  public String toString() {
    return "ExpertPlacement[lanes=" + lanes + ", laneOf=" + Arrays.toString(laneOf) + "]";
  }
}

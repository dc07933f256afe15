package org.sparkmoe.kernels.permute;

import java.io.Serializable;
import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Which lanes hold which expert: one, or several that share its tokens. A value: every executor
 * derives the same maps from it.
 */
public final class ExpertPlacement implements Serializable {
  private static final long serialVersionUID = 1;

  /** An odd constant with well mixed bits, the golden ratio's fraction. */
  private static final long MIX = 0x9E3779B97F4A7C15L;

  private final int lanes;

  /** By expert, ascending. */
  private final int[][] lanesOf;

  private ExpertPlacement(int lanes, int[][] lanesOf) {
    this.lanes = lanes;
    this.lanesOf = lanesOf;
  }

  /**
   * A placement.
   *
   * @param lanesOf by expert, the lanes that hold it: at least one, ascending, none twice
   */
  public static ExpertPlacement of(int lanes, int[][] lanesOf) {
    check(lanesOf.length, lanes);
    for (int expert = 0; expert < lanesOf.length; expert++) {
      int before = -1;
      for (int lane : lanesOf[expert]) {
        if (lane <= before || lane >= lanes) {
          throw new IllegalArgumentException(
              "expert %d is on lanes %s of %d; they must ascend"
                  .formatted(expert, Arrays.toString(lanesOf[expert]), lanes));
        }
        before = lane;
      }
      if (before < 0) {
        throw new IllegalArgumentException("expert %d is on no lane".formatted(expert));
      }
    }
    return new ExpertPlacement(
        lanes, Arrays.stream(lanesOf).map(int[]::clone).toArray(int[][]::new));
  }

  /**
   * Contiguous ranges of experts; where they do not divide evenly, the first lanes own one more.
   */
  public static ExpertPlacement linear(int experts, int lanes) {
    check(experts, lanes);
    int share = experts / lanes;
    int larger = experts % lanes;
    int[][] lanesOf = new int[experts][];
    int expert = 0;
    for (int lane = 0; lane < lanes; lane++) {
      int end = expert + share + (lane < larger ? 1 : 0);
      for (; expert < end; expert++) {
        lanesOf[expert] = new int[] {lane};
      }
    }
    return new ExpertPlacement(lanes, lanesOf);
  }

  /** Expert e on lane {@code e mod lanes}. */
  public static ExpertPlacement roundRobin(int experts, int lanes) {
    check(experts, lanes);
    return new ExpertPlacement(
        lanes,
        IntStream.range(0, experts)
            .mapToObj(expert -> new int[] {expert % lanes})
            .toArray(int[][]::new));
  }

  public int lanes() {
    return lanes;
  }

  public int experts() {
    return lanesOf.length;
  }

  /**
   * The lane that computes {@code expert} for a token. Lanes that share an expert get equal parts
   * of its tokens; the part of a token depends on its id alone, so not on how the input is split.
   *
   * @param expert 0 ≤ expert &lt; {@link #experts()}
   */
  public int laneOf(int expert, long tokenId) {
    int[] all = lanesOf[expert];
    if (all.length == 1) {
      return all[0];
    }
    // Ids are often consecutive, and experts must not all split them alike.
    long mixed = (tokenId + expert * MIX) * MIX;
    return all[(int) Long.remainderUnsigned(((mixed ^ (mixed >>> 32)) * MIX) >>> 16, all.length)];
  }

  /** The lanes that hold {@code expert}, ascending. */
  public int[] lanesOf(int expert) {
    return lanesOf[expert].clone();
  }

  /** Experts that several lanes hold. */
  public int sharedExperts() {
    return (int) Arrays.stream(lanesOf).filter(all -> all.length > 1).count();
  }

  /** The experts of {@code lane}, by ascending id; a lane may own none. */
  public ExpertMap map(int lane) {
    if (lane < 0 || lane >= lanes) {
      throw new IllegalArgumentException("lane %d of %d".formatted(lane, lanes));
    }
    int[] local =
        IntStream.range(0, lanesOf.length)
            .filter(expert -> Arrays.binarySearch(lanesOf[expert], lane) >= 0)
            .toArray();
    return ExpertMap.of(lanesOf.length, local);
  }

  /**
   * The load of the busiest lane over the mean of all, 1 where all are equal or there is no load.
   *
   * @param loads of the experts, divided evenly between the lanes that share one
   */
  public double imbalance(long[] loads) {
    double total = 0;
    for (long load : loads) {
      total += load;
    }
    double busiest = Arrays.stream(laneLoads(loads)).max().orElseThrow();
    return total == 0 ? 1 : busiest / (total / lanes);
  }

  /**
   * The load of each lane.
   *
   * @param loads of the experts, divided evenly between the lanes that share one
   */
  public double[] laneLoads(long[] loads) {
    double[] lane = new double[lanes];
    for (int expert = 0; expert < lanesOf.length; expert++) {
      for (int at : lanesOf[expert]) {
        lane[at] += (double) loads[expert] / lanesOf[expert].length;
      }
    }
    return lane;
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
        && Arrays.deepEquals(lanesOf, that.lanesOf);
  }

  @Override
  public int hashCode() {
    return 31 * lanes + Arrays.deepHashCode(lanesOf);
  }

  @Override
  public String toString() {
    return "ExpertPlacement[lanes=" + lanes + ", lanesOf=" + Arrays.deepToString(lanesOf) + "]";
  }
}

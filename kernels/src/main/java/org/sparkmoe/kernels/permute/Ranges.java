package org.sparkmoe.kernels.permute;

import java.util.Arrays;

/** Contiguous ranges of experts for lanes, none of them empty while there are experts. */
final class Ranges {
  private Ranges() {}

  /** Those whose largest load is the smallest. */
  static ExpertPlacement even(long[] loads, int lanes) {
    long low = Arrays.stream(loads).max().orElse(0);
    long high = Arrays.stream(loads).sum();
    while (low < high) {
      long middle = (low + high) >>> 1;
      if (filled(loads, lanes, middle) == null) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    int[] lane = filled(loads, lanes, low);
    int[][] lanesOf = new int[loads.length][];
    for (int expert = 0; expert < loads.length; expert++) {
      lanesOf[expert] = new int[] {lane[expert]};
    }
    return ExpertPlacement.of(lanes, lanesOf);
  }

  /** The lane of each expert with no more than {@code most} in a lane, or null. */
  private static int[] filled(long[] loads, int lanes, long most) {
    int[] laneOf = new int[loads.length];
    int lane = 0;
    long filled = 0;
    for (int expert = 0; expert < loads.length; expert++) {
      boolean othersNeedOne = expert > 0 && loads.length - expert <= lanes - 1 - lane;
      if (filled + loads[expert] > most || othersNeedOne) {
        lane++;
        filled = 0;
      }
      if (lane == lanes) {
        return null;
      }
      laneOf[expert] = lane;
      filled += loads[expert];
    }
    return laneOf;
  }
}

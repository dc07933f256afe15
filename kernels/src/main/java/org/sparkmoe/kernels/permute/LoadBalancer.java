package org.sparkmoe.kernels.permute;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.PriorityQueue;
import java.util.stream.IntStream;

/**
 * Puts experts on lanes by their loads.
 *
 * <p>Contiguous ranges come first where some are nearly even, equal ones before others: lanes with
 * whole {@linkplain org.sparkmoe.kernels.combine.ExpertTree subtrees} of experts send fewer
 * vectors.
 *
 * <p>Else hot experts get more lanes first, as in expert-parallel load balancing (EPLB): the next
 * copy always goes to the expert with the largest load per copy. Then copies are packed longest
 * first, each on the lane with the least load so far.
 *
 * <p>Copies are added only until the lanes are even; each costs the memory of an expert. Ties go to
 * the lower expert and the lower lane, so equal loads give equal placements.
 */
public final class LoadBalancer {
  /** Lanes this even are not worth another copy. */
  private static final double EVEN = 1.03;

  /** Ranges this even are worth the wait for the busiest lane. */
  private static final double EVEN_RANGES = 1.05;

  /** Experts of a lane with ranges, over those of equal ones: they have to fit where it runs. */
  private static final double MOST_EXPERTS = 1.5;

  /**
   * What holding an expert weighs beside its tokens, as a part of the mean load: experts without
   * tokens still spread.
   */
  private static final double PRESENCE = 1e-3;

  private LoadBalancer() {}

  /** One copy of an expert. */
  private record Copy(int expert, double load) {
    static final Comparator<Copy> LONGEST_FIRST =
        Comparator.comparingDouble(Copy::load).reversed().thenComparingInt(Copy::expert);
  }

  /** A lane while it is filled. */
  private static final class Lane {
    static final Comparator<Lane> LEAST_FIRST =
        Comparator.<Lane>comparingDouble(lane -> lane.load).thenComparingInt(lane -> lane.number);

    final int number;
    double load;

    Lane(int number) {
      this.number = number;
    }
  }

  /**
   * Ranges that are nearly even, else the most even placement found.
   *
   * @param loads by expert, for example tokens
   * @param redundant copies beyond one per expert, at most
   */
  public static ExpertPlacement balance(long[] loads, int lanes, int redundant) {
    if (redundant < 0) {
      throw new IllegalArgumentException(
          "%d redundant experts: must be at least 0".formatted(redundant));
    }
    for (ExpertPlacement ranges :
        List.of(ExpertPlacement.linear(loads.length, lanes), Ranges.even(loads, lanes))) {
      if (ranges.imbalance(loads) <= EVEN_RANGES
          && mostExperts(ranges) <= MOST_EXPERTS * Math.ceilDiv(loads.length, lanes)) {
        return ranges;
      }
    }
    int[] copies = new int[loads.length];
    Arrays.fill(copies, 1);
    ExpertPlacement best = pack(loads, copies, lanes);
    double imbalance = best.imbalance(loads);
    for (int extra = 0; extra < redundant && imbalance > EVEN; extra++) {
      int hottest = hottest(loads, copies, lanes);
      if (hottest < 0) {
        break;
      }
      copies[hottest]++;
      ExpertPlacement candidate = pack(loads, copies, lanes);
      double reached = candidate.imbalance(loads);
      if (reached < imbalance) {
        best = candidate;
        imbalance = reached;
      }
    }
    return best;
  }

  private static int mostExperts(ExpertPlacement placement) {
    return IntStream.range(0, placement.lanes())
        .map(lane -> placement.map(lane).localExperts())
        .max()
        .orElse(0);
  }

  /** The expert with the largest load per copy that is not on every lane yet, or −1. */
  private static int hottest(long[] loads, int[] copies, int lanes) {
    return IntStream.range(0, loads.length)
        .filter(expert -> copies[expert] < lanes && loads[expert] > 0)
        .boxed()
        .max(
            Comparator.<Integer>comparingDouble(e -> (double) loads[e] / copies[e])
                .thenComparing(Comparator.reverseOrder()))
        .orElse(-1);
  }

  private static ExpertPlacement pack(long[] loads, int[] copies, int lanes) {
    double presence = PRESENCE * Math.max(1.0, Arrays.stream(loads).average().orElse(0));
    Copy[] order =
        IntStream.range(0, loads.length)
            .boxed()
            .flatMap(
                e ->
                    IntStream.range(0, copies[e])
                        .mapToObj(c -> new Copy(e, presence + (double) loads[e] / copies[e])))
            .sorted(Copy.LONGEST_FIRST)
            .toArray(Copy[]::new);
    PriorityQueue<Lane> queue = new PriorityQueue<>(Lane.LEAST_FIRST);
    IntStream.range(0, lanes).mapToObj(Lane::new).forEach(queue::add);
    int[][] lanesOf = new int[loads.length][0];
    for (int i = 0; i < order.length; ) {
      // Copies of one expert stand together, and go to as many lanes.
      Copy copy = order[i];
      Lane[] taken = new Lane[copies[copy.expert()]];
      for (int c = 0; c < taken.length; c++) {
        taken[c] = queue.remove();
      }
      for (Lane lane : taken) {
        lane.load += copy.load();
        queue.add(lane);
      }
      lanesOf[copy.expert()] =
          Arrays.stream(taken).mapToInt(lane -> lane.number).sorted().toArray();
      i += taken.length;
    }
    return ExpertPlacement.of(lanes, lanesOf);
  }
}

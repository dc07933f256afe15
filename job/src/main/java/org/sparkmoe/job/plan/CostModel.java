package org.sparkmoe.job.plan;

import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.udfs.plan.Reduction;

/**
 * Estimates both dispatch modes with the same few rates, so that their difference means something
 * even where the rates are off.
 *
 * <p>Replicated: every executor loads all weights, and every partition streams them through memory
 * at least once; where the store does not hold them all, every batch packs them again. EP: each
 * executor loads its share; a token is sent to {@code L·(1 − (1 − 1/L)^k)} of L lanes (the expected
 * number of distinct lanes of k uniform choices), and a vector of f32 returns for each of its
 * {@linkplain org.sparkmoe.kernels.combine.LanePartials partials}, and a shared one. Where
 * intermediates are measured first, all but the return comes twice.
 */
public final class CostModel {
  /** Bytes per second: one executor reads a checkpoint. */
  static final double LOAD = 1e9;

  /** Bytes per second: one executor writes, moves and reads shuffle data. */
  static final double SHUFFLE = 2.5e8;

  /** Bytes per second: one executor streams weights from memory. */
  static final double STREAM = 1e10;

  /** Floating-point operations per second of one task slot. */
  static final double COMPUTE = 5e10;

  /** Bytes that a token adds to a block beside codes and scales: id, offset, home flag. */
  private static final int TOKEN_OVERHEAD = 13;

  /** Bytes of one assignment in a block: slot, expert id, weight, whether it begins a partial. */
  private static final int SLOT_OVERHEAD = 13;

  private CostModel() {}

  static Cost replicated(Workload work, ClusterFacts cluster, ExecutorMemory memory) {
    double batches = Math.max(work.partitions(), batches(work));
    double repacks =
        memory.holds(work.experts()) ? 0 : Math.max(0, batches / cluster.executors() - 1);
    return new Cost(
        DispatchMode.REPLICATED,
        0,
        work.expertBytes(),
        repacks,
        work.passes() * (1 + repacks) * work.expertBytes() / LOAD,
        0,
        0,
        0,
        work.passes() * batches * work.expertBytes() / (STREAM * cluster.executors()),
        compute(work, Math.min(cluster.slots(), work.partitions())));
  }

  static Cost ep(Workload work, ClusterFacts cluster, ExecutorMemory memory, int lanes) {
    int holders = Math.min(cluster.executors(), lanes);
    long share = work.expertBytes() / holders;
    double repacks = memory.holds(laneExperts(work, memory, lanes)) ? 0 : laneRepacks(work, lanes);
    long dispatch =
        Math.round(
            work.passes()
                * work.tokens()
                * (distinctLanes(lanes, work.topK()) * (work.token().codes() + TOKEN_OVERHEAD)
                    + (double) work.topK() * SLOT_OVERHEAD
                    + work.token().home()));
    double vectors = partials(work, lanes) + (work.shared() ? 1 : 0);
    long combine = Math.round(work.tokens() * vectors * work.hidden() * Float.BYTES);
    return new Cost(
        DispatchMode.EP,
        lanes,
        share,
        repacks,
        work.passes() * (1 + repacks) * share / LOAD,
        dispatch,
        combine,
        (dispatch + combine) / (SHUFFLE * cluster.executors()),
        work.passes() * batches(work) * work.expertBytes() / (STREAM * cluster.executors()),
        compute(work, Math.min(cluster.slots(), lanes)));
  }

  /** Experts of the lanes that an executor computes at the same time: a lane is done once. */
  private static int laneExperts(Workload work, ExecutorMemory memory, int lanes) {
    return Math.min(memory.tasks(), lanes) * Math.ceilDiv(work.experts(), lanes);
  }

  private static double laneRepacks(Workload work, int lanes) {
    double tokens = work.tokens() * distinctLanes(lanes, work.topK()) / lanes;
    return Math.max(0, tokens / work.batchTokens() - 1);
  }

  /** Expected number of distinct lanes among k uniform choices. */
  static double distinctLanes(int lanes, int k) {
    return lanes * (1 - Math.pow(1 - 1.0 / lanes, k));
  }

  /** About how many vectors lanes send of a token. */
  private static double partials(Workload work, int lanes) {
    if (work.reduction() == Reduction.LANE_ORDER) {
      return distinctLanes(lanes, work.topK());
    }
    return work.ranges() ? subtrees(work.experts(), lanes, work.topK()) : work.topK();
  }

  /**
   * Expected number of chosen ones, for k uniform choices, among the largest subtrees of expert ids
   * that lie within one of {@code lanes} equal ranges; k at most. Of a power of two, those are the
   * lanes. An estimate of partials, which also join where no expert of another lane was chosen.
   */
  static double subtrees(int experts, int lanes, int k) {
    int levels = Integer.SIZE - Integer.numberOfLeadingZeros(experts - 1);
    return Math.min(k, subtrees(ExpertPlacement.linear(experts, lanes), levels, 0, k));
  }

  private static double subtrees(ExpertPlacement placement, int level, int prefix, int k) {
    int experts = placement.experts();
    int from = prefix << level;
    int to = Math.min(experts, (prefix + 1) << level);
    if (from >= to) {
      return 0;
    }
    if (placement.laneOf(from, 0) == placement.laneOf(to - 1, 0)) {
      return 1 - Math.pow(1 - (double) (to - from) / experts, k);
    }
    return subtrees(placement, level - 1, 2 * prefix, k)
        + subtrees(placement, level - 1, 2 * prefix + 1, k);
  }

  private static double batches(Workload work) {
    return Math.max(1, (double) work.tokens() / work.batchTokens());
  }

  private static double compute(Workload work, int workers) {
    double flops = work.tokens() * work.topK() * work.expertFlops();
    return work.passes() * flops / (COMPUTE * Math.max(1, workers));
  }
}

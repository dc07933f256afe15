package org.sparkmoe.job.plan;

import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.sparkmoe.datasets.InputException;

/** Chooses between replicated and expert-parallel dispatch. Pure. */
public final class DispatchPlanner {
  /**
   * Lanes per task slot: more than one, so that a slot that drew light experts can take another
   * lane.
   */
  private static final int LANES_PER_SLOT = 2;

  private static final String REMEDY =
      "raise spark.executor.memoryOverhead, add executors, take a machine with more memory, or let"
          + " experts be packed again with --weight-memory";

  private DispatchPlanner() {}

  /**
   * Plans.
   *
   * @param requested mode, empty for the cheaper one
   * @param lanes requested lanes, empty for twice the task slots, at most one per expert
   * @throws InputException for more lanes than experts, or weights that fit in no way
   */
  public static DispatchPlan plan(
      Workload work,
      ClusterFacts cluster,
      ExecutorMemory memory,
      Optional<DispatchMode> requested,
      OptionalInt lanes) {
    int chosenLanes =
        lanes.orElse(Math.clamp((long) LANES_PER_SLOT * cluster.slots(), 1, work.experts()));
    requireLanes(chosenLanes, work.experts());
    Cost replicated = CostModel.replicated(work, cluster, memory);
    Cost ep = CostModel.ep(work, cluster, memory, chosenLanes);
    List<Cost> candidates = List.of(replicated, ep);
    if (requested.isPresent()) {
      return wanted(
          requested.get() == DispatchMode.EP ? ep : replicated, memory, lanes, candidates);
    }
    return cheaper(replicated, ep, memory, candidates);
  }

  /**
   * Refuses lanes that would have no expert.
   *
   * @throws InputException where {@code lanes} is outside 1 to {@code experts}
   */
  static void requireLanes(int lanes, int experts) {
    if (lanes < 1 || lanes > experts) {
      throw new InputException(
          "--lanes %d is outside 1 to %d, the number of experts of this layer"
              .formatted(lanes, experts));
    }
  }

  private static DispatchPlan wanted(
      Cost wanted, ExecutorMemory memory, OptionalInt lanes, List<Cost> candidates) {
    if (!memory.fits(wanted.weightBytes())) {
      throw tooLarge("with --dispatch " + wanted.mode().option(), wanted.weightBytes(), memory);
    }
    String unused =
        wanted.mode() == DispatchMode.REPLICATED && lanes.isPresent()
            ? "; --lanes has no effect on it"
            : "";
    return new DispatchPlan(
        wanted, candidates, "asked for with --dispatch " + wanted.mode().option() + unused);
  }

  private static DispatchPlan cheaper(
      Cost replicated, Cost ep, ExecutorMemory memory, List<Cost> candidates) {
    boolean replicatedFits = memory.fits(replicated.weightBytes());
    boolean epFits = memory.fits(ep.weightBytes());
    if (!replicatedFits && !epFits) {
      throw tooLarge(
          "in the smaller form", Math.min(ep.weightBytes(), replicated.weightBytes()), memory);
    }
    if (!replicatedFits) {
      return new DispatchPlan(
          ep, candidates, "all experts together do not fit into one executor's memory");
    }
    if (epFits && ep.seconds() < replicated.seconds()) {
      return new DispatchPlan(
          ep, candidates, "the estimate is lower: less to load than to shuffle");
    }
    return new DispatchPlan(
        replicated, candidates, "the estimate is lower: no token has to travel");
  }

  private static InputException tooLarge(String form, long weights, ExecutorMemory memory) {
    return new InputException(
        "%s the weights take %s per executor and buffers %s, together %s, the budget is %s; %s"
            .formatted(
                form,
                Amounts.bytes(memory.needed(weights) - memory.buffers()),
                Amounts.bytes(memory.buffers()),
                Amounts.bytes(memory.needed(weights)),
                Amounts.bytes(memory.limit().orElse(0)),
                REMEDY));
  }
}

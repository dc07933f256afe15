package org.sparkmoe.job.plan;

import java.util.OptionalLong;
import org.sparkmoe.kernels.layer.LayerMemory;
import org.sparkmoe.udfs.plan.Reduction;

/** Round numbers to plan with. */
final class Plans {
  private Plans() {}

  /**
   * A thousand tokens of 10 values in 4 partitions, 100 at a time; 8 experts of which 2 are chosen,
   * {@code expertBytes} together, 60 operations each.
   */
  static Workload work(long expertBytes) {
    return new Workload(
        1000,
        4,
        10,
        2,
        8,
        false,
        expertBytes,
        60,
        new TokenBytes(40, 0, 40, 0),
        1,
        100,
        Reduction.EXPERT_ORDER,
        true);
  }

  static Workload withShared(Workload work) {
    return new Workload(
        work.tokens(),
        work.partitions(),
        work.hidden(),
        work.topK(),
        work.experts(),
        true,
        work.expertBytes(),
        work.expertFlops(),
        work.token(),
        work.passes(),
        work.batchTokens(),
        work.reduction(),
        work.ranges());
  }

  static Workload with(Workload work, TokenBytes token, int passes) {
    return new Workload(
        work.tokens(),
        work.partitions(),
        work.hidden(),
        work.topK(),
        work.experts(),
        work.shared(),
        work.expertBytes(),
        work.expertFlops(),
        token,
        passes,
        work.batchTokens(),
        work.reduction(),
        work.ranges());
  }

  static Workload withTokens(Workload work, long tokens, int partitions) {
    return new Workload(
        tokens,
        partitions,
        work.hidden(),
        work.topK(),
        work.experts(),
        work.shared(),
        work.expertBytes(),
        work.expertFlops(),
        work.token(),
        work.passes(),
        work.batchTokens(),
        work.reduction(),
        work.ranges());
  }

  /** An executor of {@code cluster} with the experts of {@link #work}, and no buffers. */
  static ExecutorMemory memory(Workload work, ClusterFacts cluster) {
    return memory(work, cluster, OptionalLong.empty());
  }

  static ExecutorMemory memory(Workload work, ClusterFacts cluster, OptionalLong asked) {
    LayerMemory layer = new LayerMemory(0, work.expertBytes() / work.experts(), work.experts(), 0);
    return ExecutorMemory.of(layer, cluster, 0, asked);
  }

  static ClusterFacts local(int slots) {
    return new ClusterFacts("local[" + slots + "]", 1, slots, OptionalLong.of(Long.MAX_VALUE));
  }

  static ClusterFacts cluster(int executors, int slots) {
    return new ClusterFacts("spark://host:7077", executors, slots, OptionalLong.empty());
  }

  static ClusterFacts cluster(int executors, int slots, long budget) {
    return new ClusterFacts("yarn", executors, slots, OptionalLong.of(budget));
  }
}

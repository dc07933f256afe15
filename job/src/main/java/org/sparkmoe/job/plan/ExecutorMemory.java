package org.sparkmoe.job.plan;

import java.util.OptionalLong;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.kernels.layer.LayerMemory;

/**
 * Memory of one executor beside its heap: what the layer and the tasks take, and what they may.
 *
 * @param layer the layer, packed
 * @param tasks that run at the same time
 * @param taskBytes buffers of one task
 * @param asked size of the store of weights, empty for as large as the weights
 * @param limit bytes beside the heap, empty where nothing says
 */
public record ExecutorMemory(
    LayerMemory layer, int tasks, long taskBytes, OptionalLong asked, OptionalLong limit) {

  /**
   * The memory of each of {@code cluster}'s executors.
   *
   * @throws InputException for a store asked for that is too small to work with
   */
  static ExecutorMemory of(
      LayerMemory layer, ClusterFacts cluster, long taskBytes, OptionalLong asked) {
    int tasks = Math.ceilDiv(cluster.slots(), cluster.executors());
    long least = layer.least(tasks);
    if (asked.isPresent() && asked.getAsLong() < least) {
      throw new InputException(
          "--weight-memory %s is below the minimum of %s (%d bytes): router and shared expert %s, and %s for an expert of each of %d task slots"
              .formatted(
                  Amounts.bytes(asked.getAsLong()),
                  Amounts.bytes(least),
                  least,
                  Amounts.bytes(layer.pinned()),
                  Amounts.bytes(layer.expert()),
                  tasks));
    }
    return new ExecutorMemory(layer, tasks, taskBytes, asked, cluster.nativeBudget());
  }

  /** Buffers of all tasks, and those that experts are read into. */
  public long buffers() {
    return tasks * taskBytes + layer.staging();
  }

  /** Size of the store of packed weights. */
  public long store() {
    if (asked.isPresent()) {
      return asked.getAsLong();
    }
    return limit.isPresent()
        ? Math.max(layer.least(tasks), limit.getAsLong() - buffers())
        : Long.MAX_VALUE;
  }

  /** What an executor takes that has {@code weights} bytes of weights to compute with. */
  long needed(long weights) {
    return Math.min(weights, asked.orElse(weights)) + buffers();
  }

  public boolean fits(long weights) {
    return limit.isEmpty() || needed(weights) <= limit.getAsLong();
  }

  /** Whether the store holds {@code experts} experts at a time. */
  boolean holds(int experts) {
    return layer.pinned() + experts * layer.expert() <= store();
  }
}

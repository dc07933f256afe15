package org.sparkmoe.datasets.arrow;

import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;

/**
 * The Arrow memory of this JVM. It is off-heap and Spark does not count it, so it is bounded here;
 * a task takes a child and gives it back at its end.
 */
final class ArrowMemory {
  /** Bytes that all Arrow tasks of an executor may hold together. */
  static final String LIMIT_OPTION = "memoryLimit";

  private ArrowMemory() {}

  /** Half of what the JVM allows for direct memory, which by default equals the largest heap. */
  static long defaultLimit() {
    return Runtime.getRuntime().maxMemory() / 2;
  }

  /** Memory for one task. The newest read sets the limit of them all. */
  static BufferAllocator newTask(String name, long limit) {
    Holder.ROOT.setLimit(limit);
    return Holder.ROOT.newChildAllocator(name, 0, Long.MAX_VALUE);
  }

  static long limit() {
    return Holder.ROOT.getLimit();
  }

  static long allocated() {
    return Holder.ROOT.getAllocatedMemory();
  }

  private static final class Holder {
    static final BufferAllocator ROOT = new RootAllocator(defaultLimit());
  }
}

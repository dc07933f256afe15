package org.sparkmoe.kernels.layer;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.IntFunction;
import org.sparkmoe.kernels.experts.PreparedExpert;

/**
 * Experts prepared on first use, each exactly once. Threads that want different experts do not wait
 * for one another. A preparation that fails is tried again by the next caller.
 */
final class LazyExperts {
  private final IntFunction<PreparedExpert> prepare;
  private final AtomicReferenceArray<PreparedExpert> experts;
  private final Object[] locks;

  LazyExperts(int count, IntFunction<PreparedExpert> prepare) {
    this.prepare = prepare;
    this.experts = new AtomicReferenceArray<>(count);
    this.locks = new Object[count];
    Arrays.setAll(locks, id -> new Object());
  }

  PreparedExpert get(int id) {
    PreparedExpert ready = experts.get(id);
    return ready != null ? ready : prepareOnce(id);
  }

  private PreparedExpert prepareOnce(int id) {
    synchronized (locks[id]) {
      PreparedExpert ready = experts.get(id);
      if (ready == null) {
        ready = prepare.apply(id);
        experts.set(id, ready);
      }
      return ready;
    }
  }
}

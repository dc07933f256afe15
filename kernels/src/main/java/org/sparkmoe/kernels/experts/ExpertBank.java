package org.sparkmoe.kernels.experts;

import java.util.Optional;

/** The experts of a layer, by global id; reads and packs them when they are first asked for. */
@FunctionalInterface
public interface ExpertBank {
  /**
   * Lends expert {@code id}, prepared by the kernel that uses it. Thread-safe; may wait until there
   * is memory for it, so a thread that holds a lease gives it back before it asks for the next.
   */
  ExpertLease acquire(int id);

  /**
   * As {@link #acquire}, but empty where another thread is packing this very expert: the calling
   * one may have other work meanwhile.
   */
  default Optional<ExpertLease> acquireUnlessPacking(int id) {
    return Optional.of(acquire(id));
  }

  /**
   * Lends expert {@code id} where that takes no waiting, neither for memory nor for another thread:
   * this may be asked for while other leases are held. A bank whose {@link #acquire} can wait has
   * its own.
   */
  default Optional<ExpertLease> acquireIfReady(int id) {
    return Optional.of(acquire(id));
  }

  /**
   * As {@link #acquireIfReady}, and where the expert is not there but has room, reads and packs it:
   * the calling thread works, but waits for nobody.
   */
  default Optional<ExpertLease> acquireIfRoom(int id) {
    return acquireIfReady(id);
  }

  /** Experts that it keeps at the same time, as far as it knows. */
  default int capacity() {
    return Integer.MAX_VALUE;
  }
}

package org.sparkmoe.kernels.experts;

/** The experts of a layer, by global id; reads and packs them when they are first asked for. */
@FunctionalInterface
public interface ExpertBank {
  /**
   * Lends expert {@code id}, prepared by the kernel that uses it. Thread-safe; may wait until there
   * is memory for it, so a thread that holds a lease gives it back before it asks for the next.
   */
  ExpertLease acquire(int id);
}

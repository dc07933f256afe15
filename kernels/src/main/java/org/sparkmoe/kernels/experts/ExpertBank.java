package org.sparkmoe.kernels.experts;

/** The experts of a layer, by global id; reads and packs them when they are first asked for. */
@FunctionalInterface
public interface ExpertBank {
  /** Expert {@code id}, prepared by the kernel that uses it. Thread-safe. */
  PreparedExpert expert(int id);
}

package org.sparkmoe.kernels.store;

import java.lang.foreign.Arena;
import org.sparkmoe.kernels.experts.PreparedExpert;

/** Makes the experts of one layer ready for their kernel. Thread-safe. */
@FunctionalInterface
public interface ExpertPacker {

  /** Memory of one expert. */
  @FunctionalInterface
  interface Room {
    /**
     * Memory for the packed expert; called once per expert. Waits until it is there.
     *
     * @param bytes that the packed expert holds, at most
     * @throws IllegalStateException where the store could never hold that much
     */
    Arena reserve(long bytes);
  }

  /**
   * Reads and packs expert {@code id}. No lock is held meanwhile, and other experts are packed at
   * the same time.
   *
   * @return an expert whose memory all comes from {@code room}
   */
  PreparedExpert pack(int id, Room room);
}

package org.sparkmoe.kernels.store;

import java.lang.foreign.Arena;
import org.sparkmoe.kernels.experts.ExpertLease;
import org.sparkmoe.kernels.experts.PreparedExpert;

/**
 * The place of one expert, and at the same time every lease of it, so that lending allocates
 * nothing. All fields are guarded by the store's lock; who holds a lease may read {@link #expert}
 * without it, since nothing is written while there are leases.
 */
final class Slot implements ExpertLease {
  /** What is in the place. */
  enum State {
    ABSENT,
    /** One thread reads and packs it, the others that want it wait. */
    PACKING,
    READY
  }

  final StoredExperts layer;
  final int id;
  State state = State.ABSENT;
  PreparedExpert expert;
  Arena arena;

  /** Charged to the store: what is reserved while packing, then what the packed expert holds. */
  long bytes;

  int leases;

  /** The store's clock when the last lease ended. */
  long lastUse;

  Slot(StoredExperts layer, int id) {
    this.layer = layer;
    this.id = id;
  }

  boolean evictable() {
    return state == State.READY && leases == 0;
  }

  /** Empties the place; returns what was charged for it. */
  long clear() {
    long freed = bytes;
    state = State.ABSENT;
    expert = null;
    arena = null;
    bytes = 0;
    return freed;
  }

  @Override
  public PreparedExpert expert() {
    return expert;
  }

  @Override
  public void close() {
    layer.store().release(this);
  }
}

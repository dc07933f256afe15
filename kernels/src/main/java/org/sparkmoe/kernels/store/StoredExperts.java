package org.sparkmoe.kernels.store;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import org.sparkmoe.kernels.experts.ExpertBank;
import org.sparkmoe.kernels.experts.ExpertLease;

/** The experts of one layer in a store. Thread-safe. */
public final class StoredExperts implements ExpertBank, AutoCloseable {
  private final ExpertStore store;
  private final ExpertPacker packer;
  private final Slot[] slots;

  /** Guarded by the store's lock, like those below. */
  final List<Arena> pinned = new ArrayList<>();

  long pinnedBytes;
  long largest;
  boolean idle;
  boolean closed;

  StoredExperts(ExpertStore store, int experts, ExpertPacker packer) {
    this.store = store;
    this.packer = packer;
    this.slots = new Slot[experts];
    for (int id = 0; id < experts; id++) {
      slots[id] = new Slot(this, id);
    }
  }

  /**
   * Lends expert {@code id}; packs it where it is not there, and waits for room where everything
   * else is on loan.
   *
   * @throws IllegalStateException after {@link #close}, or where the store could never hold it
   * @throws java.util.concurrent.CancellationException where the thread is interrupted while it
   *     waits
   */
  @Override
  public ExpertLease acquire(int id) {
    return store.acquire(slots[id]);
  }

  /** As {@link #acquire}, but empty where another thread packs the expert. */
  @Override
  public Optional<ExpertLease> acquireUnlessPacking(int id) {
    return store.acquireUnlessPacking(slots[id]);
  }

  /** Lends expert {@code id} where it is packed. */
  @Override
  public Optional<ExpertLease> acquireIfReady(int id) {
    return store.acquireIfReady(slots[id]);
  }

  /** Lends expert {@code id} where it is packed, or can be without waiting. */
  @Override
  public Optional<ExpertLease> acquireIfRoom(int id) {
    return store.acquireIfRoom(slots[id]);
  }

  /** How many of the largest expert so far the store can hold; all where none was packed yet. */
  @Override
  public int capacity() {
    return store.capacity(this);
  }

  /**
   * Memory that stays until the layer closes: what every batch needs, such as the router. Waits for
   * room like an expert.
   *
   * @param bytes charged to the store
   * @throws IllegalStateException where the store could never hold that much
   */
  public Arena pin(long bytes) {
    return store.pin(this, bytes);
  }

  /** Says whether anybody uses the layer: experts of idle layers are the first to go. */
  public void setIdle(boolean value) {
    store.setIdle(this, value);
  }

  /**
   * Gives all memory back. Waits for leases and for packing under way, both of which end by
   * themselves within a kernel call; the caller holds no lease. Closing again does nothing.
   */
  @Override
  public void close() {
    store.close(this);
  }

  ExpertStore store() {
    return store;
  }

  ExpertPacker packer() {
    return packer;
  }

  Slot[] slots() {
    return slots;
  }
}

package org.sparkmoe.kernels.store;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;

/** The books of a store: what is held, what may be, and who goes first. Guarded by its lock. */
final class Ledger {
  private final List<StoredExperts> layers = new ArrayList<>();
  private long budget;
  private long bytes;
  private long peakBytes;
  private long pinnedBytes;
  private long clock;
  private long packed;
  private long evicted;
  private long hits;

  Ledger(long budget) {
    this.budget = budget;
  }

  void open(StoredExperts layer) {
    layers.add(layer);
  }

  /**
   * Changes the budget and gives up unused experts beyond it; {@code freed} receives their memory.
   */
  void limit(long limit, List<Arena> freed) {
    budget = limit;
    Slot victim = victimOrNull();
    while (bytes > budget && victim != null) {
      freed.add(evict(victim));
      victim = victimOrNull();
    }
  }

  void lend(Slot slot) {
    slot.leases++;
    hits++;
  }

  void takeBack(Slot slot) {
    if (slot.leases == 0) {
      throw new IllegalStateException("expert %d is not on loan".formatted(slot.id));
    }
    slot.leases--;
    slot.lastUse = ++clock;
  }

  /**
   * Refuses what would not fit even if nothing but pinned memory were held.
   *
   * @throws IllegalStateException with the sizes
   */
  void requirePossible(long size) {
    if (size > budget - pinnedBytes) {
      throw new IllegalStateException(
          "%d bytes of weights do not fit into a store of %d, of which %d are pinned; raise its budget"
              .formatted(size, budget, pinnedBytes));
    }
  }

  /** Whether {@code size} bytes fit once all that nobody uses is gone. */
  boolean fits(long size) {
    long held = bytes;
    for (StoredExperts layer : layers) {
      for (Slot slot : layer.slots()) {
        held -= slot.evictable() ? slot.bytes : 0;
      }
    }
    return size <= budget - held;
  }

  /** Experts of {@code size} bytes beside what is pinned, whatever else is held. */
  int capacity(long size) {
    return (int) Math.min(Integer.MAX_VALUE, (budget - pinnedBytes) / size);
  }

  /** Gives up unused experts until {@code size} bytes fit, which they do, and charges them. */
  void charge(long size, List<Arena> freed) {
    while (size > budget - bytes) {
      freed.add(evict(victimOrNull()));
    }
    bytes += size;
    peakBytes = Math.max(peakBytes, bytes);
  }

  /** Turns bytes that were charged into pinned ones. */
  void pin(StoredExperts layer, long size) {
    pinnedBytes += size;
    layer.pinnedBytes += size;
  }

  /** The reservation of {@code slot} has become an expert of {@code size} bytes. */
  void settle(Slot slot, long size) {
    bytes += size - slot.bytes;
    slot.bytes = size;
    slot.layer.largest = Math.max(slot.layer.largest, size);
    packed++;
  }

  void clear(Slot slot) {
    bytes -= slot.clear();
  }

  void close(StoredExperts layer, List<Arena> freed) {
    for (Slot slot : layer.slots()) {
      if (slot.arena != null) {
        freed.add(slot.arena);
        clear(slot);
      }
    }
    freed.addAll(layer.pinned);
    layer.pinned.clear();
    bytes -= layer.pinnedBytes;
    pinnedBytes -= layer.pinnedBytes;
    layer.pinnedBytes = 0;
    layers.remove(layer);
  }

  StoreStatistics statistics() {
    return new StoreStatistics(packed, evicted, hits, bytes, peakBytes);
  }

  /** Takes an expert off the books; the caller closes its memory. */
  private Arena evict(Slot slot) {
    Arena arena = slot.arena;
    clear(slot);
    evicted++;
    return arena;
  }

  /** The next to go. A look at each expert costs little beside packing the one that needs room. */
  private Slot victimOrNull() {
    Slot victim = null;
    for (StoredExperts layer : layers) {
      for (Slot slot : layer.slots()) {
        if (slot.evictable() && (victim == null || goesBefore(slot, victim))) {
          victim = slot;
        }
      }
    }
    return victim;
  }

  private static boolean goesBefore(Slot slot, Slot other) {
    return slot.layer.idle == other.layer.idle ? slot.lastUse < other.lastUse : slot.layer.idle;
  }
}

package org.sparkmoe.kernels.store;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import java.util.concurrent.locks.Condition;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.BooleanSupplier;
import org.sparkmoe.kernels.experts.ExpertLease;
import org.sparkmoe.kernels.experts.PreparedExpert;
import org.sparkmoe.kernels.memory.PageArena;

/**
 * The packed experts of all layers of a process, within one budget of bytes. An expert is packed
 * when it is first asked for, once for all threads, into memory of its own; it goes again when
 * another needs the room, nobody holds a lease of it, and it is the one not used for the longest
 * time (experts of idle layers before all others). What an expert computes does not depend on
 * whether it was packed before. Thread-safe.
 *
 * <p><b>Nobody waits forever</b>, provided that no thread asks for an expert while it holds a
 * lease; threads may outnumber the experts that fit. A thread waits for one of three things: the
 * end of another's packing, room, or a layer's last lease. Suppose that all threads wait. Then none
 * computes, so no lease is out, and none packs, so nothing is reserved: every packed expert can go,
 * and whoever wants room finds it, because what could never fit is refused and does not wait.
 *
 * <p>One lock guards the books and is never held while an expert is read, packed or freed.
 */
public final class ExpertStore {
  private final ReentrantLock lock = new ReentrantLock();

  /** An expert became ready, unused or absent, or the limits moved. */
  private final Condition changed = lock.newCondition();

  private final Ledger ledger;

  private ExpertStore(long budget) {
    this.ledger = new Ledger(budget);
  }

  /** A store that holds up to {@code bytes}. */
  public static ExpertStore ofBytes(long bytes) {
    return new ExpertStore(bytes);
  }

  /** A store that never evicts. */
  public static ExpertStore unbounded() {
    return new ExpertStore(Long.MAX_VALUE);
  }

  /** A place for the experts 0 to {@code experts} − 1 of a layer; nothing is packed yet. */
  public StoredExperts open(int experts, ExpertPacker packer) {
    StoredExperts layer = new StoredExperts(this, experts, packer);
    locked(() -> ledger.open(layer));
    return layer;
  }

  /** Changes the budget. Where more is held, experts that nobody uses go at once. */
  public void limit(long bytes) {
    List<Arena> freed = new ArrayList<>();
    locked(() -> ledger.limit(bytes, freed));
    freed.forEach(Arena::close);
  }

  /** The figures of this moment. */
  public StoreStatistics statistics() {
    lock.lock();
    try {
      return ledger.statistics();
    } finally {
      lock.unlock();
    }
  }

  ExpertLease acquire(Slot slot) {
    return acquire(slot, true).orElseThrow();
  }

  /** Waits for room, but not for another thread that packs the same expert. */
  Optional<ExpertLease> acquireUnlessPacking(Slot slot) {
    return acquire(slot, false);
  }

  private Optional<ExpertLease> acquire(Slot slot, boolean awaitsPacking) {
    lock.lock();
    try {
      requireOpen(slot.layer);
      if (slot.state == Slot.State.PACKING) {
        if (!awaitsPacking) {
          return Optional.empty();
        }
        await(slot.layer, () -> slot.state != Slot.State.PACKING);
      }
      if (slot.state == Slot.State.READY) {
        ledger.lend(slot);
        return Optional.of(slot);
      }
      slot.state = Slot.State.PACKING;
    } finally {
      lock.unlock();
    }
    return Optional.of(pack(slot, this::room));
  }

  /** Never waits, so that a thread may call it while it holds leases. */
  Optional<ExpertLease> acquireIfReady(Slot slot) {
    lock.lock();
    try {
      requireOpen(slot.layer);
      if (slot.state != Slot.State.READY) {
        return Optional.empty();
      }
      ledger.lend(slot);
      return Optional.of(slot);
    } finally {
      lock.unlock();
    }
  }

  /**
   * Packs where that is needed, into room that is free or that an expert nobody uses gives up.
   * Never waits, so that a thread may call it while it holds leases: without room it gives up after
   * reading.
   */
  Optional<ExpertLease> acquireIfRoom(Slot slot) {
    lock.lock();
    try {
      requireOpen(slot.layer);
      if (slot.state == Slot.State.READY) {
        ledger.lend(slot);
        return Optional.of(slot);
      }
      if (slot.state == Slot.State.PACKING || !ledger.fits(slot.layer.largest)) {
        return Optional.empty();
      }
      slot.state = Slot.State.PACKING;
    } finally {
      lock.unlock();
    }
    try {
      return Optional.of(pack(slot, this::roomAtOnce));
    } catch (NoRoomException e) {
      return Optional.empty();
    }
  }

  /** Room that is there was taken by another thread meanwhile. */
  private static final class NoRoomException extends RuntimeException {
    private static final long serialVersionUID = 1;

    NoRoomException() {
      super(null, null, false, false);
    }
  }

  int capacity(StoredExperts layer) {
    lock.lock();
    try {
      return layer.largest == 0 ? Integer.MAX_VALUE : ledger.capacity(layer.largest);
    } finally {
      lock.unlock();
    }
  }

  void release(Slot slot) {
    lock.lock();
    try {
      ledger.takeBack(slot);
      if (slot.leases == 0) {
        changed.signalAll();
      }
    } finally {
      lock.unlock();
    }
  }

  /** Entered by one thread at a time for the same slot: the one that set it to PACKING. */
  private ExpertLease pack(Slot slot, Rooms rooms) {
    boolean done = false;
    try {
      PreparedExpert expert = slot.layer.packer().pack(slot.id, size -> rooms.reserve(slot, size));
      if (expert.bytes() > slot.bytes) {
        throw new IllegalStateException(
            "expert %d holds %d bytes, the room reserved for it is %d"
                .formatted(slot.id, expert.bytes(), slot.bytes));
      }
      locked(
          () -> {
            ledger.settle(slot, expert.bytes());
            slot.expert = expert;
            slot.state = Slot.State.READY;
            slot.leases = 1;
          });
      done = true;
      return slot;
    } finally {
      if (!done) {
        abandon(slot);
      }
    }
  }

  /** A way to come by memory for an expert. */
  private interface Rooms {
    Arena reserve(Slot slot, long size);
  }

  private Arena room(Slot slot, long size) {
    reserve(slot.layer, size, () -> slot.bytes = size);
    return arena(slot, size);
  }

  private Arena roomAtOnce(Slot slot, long size) {
    List<Arena> freed = new ArrayList<>();
    lock.lock();
    try {
      if (!ledger.fits(size)) {
        throw new NoRoomException();
      }
      ledger.charge(size, freed);
      slot.bytes = size;
    } finally {
      lock.unlock();
    }
    freed.forEach(Arena::close);
    return arena(slot, size);
  }

  private static Arena arena(Slot slot, long size) {
    slot.arena = PageArena.ofBytes(size);
    return slot.arena;
  }

  /** Leaves no trace of a failed packing, so that the next caller tries again. */
  private void abandon(Slot slot) {
    if (slot.arena != null) {
      slot.arena.close();
    }
    locked(() -> ledger.clear(slot));
  }

  Arena pin(StoredExperts layer, long size) {
    reserve(layer, size, () -> ledger.pin(layer, size));
    Arena arena = PageArena.ofBytes(size);
    locked(() -> layer.pinned.add(arena));
    return arena;
  }

  /** Waits until {@code size} bytes fit, charges them, and has {@code book} note for what. */
  private void reserve(StoredExperts layer, long size, Runnable book) {
    List<Arena> freed = new ArrayList<>();
    lock.lock();
    try {
      await(
          layer,
          () -> {
            ledger.requirePossible(size);
            return ledger.fits(size);
          });
      ledger.charge(size, freed);
      book.run();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    // Before the caller fills the room. Freeing stops all threads for a moment: not under the lock.
    freed.forEach(Arena::close);
  }

  void setIdle(StoredExperts layer, boolean idle) {
    locked(() -> layer.idle = idle);
  }

  void close(StoredExperts layer) {
    List<Arena> freed = new ArrayList<>();
    lock.lock();
    try {
      layer.closed = true;
      changed.signalAll();
      while (busy(layer)) {
        changed.awaitUninterruptibly();
      }
      ledger.close(layer, freed);
      changed.signalAll();
    } finally {
      lock.unlock();
    }
    freed.forEach(Arena::close);
  }

  private static boolean busy(StoredExperts layer) {
    for (Slot slot : layer.slots()) {
      if (slot.leases > 0 || slot.state == Slot.State.PACKING) {
        return true;
      }
    }
    return false;
  }

  private static void requireOpen(StoredExperts layer) {
    if (layer.closed) {
      throw new IllegalStateException("the layer is closed, it lends no more experts");
    }
  }

  /** Waits for {@code met} as long as {@code layer} is open; the lock is held before and after. */
  private void await(StoredExperts layer, BooleanSupplier met) {
    try {
      requireOpen(layer);
      while (!met.getAsBoolean()) {
        changed.await();
        requireOpen(layer);
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw (CancellationException)
          new CancellationException("interrupted while waiting for an expert").initCause(e);
    }
  }

  private void locked(Runnable action) {
    lock.lock();
    try {
      action.run();
      changed.signalAll();
    } finally {
      lock.unlock();
    }
  }
}

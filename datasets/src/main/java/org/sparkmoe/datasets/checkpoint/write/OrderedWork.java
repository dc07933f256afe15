package org.sparkmoe.datasets.checkpoint.write;

import java.lang.foreign.Arena;
import java.util.ArrayDeque;
import java.util.Deque;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;

/**
 * Makes chunks on several threads and hands them over in order. A few more than there are threads
 * are in memory at a time.
 */
final class OrderedWork implements AutoCloseable {
  private static final int AHEAD = 2;

  private final ExecutorService pool;
  private final int window;
  private final Deque<Future<Owned>> pending = new ArrayDeque<>();
  private final Taker taker;
  private volatile boolean closed;

  /** Takes what was made, in order; it is freed afterwards. */
  interface Taker {
    void take(Part.Made made);
  }

  /** A result with the memory that holds it. */
  private record Owned(Part.Made made, Arena arena) implements AutoCloseable {
    @Override
    public void close() {
      arena.close();
    }
  }

  OrderedWork(int threads, Taker taker) {
    this.pool = Executors.newFixedThreadPool(threads, Thread.ofPlatform().daemon().factory());
    this.window = threads + AHEAD;
    this.taker = taker;
  }

  /** Has a chunk made; may hand over earlier ones first. */
  void add(Part.Chunk chunk) {
    while (pending.size() >= window) {
      takeNext();
    }
    pending.add(pool.submit(() -> make(chunk)));
  }

  /** Hands over all that is left. */
  void finish() {
    while (!pending.isEmpty()) {
      takeNext();
    }
  }

  private void takeNext() {
    try (Owned owned = await(pending.remove())) {
      taker.take(owned.made());
    }
  }

  private Owned make(Part.Chunk chunk) {
    if (closed) {
      throw new CancellationException();
    }
    Arena arena = Arena.ofShared();
    boolean made = false;
    try {
      Owned owned = new Owned(chunk.make(arena), arena);
      made = true;
      return owned;
    } finally {
      if (!made) {
        arena.close();
      }
    }
  }

  private static Owned await(Future<Owned> future) {
    try {
      return future.get();
    } catch (ExecutionException e) {
      throw e.getCause() instanceof RuntimeException cause
          ? cause
          : new IllegalStateException(e.getCause());
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      throw new IllegalStateException("interrupted while quantizing", e);
    }
  }

  /** Waits for what is being made and frees it; what has not started never does. */
  @Override
  public void close() {
    closed = true;
    pool.close();
    for (Future<Owned> future : pending) {
      if (future.state() == Future.State.SUCCESS) {
        future.resultNow().close();
      }
    }
    pending.clear();
  }
}

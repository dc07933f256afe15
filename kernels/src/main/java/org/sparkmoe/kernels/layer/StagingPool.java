package org.sparkmoe.kernels.layer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import java.util.concurrent.Semaphore;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.memory.PageArena;

/**
 * Memory that experts are read into before they are packed. Buffers are used again until {@link
 * #trim}, and there are only so many however many threads pack. Thread-safe.
 */
final class StagingPool implements AutoCloseable {
  private final ExpertKernel kernel;
  private final Semaphore permits;

  /** Guarded by itself. */
  private final Deque<Buffer> free = new ArrayDeque<>();

  /**
   * A pool of up to {@code buffers} buffers of the memory that {@code kernel} packs from; they are
   * made when they are first needed.
   */
  StagingPool(int buffers, ExpertKernel kernel) {
    this.kernel = kernel;
    this.permits = new Semaphore(buffers);
  }

  /** A buffer for the memory of one expert; waits for one. */
  Buffer take() {
    permits.acquireUninterruptibly();
    synchronized (free) {
      return free.isEmpty() ? new Buffer() : free.pop();
    }
  }

  /** Frees what nobody reads into now; a later expert gets a new buffer. */
  void trim() {
    List<Buffer> idle;
    synchronized (free) {
      idle = List.copyOf(free);
      free.clear();
    }
    idle.forEach(buffer -> buffer.arena.close());
  }

  /** Frees all buffers; none may be in use. */
  @Override
  public void close() {
    trim();
  }

  /**
   * Hands out memory, and after {@link #close} the same memory again: every expert of a layer asks
   * for the same sizes in the same order.
   */
  final class Buffer implements SegmentAllocator, AutoCloseable {
    private final Arena arena = PageArena.ofShared();
    private final List<MemorySegment> segments = new ArrayList<>();
    private int next;

    @Override
    public MemorySegment allocate(long byteSize, long byteAlignment) {
      int index = next++;
      if (index == segments.size()) {
        segments.add(kernel.memory(byteSize, byteAlignment, arena));
      } else if (segments.get(index).byteSize() < byteSize) {
        segments.set(index, kernel.memory(byteSize, byteAlignment, arena));
      }
      return segments.get(index).asSlice(0, byteSize, byteAlignment);
    }

    @Override
    public void close() {
      next = 0;
      synchronized (free) {
        free.push(this);
      }
      permits.release();
    }
  }
}

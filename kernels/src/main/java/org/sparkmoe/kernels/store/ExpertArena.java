package org.sparkmoe.kernels.store;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.MemorySegment.Scope;

/**
 * Memory of one expert, taken from the system in one piece and given back in one piece. Shared by
 * threads like {@link Arena#ofShared}, which it is where {@link PageMemory} is not to be had.
 */
final class ExpertArena implements Arena {
  /** What a few allocations lose to alignment. */
  private static final long SLACK = 4096;

  private final Arena scope = Arena.ofShared();
  private MemorySegment rest;

  private ExpertArena(PageMemory pages, long bytes) {
    this.rest = pages.allocate(bytes + SLACK, scope);
  }

  /** An arena with room for {@code bytes}; more is allowed, and comes from elsewhere. */
  static Arena ofBytes(long bytes) {
    return PageMemory.ofSystem()
        .map(pages -> (Arena) new ExpertArena(pages, bytes))
        .orElseGet(Arena::ofShared);
  }

  @Override
  public synchronized MemorySegment allocate(long byteSize, long byteAlignment) {
    if (!scope.scope().isAlive()) {
      throw new IllegalStateException("the memory of this expert is freed");
    }
    long skip = -rest.address() & (byteAlignment - 1);
    if (skip + byteSize > rest.byteSize()) {
      return scope.allocate(byteSize, byteAlignment);
    }
    MemorySegment allocated = rest.asSlice(skip, byteSize);
    rest = rest.asSlice(skip + byteSize);
    return allocated;
  }

  @Override
  public Scope scope() {
    return scope.scope();
  }

  @Override
  public void close() {
    scope.close();
  }
}

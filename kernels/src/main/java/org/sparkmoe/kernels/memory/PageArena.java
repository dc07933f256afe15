package org.sparkmoe.kernels.memory;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.MemorySegment.Scope;

/**
 * An arena whose large allocations come straight from the system, in huge pages where it has them,
 * and go back there when the arena closes. The C library, which serves {@link Arena#ofShared},
 * keeps much of what it is given back, for each thread apart. Shared by threads; where the system
 * does not hand out pages it is {@link Arena#ofShared}.
 */
public final class PageArena implements Arena {
  /** What a few allocations lose to alignment. */
  private static final long SLACK = 4096;

  /** From here on an allocation gets pages of its own. */
  private static final long LARGE = 256 << 10;

  private final PageMemory pages;
  private final Arena scope = Arena.ofShared();
  private MemorySegment rest = MemorySegment.NULL;

  private PageArena(PageMemory pages) {
    this.pages = pages;
  }

  /** An arena without memory yet. */
  public static Arena ofShared() {
    return PageMemory.ofSystem()
        .map(pages -> (Arena) new PageArena(pages))
        .orElseGet(Arena::ofShared);
  }

  /**
   * An arena for some allocations of {@code bytes} together, which are taken from the system in one
   * piece. More is allowed, and comes on its own.
   */
  public static Arena ofBytes(long bytes) {
    return PageMemory.ofSystem()
        .map(
            pages -> {
              PageArena arena = new PageArena(pages);
              arena.rest = pages.allocate(bytes + SLACK, arena.scope);
              return (Arena) arena;
            })
        .orElseGet(Arena::ofShared);
  }

  @Override
  public synchronized MemorySegment allocate(long byteSize, long byteAlignment) {
    if (!scope.scope().isAlive()) {
      throw new IllegalStateException("the memory of this arena is freed");
    }
    long skip = -rest.address() & (byteAlignment - 1);
    if (skip + byteSize <= rest.byteSize()) {
      MemorySegment allocated = rest.asSlice(skip, byteSize);
      rest = rest.asSlice(skip + byteSize);
      return allocated;
    }
    return byteSize >= LARGE && byteAlignment <= PageMemory.ALIGNMENT
        ? pages.allocate(byteSize, scope)
        : scope.allocate(byteSize, byteAlignment);
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

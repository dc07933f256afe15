package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayDeque;
import java.util.Deque;

/**
 * The memory of a GPU. A few blocks that were given back are kept for the next that wants the same
 * size, because the driver waits for everything on the GPU when it takes memory back: an expert
 * that makes room for another must not stop those that are computed meanwhile. Thread-safe; the
 * caller's thread has the context.
 */
final class DeviceMemory {
  private static final int MOST_KEPT = 4;

  private final Driver driver;
  private final DeviceInfo info;

  /** Guarded by itself. */
  private final Deque<Block> kept = new ArrayDeque<>();

  private record Block(long address, long bytes) {}

  DeviceMemory(Driver driver, DeviceInfo info) {
    this.driver = driver;
    this.info = info;
  }

  /**
   * The address of {@code bytes} bytes.
   *
   * @throws CudaException where there is not enough, with what is free
   */
  long allocate(long bytes) {
    long found = takeKept(bytes);
    if (found != 0) {
      return found;
    }
    try (Arena temporary = Arena.ofConfined()) {
      MemorySegment address = temporary.allocate(JAVA_LONG);
      int result = tryAllocate(bytes, address);
      if (result == Driver.OUT_OF_MEMORY && freeKept()) {
        result = tryAllocate(bytes, address);
      }
      if (result == Driver.OUT_OF_MEMORY) {
        throw new CudaException(
            """
            GPU %d, %s, has %d of %d bytes free, %d more are needed; lower --weight-memory, or use \
            onednn or vector\
            """
                .formatted(info.ordinal(), info.name(), freeBytes(), info.bytes(), bytes));
      }
      driver.check(result, "cuMemAlloc_v2");
      return address.get(JAVA_LONG, 0);
    }
  }

  private int tryAllocate(long bytes, MemorySegment address) {
    return driver.result(
        "cuMemAlloc_v2", driver.bindings().memAlloc(), address, Math.max(bytes, 1));
  }

  private long takeKept(long bytes) {
    synchronized (kept) {
      for (Block block : kept) {
        if (block.bytes() == bytes) {
          kept.remove(block);
          return block.address();
        }
      }
      return 0;
    }
  }

  /** Gives memory back that is worth keeping for another of its size. Nothing uses it any more. */
  void giveBack(long address, long bytes) {
    Block oldest = null;
    synchronized (kept) {
      kept.addLast(new Block(address, bytes));
      if (kept.size() > MOST_KEPT) {
        oldest = kept.removeFirst();
      }
    }
    if (oldest != null) {
      free(oldest.address());
    }
  }

  void free(long address) {
    driver.call("cuMemFree_v2", driver.bindings().memFree(), address);
  }

  /** Whether there was anything to free. */
  boolean freeKept() {
    boolean any = false;
    while (true) {
      Block next;
      synchronized (kept) {
        next = kept.pollFirst();
      }
      if (next == null) {
        return any;
      }
      any = true;
      free(next.address());
    }
  }

  /** Bytes that nobody holds at this moment. */
  long freeBytes() {
    long free = 0;
    synchronized (kept) {
      for (Block block : kept) {
        free += block.bytes();
      }
    }
    try (Arena temporary = Arena.ofConfined()) {
      MemorySegment now = temporary.allocate(JAVA_LONG);
      MemorySegment total = temporary.allocate(JAVA_LONG);
      driver.call("cuMemGetInfo_v2", driver.bindings().memGetInfo(), now, total);
      return free + now.get(JAVA_LONG, 0);
    }
  }
}

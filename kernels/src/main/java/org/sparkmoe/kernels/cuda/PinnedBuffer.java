package org.sparkmoe.kernels.cuda;

import java.lang.foreign.MemorySegment;

/**
 * Page-locked memory of the machine that grows and is used again; what was in it is lost when it
 * grows. Copies from it are truly asynchronous: one from other memory makes the driver wait for the
 * whole stream, and keeps other lanes waiting too.
 */
final class PinnedBuffer {
  private final Driver driver;
  private MemorySegment memory = MemorySegment.NULL;

  PinnedBuffer(Driver driver) {
    this.driver = driver;
  }

  /** At least {@code wanted} bytes. Nothing on the GPU uses the buffer meanwhile. */
  @SuppressWarnings("restricted") // the size is what was allocated
  MemorySegment of(long wanted) {
    if (wanted > memory.byteSize()) {
      free();
      long bytes = wanted + wanted / 2;
      long address = driver.create("cuMemHostAlloc", driver.bindings().memHostAlloc(), bytes, 0);
      memory = MemorySegment.ofAddress(address).reinterpret(bytes);
    }
    return memory;
  }

  void free() {
    if (memory.byteSize() > 0) {
      long address = memory.address();
      memory = MemorySegment.NULL;
      driver.call("cuMemFreeHost", driver.bindings().memFreeHost(), address);
    }
  }
}

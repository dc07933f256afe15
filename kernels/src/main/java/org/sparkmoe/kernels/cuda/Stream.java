package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Work that the GPU does in order. */
record Stream(Driver driver, long handle) {
  private static final int NON_BLOCKING = 1;

  static Stream open(Driver driver, Owned owned) {
    CudaBindings cuda = driver.bindings();
    long stream = driver.create("cuStreamCreate", cuda.streamCreate(), NON_BLOCKING);
    owned.own(stream, "cuStreamDestroy_v2", cuda.streamDestroy());
    return new Stream(driver, stream);
  }

  /** Copies from native memory, which stays as it is until {@link #synchronize}. */
  void upload(MemorySegment from, long to) {
    if (from.byteSize() > 0) {
      driver.call(
          "cuMemcpyHtoDAsync_v2",
          driver.bindings().memcpyHtoDAsync(),
          to,
          from,
          from.byteSize(),
          handle);
    }
  }

  /** Copies to native memory, where it is after {@link #synchronize}. */
  void download(long from, MemorySegment to) {
    if (to.byteSize() > 0) {
      driver.call(
          "cuMemcpyDtoHAsync_v2",
          driver.bindings().memcpyDtoHAsync(),
          to,
          from,
          to.byteSize(),
          handle);
    }
  }

  /** Waits until all is done, and brings up what failed. */
  void synchronize() {
    driver.call("cuStreamSynchronize", driver.bindings().streamSynchronize(), handle);
  }

  /**
   * Starts a kernel.
   *
   * @param shared bytes of dynamic shared memory
   * @param arguments Long for an address, Integer, Float, or memory with a structure: as the kernel
   *     declares them
   */
  void launch(
      PtxModule.Kernel kernel, int gridX, int gridY, int block, int shared, Object... arguments) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment pointers = arena.allocate(ADDRESS, arguments.length);
      for (int i = 0; i < arguments.length; i++) {
        pointers.setAtIndex(ADDRESS, i, argument(arguments[i], arena));
      }
      driver.call(
          "cuLaunchKernel of " + kernel.name(),
          driver.bindings().launchKernel(),
          kernel.handle(),
          gridX,
          gridY,
          1,
          block,
          1,
          1,
          shared,
          handle,
          pointers,
          MemorySegment.NULL);
    }
  }

  private static MemorySegment argument(Object value, Arena arena) {
    return switch (value) {
      case Long address -> arena.allocateFrom(JAVA_LONG, address);
      case Integer number -> arena.allocateFrom(JAVA_INT, number);
      case MemorySegment structure -> structure;
      case Float number -> arena.allocateFrom(JAVA_FLOAT, number);
      default -> throw new IllegalArgumentException("argument of type " + value.getClass());
    };
  }
}

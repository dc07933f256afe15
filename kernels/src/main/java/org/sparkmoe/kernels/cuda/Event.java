package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A mark in a stream, reached when all is done that was put there before. */
record Event(Driver driver, long handle) {
  static Event open(Driver driver, Owned owned) {
    CudaBindings cuda = driver.bindings();
    long event = driver.create("cuEventCreate", cuda.eventCreate(), 0);
    owned.own(event, "cuEventDestroy_v2", cuda.eventDestroy());
    return new Event(driver, event);
  }

  /** Puts the mark behind what is in {@code stream}; it stands nowhere else then. */
  void mark(Stream stream) {
    driver.call("cuEventRecord", driver.bindings().eventRecord(), handle, stream.handle());
  }

  /** Waits until it is reached; does not wait where it was never put anywhere. */
  void await() {
    driver.call("cuEventSynchronize", driver.bindings().eventSynchronize(), handle);
  }

  /** Nanoseconds on the GPU from {@code start} to this one; waits for it. */
  long nanosSince(Event start) {
    await();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment millis = arena.allocate(JAVA_FLOAT);
      driver.call(
          "cuEventElapsedTime",
          driver.bindings().eventElapsedTime(),
          millis,
          start.handle(),
          handle);
      return (long) (millis.get(JAVA_FLOAT, 0) * 1e6);
    }
  }
}

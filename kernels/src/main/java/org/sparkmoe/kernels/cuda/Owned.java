package org.sparkmoe.kernels.cuda;

import java.lang.invoke.MethodHandle;
import java.util.ArrayDeque;
import java.util.Deque;

/** Handles of the driver with the functions that destroy them: closed in the reverse order. */
final class Owned implements AutoCloseable {
  private final Driver driver;
  private final Deque<Resource> resources = new ArrayDeque<>();

  private record Resource(String call, MethodHandle destroy, Object handle) {}

  Owned(Driver driver) {
    this.driver = driver;
  }

  /** Takes over {@code handle}, a long, or an int where the driver counts. */
  synchronized void own(Object handle, String call, MethodHandle destroy) {
    resources.push(new Resource(call, destroy, handle));
  }

  /** Destroys all, also where destroying one fails; then throws the first failure. */
  @Override
  public synchronized void close() {
    CudaException failure = null;
    while (!resources.isEmpty()) {
      Resource next = resources.pop();
      try {
        driver.call(next.call(), next.destroy(), next.handle());
      } catch (CudaException e) {
        if (failure == null) {
          failure = e;
        } else {
          failure.addSuppressed(e);
        }
      }
    }
    if (failure != null) {
      throw failure;
    }
  }
}

package org.sparkmoe.kernels.onednn;

import java.lang.invoke.MethodHandle;
import java.util.ArrayDeque;
import java.util.Deque;

/** Handles of oneDNN with the functions that destroy them: closed in the reverse order. */
final class Handles implements AutoCloseable, Runnable {
  private final Deque<Owned> owned = new ArrayDeque<>();

  private record Owned(String call, MethodHandle destroy, long handle) {}

  /** Takes over {@code handle}. */
  synchronized long own(long handle, String call, MethodHandle destroy) {
    owned.push(new Owned(call, destroy, handle));
    return handle;
  }

  /** Destroys all, also where destroying one fails; then throws the first failure. */
  @Override
  public synchronized void close() {
    DnnlException failure = null;
    while (!owned.isEmpty()) {
      Owned next = owned.pop();
      try {
        Library.dnnl().call(next.call(), next.destroy(), next.handle());
      } catch (DnnlException e) {
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

  @Override
  public void run() {
    close();
  }
}

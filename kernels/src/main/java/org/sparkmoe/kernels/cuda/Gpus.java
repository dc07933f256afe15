package org.sparkmoe.kernels.cuda;

import java.util.HashMap;
import java.util.Map;

/** GPUs by number, each opened when it is first asked for: one context for all its threads. */
final class Gpus {
  private final Driver driver;
  private final Map<Integer, Opened> opened = new HashMap<>();

  /** One of both is there. */
  private record Opened(Gpu gpuOrNull, String reason) {}

  Gpus(Driver driver) {
    this.driver = driver;
  }

  /**
   * GPU {@code ordinal}; whether it opened stays the same.
   *
   * @throws IllegalStateException where it did not, with what is missing
   */
  synchronized Gpu gpu(int ordinal) {
    Opened result = opened.computeIfAbsent(ordinal, this::open);
    if (result.gpuOrNull() == null) {
      throw new IllegalStateException(result.reason());
    }
    return result.gpuOrNull();
  }

  private Opened open(int ordinal) {
    try {
      return new Opened(Gpu.open(driver, ordinal), "");
    } catch (CudaException e) {
      return new Opened(null, e.getMessage());
    }
  }
}

package org.sparkmoe.kernels.cuda;

import java.util.Map;
import java.util.Optional;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Whether GPUs run here. The first question about one loads the driver, opens the GPU and tries it;
 * later ones do not. GPUs are named by their numbers among those that the process sees.
 */
public final class Cuda {
  /** Outcomes of the trials, by number: empty where all is well. */
  private static final Map<Integer, Optional<String>> TRIALS = new ConcurrentHashMap<>();

  private Cuda() {}

  /** Why the GPU of this process cannot run, or empty where it can. */
  public static Optional<String> refusal() {
    try {
      return refusal(Library.ordinal());
    } catch (IllegalStateException e) {
      return Optional.of(e.getMessage());
    }
  }

  /** Why GPU {@code ordinal} cannot run, or empty where it can. */
  public static Optional<String> refusal(int ordinal) {
    return TRIALS.computeIfAbsent(ordinal, Cuda::tried);
  }

  private static Optional<String> tried(int ordinal) {
    try {
      return Optional.of(SelfCheck.failure(Library.gpu(ordinal)))
          .filter(reason -> !reason.isEmpty());
    } catch (IllegalStateException e) {
      return Optional.of(e.getMessage());
    }
  }

  /** Why the GPU of this process multiplies no rows of FP8, or empty where it does. */
  public static Optional<String> fp8Refusal() {
    return refusal().or(() -> gpu().fp8Refusal());
  }

  /**
   * The GPU of this process: the one that {@link Gpu#DEVICE_PROPERTY} names, or the first.
   *
   * @throws IllegalStateException where there is none
   */
  public static Gpu gpu() {
    return gpu(Library.ordinal());
  }

  /**
   * GPU {@code ordinal}, which all threads share.
   *
   * @throws IllegalStateException where there is none
   */
  public static Gpu gpu(int ordinal) {
    return Library.gpu(ordinal);
  }

  /** Model, compute capability, memory and driver of the GPU of this process, for logs. */
  public static String description() {
    return gpu().toString();
  }
}

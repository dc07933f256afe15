package org.sparkmoe.kernels.cuda;

import java.util.Optional;

/** Whether a GPU runs here. The first question loads the driver and tries it; later ones do not. */
public final class Cuda {
  private Cuda() {}

  /** Holds the outcome of the trial. */
  private static final class Trial {
    static final String REASON =
        Library.reason().isEmpty() ? SelfCheck.failure(Library.gpu()) : Library.reason();
  }

  /** Why it cannot run, or empty where it can. */
  public static Optional<String> refusal() {
    return Optional.of(Trial.REASON).filter(reason -> !reason.isEmpty());
  }

  /** Model, compute capability, memory and driver, for logs. */
  public static String description() {
    return Library.gpu().toString();
  }

  /**
   * The GPU of this process.
   *
   * @throws IllegalStateException where there is none
   */
  public static Gpu gpu() {
    return Library.gpu();
  }
}

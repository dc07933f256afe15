package org.sparkmoe.kernels.onednn;

import java.util.Optional;

/** Whether oneDNN runs here. The first question unpacks, loads and tries it; later ones do not. */
public final class OneDnn {
  private static final int AVX512_BF16 = 0xe7;

  private OneDnn() {}

  /** Holds the outcome of the trial. */
  private static final class Trial {
    static final String REASON =
        Library.reason().isEmpty() ? SelfCheck.failure() : Library.reason();
  }

  /** Holds the outcome of the trial in bf16. */
  private static final class Bf16Trial {
    static final String REASON = SelfCheck.bf16Failure();
  }

  /** Why it cannot run, or empty where it can. */
  public static Optional<String> refusal() {
    return Optional.of(Trial.REASON).filter(reason -> !reason.isEmpty());
  }

  /** Why products of bf16 rows cannot run, or empty where they can. */
  public static Optional<String> bf16Refusal() {
    if (refusal().isPresent()) {
      return refusal();
    }
    int isa = Library.dnnl().cpuIsa();
    if ((isa & AVX512_BF16) == AVX512_BF16) {
      return Optional.of(Bf16Trial.REASON).filter(reason -> !reason.isEmpty());
    }
    String reason = "this CPU has no bf16 arithmetic (AVX-512 with BF16, or AMX); use onednn";
    return Optional.of("%s (instruction set 0x%x of oneDNN)".formatted(reason, isa));
  }

  /** Holds the outcome of the trial in int8. */
  private static final class Int8Trial {
    static final String REASON = Int8Check.failure();
  }

  /**
   * Why products of int8 rows and weights cannot run, or empty where they can: they are exact, and
   * this CPU has instructions for them.
   */
  public static Optional<String> int8Refusal() {
    if (refusal().isPresent()) {
      return refusal();
    }
    return Optional.of(Int8Trial.REASON).filter(reason -> !reason.isEmpty());
  }

  /** Version and instruction set, for logs. */
  public static String description() {
    return "oneDNN %s, instruction set 0x%x"
        .formatted(Library.dnnl().version(), Library.dnnl().cpuIsa());
  }
}

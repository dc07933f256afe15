package org.sparkmoe.kernels.backend;

import java.util.Locale;

/** Implementations of the expert mathematics. */
public enum Backend {
  /** Plain loops with f64 accumulators: the specification of all others. */
  SCALAR,
  /** SIMD on the JVM through {@code jdk.incubator.vector}, f32 accumulators. */
  VECTOR,
  /** Native CPU kernels of oneDNN in f32. */
  ONEDNN,
  /**
   * As ONEDNN, with the experts' rows and weights rounded to bf16, sums in f32; never by default.
   */
  ONEDNN_BF16,
  /** NVIDIA GPUs. */
  CUDA;

  /** The name in options: lower case, with a hyphen. */
  public String option() {
    return name().toLowerCase(Locale.ROOT).replace('_', '-');
  }
}

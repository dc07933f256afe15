package org.sparkmoe.job.bench;

import java.util.Locale;

/** What a run of the command measures. */
enum Part {
  /** Whole layers beside their peers. */
  LAYER,
  /** One product beside OpenBLAS. */
  GEMM;

  /** The name in options. */
  String option() {
    return name().toLowerCase(Locale.ROOT);
  }
}

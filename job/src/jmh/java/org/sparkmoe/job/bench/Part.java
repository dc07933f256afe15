package org.sparkmoe.job.bench;

import java.util.Locale;

/** What a run of the command measures. */
enum Part {
  /** Whole layers beside their peers. */
  LAYER,
  /** One product beside OpenBLAS. */
  GEMM,
  /** What bf16 weights, twice the tokens and twice the experts cost. */
  SCALING,
  /** Quantized weights beside bf16 and f32. */
  QUANT,
  /** What our layer holds, packed and while it runs. */
  MEMORY,
  /** The whole Spark job beside its own kernels. */
  JOB,
  /** The SQL functions beside the job's batches. */
  SQL;

  /** The name in options. */
  String option() {
    return name().toLowerCase(Locale.ROOT);
  }
}

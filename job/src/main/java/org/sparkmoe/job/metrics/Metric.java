package org.sparkmoe.job.metrics;

import java.util.Locale;

/** What is counted of a step. All of them only grow, so that a rate can be taken of each. */
public enum Metric {
  /** Tasks that succeeded. */
  TASKS,
  /** Rows of tokens that were read or, where outputs are written, written. */
  TOKENS,
  /** Blocks of tokens that were made for lanes. */
  BLOCKS,
  /** Bytes written for the next step, as compressed by Spark. */
  SHUFFLE_BYTES,
  /** Milliseconds of tasks, all task slots together. */
  TASK_MS,
  /** Milliseconds inside the kernels of experts, all threads together. */
  KERNEL_MS,
  /** Rows that the kernels of experts were given: one for each token and expert that it chose. */
  KERNEL_ROWS,
  /** Rows that they computed beyond these, only to fill their tiles. */
  PADDED_ROWS,
  /** 10⁶ floating-point operations of the rows that they were given. */
  KERNEL_MFLOP;

  @Override
  public String toString() {
    return name().toLowerCase(Locale.ROOT);
  }
}

package org.sparkmoe.kernels.experts;

/** Told how long each expert ran, for statistics. Called by the thread that computes. */
@FunctionalInterface
public interface ExpertClock {
  /** Nobody wants to know. */
  ExpertClock NONE = (expert, rows, computed, nanos) -> {};

  /**
   * An expert has run.
   *
   * @param expert global id
   * @param rows it was given
   * @param computed rows that its kernel computed for them, see {@link PreparedExpert#computedRows}
   * @param nanos wall time of gathering its rows, its kernel, and scattering their results
   */
  void ran(int expert, int rows, long computed, long nanos);
}

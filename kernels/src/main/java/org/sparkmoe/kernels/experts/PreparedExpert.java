package org.sparkmoe.kernels.experts;

/**
 * One expert, ready for the {@link ExpertKernel} that prepared it. Immutable and shared by all
 * threads; it lives as long as the arena it was prepared in.
 */
public sealed interface PreparedExpert
    permits ScalarExpert,
        PackedExpert,
        OneDnnExpert,
        OneDnnStripExpert,
        OneDnnInt8Expert,
        CudaExpert {

  /** H. */
  int hidden();

  /** I. */
  int intermediate();

  /** Bytes of the projections as this backend holds them. */
  long bytes();

  /**
   * Rows that the kernel computes where it is given {@code rows}: these, and what fills the last of
   * its tiles, whose results nobody reads. At least {@code rows}.
   */
  long computedRows(int rows);
}

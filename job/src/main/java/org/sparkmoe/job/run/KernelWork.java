package org.sparkmoe.job.run;

/**
 * What the kernels of experts did.
 *
 * @param nanos inside them, all threads together
 * @param rows that they were given: one for each token and expert that it chose
 * @param computedRows that they computed: these, and what fills tiles
 */
public record KernelWork(long nanos, long rows, long computedRows) {
  static final KernelWork NONE = new KernelWork(0, 0, 0);

  KernelWork plus(KernelWork more) {
    return new KernelWork(nanos + more.nanos, rows + more.rows, computedRows + more.computedRows);
  }

  /** Milliseconds inside kernels. */
  double millis() {
    return nanos / 1e6;
  }

  /** Rows that were computed only to fill tiles, for each row that was given; 0 without rows. */
  double padding() {
    return rows == 0 ? 0 : (double) (computedRows - rows) / rows;
  }

  /**
   * 10⁹ operations for each second inside kernels, padding not counted.
   *
   * @param flopsPerRow operations of an expert for a row
   */
  double gigaflops(double flopsPerRow) {
    return nanos == 0 ? 0 : rows * flopsPerRow / nanos;
  }
}

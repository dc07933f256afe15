package org.sparkmoe.job.bench;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.tensor.Matrix;

/** Products by {@code cblas_sgemm} on the weights as they are: row-major f32. */
record OpenBlasProducts(OpenBlas blas, RandomLayer weights) implements GemmFloor.Products {

  @Override
  public String name() {
    return "OpenBLAS products";
  }

  @Override
  public int threads(int count) {
    blas.setThreads(count);
    return count;
  }

  @Override
  public void multiply(
      int worker, int rows, MemorySegment x, int expert, int projection, MemorySegment y) {
    Matrix w = weights.wide(expert)[projection];
    blas.multiply(rows, w.rows(), w.cols(), x, w.data(), y);
  }

  @Override
  public void close() {
    // The weights are borrowed, the library stays loaded.
  }
}

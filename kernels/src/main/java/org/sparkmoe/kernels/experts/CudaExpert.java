package org.sparkmoe.kernels.experts;

import org.sparkmoe.kernels.cuda.GpuActivation;
import org.sparkmoe.kernels.cuda.GpuExpert;

/**
 * An expert in the memory of the GPU.
 *
 * @param rowsTogether rows that its products compute together
 */
record CudaExpert(GpuExpert memory, GpuActivation activation, int rowsTogether)
    implements PreparedExpert {
  @Override
  public int hidden() {
    return memory.shape().hidden();
  }

  @Override
  public int intermediate() {
    return memory.shape().intermediate();
  }

  @Override
  public long computedRows(int rows) {
    return Math.ceilDiv(rows, rowsTogether) * (long) rowsTogether;
  }

  @Override
  public long bytes() {
    return memory.bytes();
  }
}

package org.sparkmoe.kernels.experts;

import org.sparkmoe.kernels.cuda.GpuActivation;
import org.sparkmoe.kernels.cuda.GpuExpert;

/**
 * An expert in the memory of the GPU.
 *
 * @param tileRows rows of a tile of its products
 */
record CudaExpert(GpuExpert memory, GpuActivation activation, int tileRows)
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
    return Math.ceilDiv(rows, tileRows) * (long) tileRows;
  }

  @Override
  public long bytes() {
    return memory.bytes();
  }
}

package org.sparkmoe.kernels.experts;

import org.sparkmoe.kernels.cuda.GpuActivation;
import org.sparkmoe.kernels.cuda.GpuExpert;

/** An expert in the memory of the GPU. */
record CudaExpert(GpuExpert memory, GpuActivation activation) implements PreparedExpert {
  @Override
  public int hidden() {
    return memory.shape().hidden();
  }

  @Override
  public int intermediate() {
    return memory.shape().intermediate();
  }

  @Override
  public long bytes() {
    return memory.bytes();
  }
}

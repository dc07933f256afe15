package org.sparkmoe.kernels.layer;

import org.sparkmoe.kernels.experts.CudaExpertKernel;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.testing.NeedsGpu;

@NeedsGpu
final class CudaPreparedLayerTest extends PreparedLayerContract {
  @Override
  ExpertKernel kernel() {
    return new CudaExpertKernel();
  }

  @Override
  boolean computesQuantized() {
    return false;
  }
}

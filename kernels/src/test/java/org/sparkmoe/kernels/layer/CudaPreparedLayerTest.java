package org.sparkmoe.kernels.layer;

import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.experts.CudaExpertKernel;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.testing.NeedsGpu;
import org.sparkmoe.kernels.testing.QuantizedTensors;

@NeedsGpu
final class CudaPreparedLayerTest extends PreparedLayerContract {
  @Override
  ExpertKernel kernel() {
    return new CudaExpertKernel();
  }

  @Override
  boolean computes(QuantizedTensors.Kind kind) {
    return Backend.CUDA.refusal(kind.format()).isEmpty();
  }

  @Override
  boolean quantizesIntermediates() {
    return false;
  }

  /** Weights, rows and intermediates are bf16 then, which sums of 33 values hardly average out. */
  @Override
  double quantizedTolerance() {
    return 2e-2;
  }
}

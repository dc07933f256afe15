package org.sparkmoe.kernels.experts;

import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.testing.NeedsGpu;

@NeedsGpu
final class CudaFusedExpertsTest extends FusedExpertsContract {
  @Override
  ExpertKernel kernel() {
    return new CudaExpertKernel();
  }

  @Override
  boolean computes(WeightFormat format) {
    return Backend.CUDA.refusal(format).isEmpty();
  }

  /** Of the emulation, whose sums can cancel. */
  @Override
  double tolerance() {
    return 1e-2;
  }

  @Override
  float[] expert(ExpertWeights weights, float[] row) {
    return RoundedExpert.forward(weights, Activation.SILU, row);
  }
}

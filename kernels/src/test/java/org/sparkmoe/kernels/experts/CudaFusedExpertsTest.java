package org.sparkmoe.kernels.experts;

import org.sparkmoe.kernels.testing.NeedsGpu;

@NeedsGpu
final class CudaFusedExpertsTest extends FusedExpertsContract {
  @Override
  ExpertKernel kernel() {
    return new CudaExpertKernel();
  }

  @Override
  boolean computesQuantized() {
    return false;
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

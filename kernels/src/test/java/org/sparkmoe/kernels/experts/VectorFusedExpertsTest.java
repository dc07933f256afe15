package org.sparkmoe.kernels.experts;

final class VectorFusedExpertsTest extends FusedExpertsContract {
  @Override
  ExpertKernel kernel() {
    return new VectorExpertKernel();
  }
}

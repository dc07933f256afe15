package org.sparkmoe.kernels.experts;

final class ScalarFusedExpertsTest extends FusedExpertsContract {
  @Override
  ExpertKernel kernel() {
    return new ScalarExpertKernel();
  }
}

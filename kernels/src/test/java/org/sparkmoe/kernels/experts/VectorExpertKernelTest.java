package org.sparkmoe.kernels.experts;

final class VectorExpertKernelTest extends ExpertKernelContract {
  @Override
  ExpertKernel kernel() {
    return new VectorExpertKernel();
  }
}

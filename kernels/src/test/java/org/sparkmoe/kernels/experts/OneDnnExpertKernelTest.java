package org.sparkmoe.kernels.experts;

import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.testing.NeedsOneDnn;

@NeedsOneDnn
final class OneDnnExpertKernelTest extends ExpertKernelContract {
  @Override
  ExpertKernel kernel() {
    return new OneDnnExpertKernel(DType.F32);
  }
}

package org.sparkmoe.kernels.layer;

import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.OneDnnExpertKernel;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.testing.NeedsOneDnn;

@NeedsOneDnn
final class OneDnnPreparedLayerTest extends PreparedLayerContract {
  @Override
  ExpertKernel kernel() {
    return new OneDnnExpertKernel(DType.F32);
  }
}

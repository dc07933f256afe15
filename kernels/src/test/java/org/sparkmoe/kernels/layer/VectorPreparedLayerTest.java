package org.sparkmoe.kernels.layer;

import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.VectorExpertKernel;

final class VectorPreparedLayerTest extends PreparedLayerContract {
  @Override
  ExpertKernel kernel() {
    return new VectorExpertKernel();
  }
}

package org.sparkmoe.kernels.gemm;

import org.sparkmoe.kernels.testing.NeedsOneDnn;

@NeedsOneDnn
final class OneDnnGemmTest extends GemmContract {
  @Override
  Gemm gemm() {
    return new OneDnnGemm();
  }
}

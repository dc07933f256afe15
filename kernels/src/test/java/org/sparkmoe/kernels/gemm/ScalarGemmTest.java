package org.sparkmoe.kernels.gemm;

final class ScalarGemmTest extends GemmContract {
  @Override
  Gemm gemm() {
    return new ScalarGemm();
  }
}

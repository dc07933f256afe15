package org.sparkmoe.kernels.gemm;

import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.kernels.testing.Rows;

final class VectorGemmTest extends GemmContract {
  @Override
  Gemm gemm() {
    return new VectorGemm();
  }

  /**
   * One sum can cancel to almost nothing: no relative tolerance fits it, but its bits are known.
   */
  static List<Case> oneOutput() {
    return List.of(new Case(13, 1, 64, DType.F32, true), new Case(207, 1, 1000, DType.BF16, false));
  }

  @ParameterizedTest
  @MethodSource({"awkward", "oneOutput"})
  void hasTheBitsOfOneFmaAfterTheOther(Case c) {
    RandomTensors random = c.random();
    Matrix w = random.matrix(c.n(), c.k(), c.dtype());
    float[] bias = c.bias() ? random.normals(c.n(), 1) : null;
    float[] x = random.normals(c.m() * c.k(), 1);
    float[] expected = new float[c.m() * c.n()];
    for (int m = 0; m < c.m(); m++) {
      for (int n = 0; n < c.n(); n++) {
        float sum = 0;
        for (int k = 0; k < c.k(); k++) {
          sum = Math.fma(x[m * c.k() + k], w.get(n, k), sum);
        }
        expected[m * c.n() + n] = bias == null ? sum : sum + bias[n];
      }
    }
    Rows.assertSameBits(multiply(gemm(), c.m(), x, w, bias), expected, c + ", " + random);
  }
}

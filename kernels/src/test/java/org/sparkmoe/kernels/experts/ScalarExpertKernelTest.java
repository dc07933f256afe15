package org.sparkmoe.kernels.experts;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.tensor.Matrix;

final class ScalarExpertKernelTest extends ExpertKernelContract {
  @Override
  ExpertKernel kernel() {
    return new ScalarExpertKernel();
  }

  @Test
  void computesTheFormula() {
    ExpertWeights weights =
        new ExpertWeights(
            Matrix.of(1, 2, 1, 2),
            Matrix.of(1, 2, 3, -1),
            Matrix.of(2, 1, 10, 100),
            new float[] {0.5f},
            new float[] {1},
            new float[] {7, 8});
    double gate = 1 * 1 + 2 * 2 + 0.5;
    double up = 3 * 1 - 1 * 2 + 1;
    double inner = gate / (1 + Math.exp(-gate)) * up;
    assertThat(forward(kernel(), weights, Activation.SILU, new float[] {1, 2}))
        .containsExactly((float) (10 * inner + 7), (float) (100 * inner + 8));
  }
}

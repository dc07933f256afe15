package org.sparkmoe.kernels.experts;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.testing.QuantizedTensors;
import org.sparkmoe.kernels.testing.QuantizedTensors.Kind;
import org.sparkmoe.kernels.testing.RandomTensors;

final class VectorExpertKernelTest extends ExpertKernelContract {
  @Override
  ExpertKernel kernel() {
    return new VectorExpertKernel();
  }

  @Test
  void threeRowsFillATileOfFourUnlessWeightsAreUnpackedInRegisters() {
    RandomTensors random = new RandomTensors(5);
    Kind bytes =
        kinds().stream()
            .filter(kind -> kind.format().codes() == CodeType.INT8)
            .findFirst()
            .orElseThrow();
    assertThat(computedRows(random.expert(64, 128, true, false, DType.BF16), 3)).isEqualTo(4);
    assertThat(computedRows(QuantizedTensors.expert(64, 128, true, bytes, random), 3)).isEqualTo(3);
  }

  private long computedRows(ExpertWeights weights, int rows) {
    try (Arena arena = Arena.ofConfined()) {
      return kernel().prepare(weights, Activation.SILU, arena).computedRows(rows);
    }
  }
}

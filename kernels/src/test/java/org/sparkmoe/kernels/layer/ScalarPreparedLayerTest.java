package org.sparkmoe.kernels.layer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ScalarExpertKernel;
import org.sparkmoe.kernels.router.TopKRule;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.testing.HeapLayer;
import org.sparkmoe.kernels.testing.RandomTensors;

final class ScalarPreparedLayerTest extends PreparedLayerContract {
  @Override
  ExpertKernel kernel() {
    return new ScalarExpertKernel();
  }

  @Test
  void refusesTensorsOfOtherShapes() {
    TopKRule rule = TopKRule.softmax(1, false);
    MoeLayerSpec stored = new MoeLayerSpec(8, 4, 3, rule, Activation.SILU, null);
    HeapLayer weights = HeapLayer.random(stored, false, DType.F32, new RandomTensors(2));
    ExpertStore store = ExpertStore.unbounded();
    MoeLayerSpec wider = new MoeLayerSpec(9, 4, 3, rule, Activation.SILU, null);
    assertThatThrownBy(() -> PreparedLayer.prepare(wider, weights, kernel(), store))
        .hasMessage("router is 3 x 8, expected experts x hidden = 3 x 9");
    MoeLayerSpec shared =
        new MoeLayerSpec(8, 4, 3, rule, Activation.SILU, new SharedExpertSpec(4, false));
    assertThatThrownBy(() -> PreparedLayer.prepare(shared, weights, kernel(), store))
        .hasMessageContaining("the weights have none");
    assertThat(store.statistics().bytes()).as("left by layers that were refused").isZero();
    MoeLayerSpec deeper = new MoeLayerSpec(8, 5, 3, rule, Activation.SILU, null);
    try (PreparedLayer layer = PreparedLayer.prepare(deeper, weights, kernel(), store)) {
      assertThatThrownBy(() -> layer.acquire(1))
          .hasMessage("expert 1 has hidden 8 and intermediate 4, expected 8 and 5");
    }
  }
}

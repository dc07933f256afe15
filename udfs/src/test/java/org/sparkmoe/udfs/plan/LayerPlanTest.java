package org.sparkmoe.udfs.plan;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.kernels.layer.MoeLayerSpec;
import org.sparkmoe.udfs.testing.Plans;

/** The vectors of all tasks of an executor stay within one bound. */
final class LayerPlanTest {
  private static final long BOUND = 128L << 20;

  @ParameterizedTest
  @ValueSource(ints = {1, 2, 3, 5})
  void slotsShareTheBound(int slots) {
    assertThat(slots * LayerPlan.batchBytes(slots)).isBetween(BOUND - slots, BOUND);
  }

  @Test
  void manySlotsKeepAUsefulShare() {
    assertThat(LayerPlan.batchBytes(64)).isEqualTo(BOUND / 5);
  }

  @Test
  void aBatchFitsItsBytes() {
    MoeLayerSpec spec = Plans.fixture("olmoe").plan().spec();
    long token = 4L * (spec.topK() + 5) * spec.hidden();
    assertThat(LayerPlan.batchTokens(spec, 100 * token)).isEqualTo(100);
    assertThat(LayerPlan.batchTokens(spec, 100 * token - 1)).isEqualTo(99);
    assertThat(LayerPlan.batchTokens(spec, 1)).as("never less than one").isOne();
    assertThat(LayerPlan.batchTokens(spec, Long.MAX_VALUE)).isEqualTo(8192);
  }

  @Test
  void aLaneHoldsInputsAndOutputsTwiceAndSlotsOnce() {
    Plans plans = Plans.fixture("olmoe");
    long vector = 4L * plans.layer().spec().hidden();
    LayerPlan plan = plans.withBatchBytes((2 * (12 + 12) + 25) * vector).plan();
    assertThat(plan.holds(10, 12, 25)).isTrue();
    assertThat(plan.holds(10, 12, 26)).isFalse();
    assertThat(plan.holds(10, 13, 25)).isFalse();
  }

  @Test
  void aSharedExpertTakesRoomToo() {
    Plans plans = Plans.fixture("qwen2_moe");
    long vector = 4L * plans.layer().spec().hidden();
    LayerPlan plan = plans.withBatchBytes((2 * (12 + 12 + 10 + 10) + 25) * vector).plan();
    assertThat(plan.holds(10, 12, 25)).isTrue();
    assertThat(plan.holds(10, 12, 26)).isFalse();
    assertThat(plan.holds(11, 12, 25)).isFalse();
  }
}

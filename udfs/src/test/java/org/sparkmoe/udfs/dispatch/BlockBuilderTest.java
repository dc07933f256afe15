package org.sparkmoe.udfs.dispatch;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.testing.Plans;

final class BlockBuilderTest {
  private static final MemorySegment CODES = MemorySegment.ofArray(new byte[8]);

  @Test
  void aBlockIsFullWhereALaneMightNotHoldAnotherToken() {
    Plans plans = Plans.fixture("olmoe");
    // 4 slots a token: behind two tokens 2 · 2 · 8 + 10 vectors are possible, behind three 53
    LayerPlan plan = plans.withBatchBytes(50L * Float.BYTES * 64).plan();
    BlockBuilder builder = new BlockBuilder(0, false);
    for (int token = 0; token < 3; token++) {
      assertThat(builder.isFull(plan)).as("after %d tokens", token).isFalse();
      builder.token(token, CODES, MemorySegment.NULL);
      builder.slot(0, 1, 1, true);
      builder.slot(1, 2, 1, false);
      builder.slot(2, 5, 1, true);
      builder.endAway();
    }
    assertThat(builder.isFull(plan)).isTrue();
    assertThat(builder.isFull(plans.plan())).as("with more memory").isFalse();
    DispatchBlock block = DispatchBlock.of(builder.finish());
    assertThat(block.partials()).isEqualTo(6);
    assertThat(block.assignments()).isEqualTo(9);
    assertThat(builder.isFull(plan)).as("empty again").isFalse();
  }
}

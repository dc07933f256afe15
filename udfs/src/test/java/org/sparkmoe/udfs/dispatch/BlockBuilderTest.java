package org.sparkmoe.udfs.dispatch;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;

final class BlockBuilderTest {
  private static final MemorySegment CODES = MemorySegment.ofArray(new byte[8]);

  @Test
  void aBlockIsFullAtItsBytesOrItsPartials() {
    BlockBuilder builder = new BlockBuilder(0, false);
    for (int token = 0; token < 3; token++) {
      assertThat(builder.isFull(1 << 20, 6)).as("after %d tokens", token).isFalse();
      builder.token(token, CODES, MemorySegment.NULL);
      builder.slot(0, 1, 1, true);
      builder.slot(1, 2, 1, false);
      builder.slot(2, 5, 1, true);
      builder.endAway();
    }
    assertThat(builder.isFull(1 << 20, 6)).isTrue();
    assertThat(builder.isFull(1 << 20, 7)).isFalse();
    assertThat(builder.isFull(3 * 8, 7)).isTrue();
    DispatchBlock block = DispatchBlock.of(builder.finish());
    assertThat(block.partials()).isEqualTo(6);
    assertThat(block.assignments()).isEqualTo(9);
    assertThat(builder.isFull(8, 1)).as("empty again").isFalse();
  }
}

package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;
import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.tensor.DType;

final class TilePlanTest {
  private static final GpuShape SHAPE = new GpuShape(DType.F16, 64, 64, true);

  @Test
  void tilesCoverTheRowsOfTheirExpertOnce() {
    List<Lane.Piece> pieces =
        List.of(
            new Lane.Piece(expert(1), 0, 1),
            new Lane.Piece(expert(2), 1, 0),
            new Lane.Piece(expert(3), 1, 128),
            new Lane.Piece(expert(4), 129, 300));
    try (Arena arena = Arena.ofConfined()) {
      TilePlan plan = TilePlan.of(pieces, 128, arena);
      List<List<Integer>> tiles = new ArrayList<>();
      for (int tile = 0; tile < plan.count(); tile++) {
        long at = plan.offset() + 16L * tile;
        tiles.add(List.of(int32(plan, at), int32(plan, at + 4), int32(plan, at + 8)));
      }
      assertThat(tiles)
          .containsExactly(
              List.of(0, 0, 1),
              List.of(2, 1, 128),
              List.of(3, 129, 128),
              List.of(3, 257, 128),
              List.of(3, 385, 44));
      assertThat(plan.mostRows()).isEqualTo(128);
      assertThat(int32(plan, plan.innerCounter())).isZero();
      assertThat(int32(plan, plan.outerCounter())).isZero();
      assertThat(plan.bytes()).isEqualTo(plan.offset() + 5 * 16 + 8);
      for (int field = 0; field < 7; field++) {
        assertThat(plan.memory().get(JAVA_LONG, 3 * 64 + 8L * field)).isEqualTo(400 + field);
      }
      assertThat(plan.memory().get(JAVA_LONG, 3 * 64 + 56)).isEqualTo(400 + 6 + 128);
    }
  }

  private static GpuExpert expert(int number) {
    long first = 100L * number;
    return new GpuExpert(
        SHAPE,
        MemorySegment.NULL,
        first,
        first + 1,
        first + 2,
        first + 3,
        first + 4,
        first + 5,
        first + 6);
  }

  private static int int32(TilePlan plan, long at) {
    return plan.memory().get(JAVA_INT, at);
  }
}

package org.sparkmoe.kernels.permute;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class ExpertPlacementTest {

  @Test
  void linearGivesTheRemainderToTheFirstLanes() {
    ExpertPlacement placement = ExpertPlacement.linear(8, 3);
    assertThat(lanes(placement)).containsExactly(0, 0, 0, 1, 1, 1, 2, 2);
  }

  @Test
  void roundRobinDealsExpertsOut() {
    assertThat(lanes(ExpertPlacement.roundRobin(5, 2))).containsExactly(0, 1, 0, 1, 0);
  }

  @ParameterizedTest
  @CsvSource({"1,1", "3,5", "64,4", "61,16"})
  void everyExpertLivesOnExactlyOneLane(int experts, int lanes) {
    for (ExpertPlacement placement :
        new ExpertPlacement[] {
          ExpertPlacement.linear(experts, lanes), ExpertPlacement.roundRobin(experts, lanes)
        }) {
      for (int expert = 0; expert < experts; expert++) {
        for (int lane = 0; lane < lanes; lane++) {
          ExpertMap map = placement.map(lane);
          int local = map.local(expert);
          assertThat(local == ExpertMap.REMOTE).isEqualTo(placement.laneOf(expert, 0) != lane);
          if (local != ExpertMap.REMOTE) {
            assertThat(map.global(local)).isEqualTo(expert);
          }
        }
      }
    }
  }

  @Test
  void lanesThatShareAnExpertShareItsLoad() {
    ExpertPlacement placement = ExpertPlacement.of(4, new int[][] {{0, 1}, {1}, {0, 1, 3}});

    assertThat(placement.laneLoads(new long[] {10, 3, 9})).containsExactly(8, 11, 0, 3);
    assertThat(placement.imbalance(new long[] {10, 3, 9})).isEqualTo(11 / 5.5);
    assertThat(placement.imbalance(new long[3])).isEqualTo(1);
  }

  @Test
  void isAValue() {
    assertThat(ExpertPlacement.linear(4, 2))
        .isEqualTo(ExpertPlacement.linear(4, 2))
        .hasSameHashCodeAs(ExpertPlacement.linear(4, 2))
        .isNotEqualTo(ExpertPlacement.roundRobin(4, 2));
  }

  @Test
  void sharedExpertsSplitTheirTokensEvenlyAndById() {
    ExpertPlacement placement =
        ExpertPlacement.of(4, new int[][] {{0, 1, 3}, {2}, {0, 1, 2, 3}, {1, 2}});
    for (int expert : new int[] {0, 2, 3}) {
      int[] all = placement.lanesOf(expert);
      int[] counts = new int[4];
      for (long id = 1_000_000; id < 1_030_000; id++) {
        int lane = placement.laneOf(expert, id);
        assertThat(placement.map(lane).local(expert)).isNotEqualTo(ExpertMap.REMOTE);
        assertThat(placement.laneOf(expert, id)).isEqualTo(lane);
        counts[lane]++;
      }
      for (int lane : all) {
        assertThat(counts[lane]).isBetween(28_500 / all.length, 31_500 / all.length);
      }
    }
    assertThat(placement.laneOf(1, 5)).isEqualTo(2);
    assertThat(placement.sharedExperts()).isEqualTo(3);
  }

  /** Were the parts of two experts the same tokens, lanes would get them in pairs. */
  @Test
  void sharedExpertsSplitTheirTokensIndependently() {
    ExpertPlacement placement = ExpertPlacement.of(2, new int[][] {{0, 1}, {0, 1}});
    int same = 0;
    for (long id = 0; id < 10_000; id++) {
      same += placement.laneOf(0, id) == placement.laneOf(1, id) ? 1 : 0;
    }
    assertThat(same).isBetween(4_700, 5_300);
  }

  @Test
  void refusesExpertsOnNoLaneAndOnUnknownOnes() {
    assertThatThrownBy(() -> ExpertPlacement.of(2, new int[][] {{}}))
        .hasMessageContaining("no lane");
    for (int[] lanes : new int[][] {{2}, {-1}, {1, 0}, {1, 1}}) {
      assertThatThrownBy(() -> ExpertPlacement.of(2, new int[][] {lanes}))
          .hasMessageContaining("must ascend");
    }
  }

  @Test
  void idsOutOfRangeAreRemote() {
    ExpertMap map = ExpertMap.all(4);
    assertThat(map.local(-1)).isEqualTo(ExpertMap.REMOTE);
    assertThat(map.local(4)).isEqualTo(ExpertMap.REMOTE);
    assertThat(map.local(3)).isEqualTo(3);
  }

  @Test
  void mapsRefuseUnknownAndRepeatedExperts() {
    assertThatThrownBy(() -> ExpertMap.of(4, new int[] {1, 4})).hasMessageContaining("0 to 3");
    assertThatThrownBy(() -> ExpertMap.of(4, new int[] {1, 1})).hasMessageContaining("twice");
  }

  private static int[] lanes(ExpertPlacement placement) {
    return IntStream.range(0, placement.experts()).map(e -> placement.laneOf(e, 17)).toArray();
  }
}

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
          assertThat(local == ExpertMap.REMOTE).isEqualTo(placement.laneOf(expert) != lane);
          if (local != ExpertMap.REMOTE) {
            assertThat(map.global(local)).isEqualTo(expert);
          }
        }
      }
    }
  }

  @Test
  void isAValue() {
    assertThat(ExpertPlacement.linear(4, 2))
        .isEqualTo(ExpertPlacement.linear(4, 2))
        .hasSameHashCodeAs(ExpertPlacement.linear(4, 2))
        .isNotEqualTo(ExpertPlacement.roundRobin(4, 2));
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
    return IntStream.range(0, placement.experts()).map(placement::laneOf).toArray();
  }
}

package org.sparkmoe.kernels.combine;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.kernels.testing.Rows;

final class LanePartialsTest {
  private static final int HIDDEN = 2;

  @ParameterizedTest
  @CsvSource({"64,8,1,1", "64,8,2,2", "64,8,3,3", "64,8,5,4", "7,7,2,5", "256,22,8,6", "9,1,3,7"})
  void whatLanesSumChangesNoBit(int experts, int k, int lanes, long seed) {
    RandomTensors random = new RandomTensors(seed);
    LanePartials partials = new LanePartials(k);
    for (int token = 0; token < 40; token++) {
      int[] ids = random.expertIds(1, k, experts);
      int[] laneOf = IntStream.range(0, k).map(slot -> random.below(lanes)).toArray();
      float[] weights = random.normals(k, 1);
      float[] rows = random.normals(k * HIDDEN, 1);
      TokenSum whole = new TokenSum(HIDDEN);
      for (int slot = 0; slot < k; slot++) {
        whole.add(ids[slot], weights[slot], MemorySegment.ofArray(rows), slot);
      }
      partials.take(ids, 0, laneOf);
      TokenSum combined = new TokenSum(HIDDEN);
      for (int lane = lanes - 1; lane >= 0; lane--) {
        TokenSum sum = null;
        int expert = -1;
        for (int i = 0; i < k; i++) {
          int slot = partials.slot(i);
          if (laneOf[slot] == lane) {
            if (partials.starts(i)) {
              send(sum, expert, combined);
              sum = new TokenSum(HIDDEN);
            }
            expert = ids[slot];
            sum.add(expert, weights[slot], MemorySegment.ofArray(rows), slot);
          }
        }
        send(sum, expert, combined);
      }
      Rows.assertSameBits(
          TokenSumTest.stored(combined, HIDDEN),
          TokenSumTest.stored(whole, HIDDEN),
          random + ", token " + token);
    }
  }

  private static void send(TokenSum sumOrNull, int expert, TokenSum to) {
    if (sumOrNull != null) {
      to.add(expert, 1, MemorySegment.ofArray(TokenSumTest.stored(sumOrNull, HIDDEN)), 0);
    }
  }

  /** Ranges of a power of two are subtrees, so a lane sends one vector. */
  @ParameterizedTest
  @CsvSource({"64,1", "64,2", "64,4", "128,16", "64,64"})
  void aLaneThatIsASubtreeHasOnePartial(int experts, int lanes) {
    ExpertPlacement placement = ExpertPlacement.linear(experts, lanes);
    RandomTensors random = new RandomTensors(experts + lanes);
    LanePartials partials = new LanePartials(8);
    for (int token = 0; token < 40; token++) {
      int[] ids = random.expertIds(1, 8, experts);
      int[] laneOf = Arrays.stream(ids).map(id -> placement.laneOf(id, 0)).toArray();
      partials.take(ids, 0, laneOf);
      long started = IntStream.range(0, 8).filter(partials::starts).count();
      assertThat(started).as("%s", random).isEqualTo(Arrays.stream(laneOf).distinct().count());
    }
  }

  @ParameterizedTest
  @CsvSource({
    // 0 and 1 apart: 2 and 3 are one
    "0,1,1,1, TTTF",
    // nothing but pairs
    "0,0,1,1, TFTF",
    // 0 and 1 are one; 2 and 3 are not, so nothing larger is
    "0,0,0,1, TFTT",
    "1,1,1,1, TFFF",
  })
  void slotsOfOneLaneStayApartWhereAnotherLaneStandsBetween(
      int a, int b, int c, int d, String starts) {
    LanePartials partials = new LanePartials(4);
    partials.take(new int[] {0, 1, 2, 3}, 0, new int[] {a, b, c, d});
    for (int i = 0; i < 4; i++) {
      assertThat(partials.starts(i)).as("expert %d", i).isEqualTo(starts.charAt(i) == 'T');
    }
  }
}

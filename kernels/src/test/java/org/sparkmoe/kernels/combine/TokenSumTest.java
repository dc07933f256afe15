package org.sparkmoe.kernels.combine;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.kernels.testing.ExpertTreeSum;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.kernels.testing.Rows;

final class TokenSumTest {
  private static final int HIDDEN = 3;

  /** 1e8 takes up what is smaller than 4, so that 3 leaves a trace only where it met another 3. */
  @ParameterizedTest
  @CsvSource({
    // 0 and 1 meet, 2 and 3 meet, and then both sums
    "0,1,2,3, 100000008",
    // 6 and 7 meet, 4 meets them, and then 0
    "0,4,6,7, 100000008",
    // each meets all before it
    "0,1,2,4, 100000000",
  })
  void idsThatDifferInTheirLastBitsMeetFirst(int a, int b, int c, int d, float expected) {
    float[] values = {1e8f, 3, 3, 3};
    int[] experts = {a, b, c, d};
    TokenSum sum = new TokenSum(1);
    for (int i = 0; i < experts.length; i++) {
      sum.add(experts[i], 1, MemorySegment.ofArray(values), i);
    }
    assertThat(stored(sum, 1)).containsExactly(expected);
  }

  @ParameterizedTest
  @CsvSource({"1,1,1", "2,2,2", "8,5,3", "64,8,4", "70,40,5", "512,22,6", "1000,1,7"})
  void sumsTheTreeInWhateverOrderSlotsCome(int experts, int k, long seed) {
    RandomTensors random = new RandomTensors(seed);
    TokenSum sum = new TokenSum(HIDDEN);
    for (int token = 0; token < 50; token++) {
      int[] ids = random.expertIds(1, k, experts);
      float[] weights = random.normals(k, 1);
      float[][] rows =
          IntStream.range(0, k).mapToObj(s -> random.normals(HIDDEN, 1)).toArray(float[][]::new);
      sum.clear();
      for (int slot = 0; slot < k; slot++) {
        sum.add(ids[slot], weights[slot], MemorySegment.ofArray(rows[slot]), 0);
      }
      Rows.assertSameBits(
          stored(sum, HIDDEN), ExpertTreeSum.sum(ids, weights, rows), random + ", token " + token);
    }
  }

  @Test
  void idsUseAllTheirBits() {
    RandomTensors random = new RandomTensors(8);
    int[] ids = {Integer.MAX_VALUE - 1, 3, 1 << 30, (1 << 30) + 1, 0, Integer.MAX_VALUE};
    float[] weights = random.normals(ids.length, 1);
    float[][] rows = new float[ids.length][];
    TokenSum sum = new TokenSum(HIDDEN);
    for (int slot = 0; slot < ids.length; slot++) {
      rows[slot] = random.normals(HIDDEN, 1);
      sum.add(ids[slot], weights[slot], MemorySegment.ofArray(rows[slot]), 0);
    }
    Rows.assertSameBits(stored(sum, HIDDEN), ExpertTreeSum.sum(ids, weights, rows), random);
  }

  /** Whoever sums a lane's partial again multiplies it by one. */
  @Test
  void oneProductStaysAsItIs() {
    TokenSum sum = new TokenSum(1);
    sum.add(5, 1, MemorySegment.ofArray(new float[] {-0f}), 0);
    assertThat(Float.floatToRawIntBits(stored(sum, 1)[0])).isEqualTo(Float.floatToRawIntBits(-0f));
  }

  @ParameterizedTest
  @CsvSource({"2", "3", "5"})
  void anExpertThatIsThereTwiceIsAddedTwice(int times) {
    TokenSum sum = new TokenSum(1);
    MemorySegment rows = MemorySegment.ofArray(new float[] {7});
    IntStream.range(0, times).forEach(i -> sum.add(4, 1, rows, 0));
    assertThat(stored(sum, 1)).containsExactly(7 * times);
  }

  @ParameterizedTest
  @CsvSource({"0", "1"})
  void nothingIsZero(int before) {
    TokenSum sum = new TokenSum(1);
    for (int i = 0; i < before; i++) {
      sum.add(i, 1, MemorySegment.ofArray(new float[] {5}), 0);
      sum.clear();
    }
    assertThat(stored(sum, 1)).containsExactly(0);
  }

  static float[] stored(TokenSum sum, int hidden) {
    float[] out = new float[hidden];
    Arrays.fill(out, Float.NaN);
    sum.store(MemorySegment.ofArray(out), 0);
    return out;
  }
}

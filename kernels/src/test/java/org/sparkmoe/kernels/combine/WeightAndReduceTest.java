package org.sparkmoe.kernels.combine;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenPermutation;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.kernels.testing.Rows;

final class WeightAndReduceTest {
  private static final int HIDDEN = 2;

  /** Weights (1, 0) and (0, 1) give the slots themselves: a forgotten weight would show. */
  @ParameterizedTest
  @CsvSource({"1,0,3,5", "0,1,7,11", "1,1,10,16"})
  void contiguousAppliesEachWeightOnce(float first, float second, float x, float y) {
    TokenPermutation permutation = permute(new int[] {0, 1}, first, second);
    MemorySegment rows = segment(3, 5, 7, 11);
    assertThat(reduce(WeightAndReduce.CONTIGUOUS, rows, permutation, 0)).containsExactly(x, y);
  }

  @ParameterizedTest
  @CsvSource({"1,0,3,5", "0,1,7,11"})
  void batchedFindsRowsInTheBlocksOfTheirExperts(float first, float second, float x, float y) {
    TokenPermutation permutation = permute(new int[] {2, 0}, first, second);
    float nan = Float.NaN;
    MemorySegment rows = segment(7, 11, nan, nan, nan, nan, nan, nan, 3, 5, nan, nan);
    assertThat(reduce(WeightAndReduce.NAIVE_BATCHED, rows, permutation, 2)).containsExactly(x, y);
  }

  @Test
  void remoteSlotsAreSkippedEvenWhereTheirRowsAreGarbage() {
    TokenPermutation permutation = permute(new int[] {-1, 1}, 1, 1);
    MemorySegment rows = segment(Float.NaN, Float.NaN, 7, 11);
    assertThat(reduce(WeightAndReduce.CONTIGUOUS, rows, permutation, 0)).containsExactly(7, 11);
  }

  @Test
  void tokensWithoutLocalSlotsBecomeZero() {
    TokenPermutation permutation = permute(new int[] {-1, -1}, 1, 1);
    assertThat(reduce(WeightAndReduce.CONTIGUOUS, segment(1, 2, 3, 4), permutation, 0))
        .containsExactly(0, 0);
  }

  @Test
  void roundsTheProductBeforeAdding() {
    RandomTensors random = new RandomTensors(5);
    for (int i = 0; i < 1000; i++) {
      float[] v = random.normals(4, 1);
      TokenPermutation permutation = permute(new int[] {0, 1}, v[0], v[1]);
      float expected = 0f + v[0] * v[2];
      expected += v[1] * v[3];
      float[] out =
          reduce(WeightAndReduce.CONTIGUOUS, segment(v[2], v[2], v[3], v[3]), permutation, 0);
      assertThat(out[0]).as("%s", random).isEqualTo(expected);
    }
  }

  @Test
  void noOpCopies() {
    TokenPermutation permutation = permute(new int[] {0, 1}, 9, 9);
    assertThat(reduce(WeightAndReduce.NO_OP, segment(3, 5), permutation, 0)).containsExactly(3, 5);
  }

  @Test
  void delegateRefusesToChoose() {
    TokenPermutation permutation = permute(new int[] {0, 1}, 1, 1);
    assertThatThrownBy(() -> reduce(WeightAndReduce.DELEGATE, segment(1, 2, 3, 4), permutation, 0))
        .isInstanceOf(UnsupportedOperationException.class)
        .hasMessageContaining("finalize has to choose");
  }

  @Test
  void inputWeightKeepsTheInput() {
    MemorySegment x = segment(1, 2, 3, 4);
    MemorySegment out = segment(0, 0, 0, 0);
    InputWeight.apply(2, HIDDEN, x, new float[] {2, 10}, out);
    assertThat(Rows.floats(out)).containsExactly(2, 4, 30, 40);
    assertThat(Rows.floats(x)).containsExactly(1, 2, 3, 4);
  }

  private static TokenPermutation permute(int[] ids, float... weights) {
    return TokenPermutation.of(TokenRoutes.uniform(1, 2, ids, weights), ExpertMap.all(3));
  }

  private static float[] reduce(
      WeightAndReduce reducer, MemorySegment rows, TokenPermutation permutation, int maxTokens) {
    MemorySegment out = segment(Float.NaN, Float.NaN);
    reducer.apply(new Unreduced(rows, HIDDEN, permutation, maxTokens), out);
    return Rows.floats(out);
  }

  private static MemorySegment segment(float... values) {
    return MemorySegment.ofArray(values);
  }
}

package org.sparkmoe.kernels.permute;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class LoadBalancerTest {

  /** Loads of experts that are chosen by Zipf's law, k different ones for a token. */
  private static long[] zipf(int experts, int topK, double exponent, int tokens, long seed) {
    SplittableRandom random = new SplittableRandom(seed);
    double[] logs =
        IntStream.range(0, experts).mapToDouble(e -> -exponent * Math.log(e + 1)).toArray();
    long[] loads = new long[experts];
    for (int t = 0; t < tokens; t++) {
      // Gumbel noise makes the k largest a draw without replacement.
      double[] noisy = Arrays.stream(logs).map(l -> l - Math.log(-Math.log(u(random)))).toArray();
      IntStream.range(0, experts)
          .boxed()
          .sorted((a, b) -> Double.compare(noisy[b], noisy[a]))
          .limit(topK)
          .forEach(e -> loads[e]++);
    }
    return loads;
  }

  private static double u(SplittableRandom random) {
    return random.nextDouble(1e-300, 1);
  }

  @ParameterizedTest
  @CsvSource({"64, 8, 8", "128, 8, 8", "256, 8, 8", "8, 2, 8", "64, 8, 16", "128, 4, 32"})
  void zipfLoadsBecomeEven(int experts, int topK, int lanes) {
    long seed = 31L * experts + lanes;
    long[] loads = zipf(experts, topK, 1.2, 4000, seed);
    ExpertPlacement placement = LoadBalancer.balance(loads, lanes, lanes);
    assertThat(placement.imbalance(loads))
        .as("seed %d, linear %s", seed, ExpertPlacement.linear(experts, lanes).imbalance(loads))
        .isLessThanOrEqualTo(1.15);
    int copies = IntStream.range(0, experts).map(e -> placement.lanesOf(e).length).sum();
    assertThat(copies).isLessThanOrEqualTo(experts + lanes);
  }

  @Test
  void oneHotExpertIsSharedByAllLanes() {
    long[] loads = new long[16];
    loads[5] = 1000;
    ExpertPlacement placement = LoadBalancer.balance(loads, 4, 4);
    assertThat(placement.lanesOf(5)).containsExactly(0, 1, 2, 3);
    assertThat(placement.imbalance(loads)).isEqualTo(1);
  }

  @Test
  void withoutCopiesExpertsAreOnlyPacked() {
    long[] loads = {10, 9, 8, 7, 1, 1, 1, 1};
    ExpertPlacement placement = LoadBalancer.balance(loads, 2, 0);
    assertThat(placement.sharedExperts()).isZero();
    assertThat(placement.imbalance(loads)).isLessThan(1.06);
  }

  @Test
  void evenLoadsNeedNoCopies() {
    long[] loads = new long[64];
    Arrays.fill(loads, 100);
    ExpertPlacement placement = LoadBalancer.balance(loads, 8, 8);
    assertThat(placement.sharedExperts()).isZero();
    assertThat(placement.imbalance(loads)).isEqualTo(1);
  }

  /** Which send fewer vectors than experts dealt out one by one. */
  @Test
  void nearlyEvenLoadsStayEqualRanges() {
    SplittableRandom random = new SplittableRandom(3);
    long[] loads = random.longs(64, 80, 120).toArray();
    assertThat(LoadBalancer.balance(loads, 2, 2)).isEqualTo(ExpertPlacement.linear(64, 2));
  }

  @Test
  void rangesMoveWhereThatMakesThemEven() {
    long[] loads = {30, 10, 10, 10, 10, 10, 10, 10, 10, 10};
    ExpertPlacement placement = LoadBalancer.balance(loads, 2, 2);
    assertThat(placement.imbalance(loads)).isEqualTo(1);
    assertThat(placement.map(0).localExperts()).isEqualTo(4);
    assertThat(IntStream.range(0, 10).map(e -> placement.laneOf(e, 0)).toArray()).isSorted();
  }

  /** All of them have to fit where the lane runs. */
  @Test
  void rangesDoNotCrowdALane() {
    long[] loads = new long[64];
    Arrays.fill(loads, 1);
    loads[0] = 1000;
    loads[1] = 1000;
    ExpertPlacement placement = LoadBalancer.balance(loads, 2, 2);
    assertThat(placement.map(0).localExperts()).isBetween(24, 40);
    assertThat(placement.imbalance(loads)).isLessThan(1.05);
  }

  @Test
  void expertsWithoutTokensSpread() {
    ExpertPlacement placement = LoadBalancer.balance(new long[12], 4, 2);
    for (int lane = 0; lane < 4; lane++) {
      assertThat(placement.map(lane).localExperts()).isEqualTo(3);
    }
  }

  @ParameterizedTest
  @CsvSource({"1, 1", "1, 5", "7, 3", "3, 9"})
  void everyExpertHasALane(int experts, int lanes) {
    long[] loads = zipf(experts, 1, 1.5, 200, 9);
    ExpertPlacement placement = LoadBalancer.balance(loads, lanes, 3);
    for (int expert = 0; expert < experts; expert++) {
      assertThat(placement.lanesOf(expert)).isNotEmpty();
    }
    assertThat(LoadBalancer.balance(loads, lanes, 3)).isEqualTo(placement);
  }

  @Test
  void refusesANegativeNumberOfCopies() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> LoadBalancer.balance(new long[2], 2, -1))
        .withMessageContaining("-1 redundant experts");
  }
}

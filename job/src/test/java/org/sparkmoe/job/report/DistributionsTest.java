package org.sparkmoe.job.report;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

final class DistributionsTest {

  @Test
  void nothingIsEven() {
    assertThat(Distributions.gini(new long[3])).isZero();
    assertThat(Distributions.hottestOverMean(new long[3])).isEqualTo(1);
    assertThat(Distributions.shares(new long[2])).containsExactly(0, 0);
    assertThat(Distributions.entropy(new double[2])).isZero();
  }

  @Test
  void giniOfKnownLoads() {
    assertThat(Distributions.gini(new long[] {5, 5, 5, 5})).isCloseTo(0, within(1e-12));
    assertThat(Distributions.gini(new long[] {0, 9, 0, 0})).isCloseTo(0.75, within(1e-12));
    // by pairs: Σ|a − b| = 2 (1 + 3 + 2) over 2 n² mean = 2 · 9 · 7 / 3
    assertThat(Distributions.gini(new long[] {4, 1, 2})).isCloseTo(12.0 / 42, within(1e-12));
  }

  @Test
  void entropyIsInBits() {
    assertThat(Distributions.entropy(new double[] {0.5, 0.25, 0.25})).isCloseTo(1.5, within(1e-12));
    assertThat(Distributions.entropy(new double[] {1, 0})).isZero();
  }

  @Test
  void distancesOfKnownShares() {
    double[] left = {1, 0, 0};
    double[] right = {0, 0.5, 0.5};
    assertThat(Distributions.totalVariation(left, right)).isEqualTo(1);
    assertThat(Distributions.jensenShannon(left, right)).isCloseTo(1, within(1e-12));
    assertThat(Distributions.totalVariation(right, right)).isZero();
    assertThat(Distributions.jensenShannon(right, right)).isZero();
    // middle (3/4, 1/4): 0.811278 bits, less half of one bit
    assertThat(Distributions.jensenShannon(new double[] {1, 0}, new double[] {0.5, 0.5}))
        .isCloseTo(0.311278, within(1e-6));
  }

  @ParameterizedTest
  @CsvSource({
    "0,0,0,1",
    "0.01,0.93,0,1",
    "0,2.4,0,2.5",
    "0,1,0,1",
    "-0.3,0.2,-0.5,0.5",
    "-3,-1,-5,0",
    "0,1e-6,0,1e-6"
  })
  void binsEndAtRoundNumbers(double least, double most, double from, double to) {
    Bins bins = Bins.around(least, most, 8);

    assertThat(bins.from()).isCloseTo(from, within(1e-12));
    assertThat(bins.to()).isCloseTo(to, within(1e-12));
  }

  @Test
  void binsHoldTheirLowerEndAndTheLastBothEnds() {
    Bins bins = new Bins(0, 2, 4);

    assertThat(bins.of(0)).isZero();
    assertThat(bins.of(0.49)).isZero();
    assertThat(bins.of(0.5)).isEqualTo(1);
    assertThat(bins.of(2)).isEqualTo(3);
    assertThat(bins.of(-1)).isZero();
    assertThat(bins.of(7)).isEqualTo(3);
  }
}

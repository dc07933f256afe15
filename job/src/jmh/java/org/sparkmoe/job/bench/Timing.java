package org.sparkmoe.job.bench;

import java.util.Arrays;

/**
 * What was measured of one contender.
 *
 * @param samples seconds of one run, in the order of the rounds
 */
record Timing(double[] samples) {

  double median() {
    return quantile(samples, 0.5);
  }

  /** Half the distance between the quartiles, relative to the median. */
  double spread() {
    return (quantile(samples, 0.75) - quantile(samples, 0.25)) / 2 / median();
  }

  /**
   * How many times faster this is than {@code other}: the median over rounds in which both ran, so
   * that what disturbs a round disturbs both sides.
   */
  double ratioTo(Timing other) {
    double[] ratios = new double[Math.min(samples.length, other.samples.length)];
    Arrays.setAll(ratios, i -> other.samples[i] / samples[i]);
    return quantile(ratios, 0.5);
  }

  private static double quantile(double[] values, double share) {
    double[] sorted = values.clone();
    Arrays.sort(sorted);
    double at = share * (sorted.length - 1);
    int low = (int) at;
    int high = Math.min(low + 1, sorted.length - 1);
    return sorted[low] + (at - low) * (sorted[high] - sorted[low]);
  }
}

package org.sparkmoe.job.report;

import java.util.Arrays;

/** How uneven one distribution is, and how far two are apart. Counts that sum to 0 give 0. */
final class Distributions {
  private static final double LOG_2 = Math.log(2);

  private Distributions() {}

  /** The Gini coefficient of {@code counts}: 0 where all are equal, 1 − 1/n where one has all. */
  static double gini(long[] counts) {
    long[] sorted = counts.clone();
    Arrays.sort(sorted);
    double total = 0;
    double ranked = 0;
    for (int i = 0; i < sorted.length; i++) {
      total += sorted[i];
      ranked += (2.0 * (i + 1) - sorted.length - 1) * sorted[i];
    }
    return total == 0 ? 0 : ranked / (sorted.length * total);
  }

  /** Entropy in bits. */
  static double entropy(double[] shares) {
    double sum = 0;
    for (double share : shares) {
      sum -= share > 0 ? share * Math.log(share) / LOG_2 : 0;
    }
    return sum + 0.0;
  }

  /** The largest count over the mean of all, 1 where there is nothing. */
  static double hottestOverMean(long[] counts) {
    double total = Arrays.stream(counts).asDoubleStream().sum();
    long most = Arrays.stream(counts).max().orElse(0);
    return total == 0 ? 1 : most / (total / counts.length);
  }

  /** Counts over their sum. */
  static double[] shares(long[] counts) {
    double total = Arrays.stream(counts).asDoubleStream().sum();
    return Arrays.stream(counts)
        .asDoubleStream()
        .map(count -> total == 0 ? 0 : count / total)
        .toArray();
  }

  /** Half the sum of absolute differences: the share of routes that would have to move. */
  static double totalVariation(double[] a, double[] b) {
    double sum = 0;
    for (int i = 0; i < a.length; i++) {
      sum += Math.abs(a[i] - b[i]);
    }
    return sum / 2;
  }

  /** Jensen-Shannon divergence in bits: 0 for equal distributions, 1 for disjoint ones. */
  static double jensenShannon(double[] a, double[] b) {
    double[] middle = new double[a.length];
    for (int i = 0; i < a.length; i++) {
      middle[i] = (a[i] + b[i]) / 2;
    }
    return Math.max(0, entropy(middle) - (entropy(a) + entropy(b)) / 2);
  }
}

package org.sparkmoe.job.report;

import java.io.Serializable;

/**
 * Bins of equal width over a closed range.
 *
 * @param from lower end
 * @param to upper end, above {@code from}
 * @param count bins
 */
record Bins(double from, double to, int count) implements Serializable {

  /**
   * Bins whose ends are round numbers.
   *
   * @param least of the values; 0 is in the range in any case
   * @param most of the values
   */
  static Bins around(double least, double most, int count) {
    double size = Math.max(Math.abs(least), Math.abs(most));
    double round = size > 0 && Double.isFinite(size) ? roundedUp(size) : 1;
    return new Bins(least < 0 ? -round : 0, most > 0 || least >= 0 ? round : 0, count);
  }

  /** The bin of {@code value}; values outside are in the first or the last one. */
  int of(double value) {
    return Math.clamp((int) Math.floor((value - from) / (to - from) * count), 0, count - 1);
  }

  /** The next of 1, 2, 2.5, 5, 10 times a power of ten. */
  private static double roundedUp(double value) {
    double power = Math.pow(10, Math.floor(Math.log10(value)));
    for (double step : new double[] {1, 2, 2.5, 5}) {
      if (value <= step * power) {
        return step * power;
      }
    }
    return 10 * power;
  }
}

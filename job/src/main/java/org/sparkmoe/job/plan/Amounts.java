package org.sparkmoe.job.plan;

import java.util.Locale;

/** Numbers as people read them. */
public final class Amounts {
  private static final String[] UNITS = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};

  private Amounts() {}

  /** Bytes in the largest binary unit that leaves at least 1, with three digits. */
  public static String bytes(long bytes) {
    double value = bytes;
    int unit = 0;
    while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
      value /= 1024;
      unit++;
    }
    String format =
        unit == 0 ? "%.0f %s" : value < 10 ? "%.2f %s" : value < 100 ? "%.1f %s" : "%.0f %s";
    return String.format(Locale.ROOT, format, value, UNITS[unit]);
  }

  /** A count with thousands separated. */
  public static String count(long count) {
    return String.format(Locale.ROOT, "%,d", count);
  }

  /** Seconds, with the precision that matters at that size. */
  public static String seconds(double seconds) {
    if (seconds >= 60) {
      long whole = Math.round(seconds);
      return String.format(Locale.ROOT, "%d min %02d s", whole / 60, whole % 60);
    }
    if (seconds > 0 && seconds < 0.001) {
      return "<1 ms";
    }
    return String.format(Locale.ROOT, seconds < 1 ? "%.3f s" : "%.1f s", seconds);
  }

  /** Per second, rounded to a count. */
  public static String rate(double perSecond) {
    return count(Math.round(perSecond));
  }
}

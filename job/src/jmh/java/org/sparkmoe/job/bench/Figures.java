package org.sparkmoe.job.bench;

import java.util.Locale;
import org.sparkmoe.kernels.tensor.DType;

/** Numbers as they stand in tables. */
final class Figures {
  private Figures() {}

  /** GFLOP/s or GB/s. */
  static String rate(double value) {
    return format(value < 10 ? "%.2f" : "%.1f", value);
  }

  static String ratio(double value) {
    return format("%.2f", value);
  }

  static String percent(double share) {
    return format("%.0f %%", share * 100);
  }

  static String millis(double seconds) {
    return format(seconds < 0.1 ? "%.2f" : "%.0f", seconds * 1e3);
  }

  static String count(double value) {
    return format("%,.0f", value);
  }

  static String gibibytes(long bytes) {
    return format("%.2f GiB", (double) bytes / (1L << 30));
  }

  /** f32, bf16 or f16. */
  static String name(DType dtype) {
    return dtype.name().toLowerCase(Locale.ROOT);
  }

  private static String format(String format, double value) {
    return String.format(Locale.ROOT, format, value);
  }
}

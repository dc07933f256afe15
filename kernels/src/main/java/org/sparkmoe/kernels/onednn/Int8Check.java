package org.sparkmoe.kernels.onednn;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A trial product in int8. CPUs without instructions for sums of byte products compute them through
 * 16 bits, which saturate: the first rows and outputs hold the extremes, where that shows.
 */
final class Int8Check {
  private static final int ROWS = 6;
  private static final int OUTPUTS = 100;
  private static final int INPUTS = 1100;

  private Int8Check() {}

  /** What is wrong with them, or an empty string. */
  static String failure() {
    try (Arena arena = Arena.ofConfined()) {
      byte[] x = new byte[ROWS * INPUTS];
      byte[] w = new byte[OUTPUTS * INPUTS];
      fill(x, (byte) 127, (byte) -127, 3);
      fill(w, (byte) 127, (byte) -128, 5);
      Int8Product product = Int8Product.of(OUTPUTS, INPUTS);
      MemorySegment sums = arena.allocate(JAVA_INT, (long) ROWS * OUTPUTS);
      product.run(
          0,
          ROWS,
          arena.allocateFrom(JAVA_BYTE, x),
          product.pack(MemorySegment.ofArray(w), arena),
          sums);
      return firstWrong(x, w, sums);
    } catch (DnnlException e) {
      return e.getMessage();
    }
  }

  private static String firstWrong(byte[] x, byte[] w, MemorySegment sums) {
    for (int m = 0; m < ROWS; m++) {
      for (int n = 0; n < OUTPUTS; n++) {
        int sum = 0;
        for (int k = 0; k < INPUTS; k++) {
          sum += x[m * INPUTS + k] * w[n * INPUTS + k];
        }
        int actual = sums.getAtIndex(JAVA_INT, (long) m * OUTPUTS + n);
        if (actual != sum) {
          return "oneDNN %s computes int8 products inexactly on this CPU: %d instead of %d"
              .formatted(Library.dnnl().version(), actual, sum);
        }
      }
    }
    return "";
  }

  /** Two lines of extremes, then bytes without a pattern, the same on every machine. */
  private static void fill(byte[] values, byte most, byte least, int step) {
    for (int i = 0; i < values.length; i++) {
      int line = i / INPUTS;
      values[i] =
          switch (line) {
            case 0 -> most;
            case 1 -> least;
            default -> (byte) Math.max(least, (byte) ((i * step * 0x9E3779B1) >>> 24));
          };
    }
  }
}

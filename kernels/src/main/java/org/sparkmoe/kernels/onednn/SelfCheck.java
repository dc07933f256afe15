package org.sparkmoe.kernels.onednn;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;

/**
 * A trial product for every type of weights, because a wrong kernel says nothing: oneDNN up to 3.13
 * silently computes some products of f32 rows and 16-bit weights wrongly. Shapes have several
 * slices of K, a shorter last one, and a narrow last panel.
 */
final class SelfCheck {
  private static final int ROWS = 6;
  private static final int OUTPUTS = 100;
  private static final int INPUTS = 1100;
  private static final double TOLERANCE = 1e-5;

  private SelfCheck() {}

  /** What is wrong with products of f32 rows, or an empty string. */
  static String failure() {
    return failure(DType.F32, List.of(DType.values()));
  }

  /** What is wrong with products of bf16 rows, or an empty string. */
  static String bf16Failure() {
    return failure(DType.BF16, List.of(DType.BF16));
  }

  private static String failure(DType compute, List<DType> weights) {
    try {
      for (DType type : weights) {
        double error = error(type, compute);
        // a NaN is a failure too
        if (!(error <= TOLERANCE)) {
          return """
          oneDNN %s computes wrongly on this CPU: %s rows by %s weights have a relative error \
          of %.2g, limit %.0g; use vector\
          """
              .formatted(Library.dnnl().version(), compute, type, error, TOLERANCE);
        }
      }
      return "";
    } catch (DnnlException e) {
      return e.getMessage();
    }
  }

  /** Relative L2 error of a product against f64 sums. */
  private static double error(DType type, DType compute) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment x = arena.allocate(compute.bytes((long) ROWS * INPUTS));
      MemorySegment w = arena.allocate(type.bytes((long) OUTPUTS * INPUTS));
      for (int i = 0; i < ROWS * INPUTS; i++) {
        compute.set(x, i, value(i));
      }
      for (int i = 0; i < OUTPUTS * INPUTS; i++) {
        type.set(w, i, value(7L * i + 3));
      }
      Matrix weight = new Matrix(w, type, OUTPUTS, INPUTS);
      WeightTiles tiles = WeightTiles.of(OUTPUTS, INPUTS, type, compute);
      MemorySegment y = arena.allocate(DType.F32.bytes((long) ROWS * OUTPUTS));
      MemorySegment packed = tiles.pack(weight, arena);
      TilePlan plan = tiles.plan(OUTPUTS, DType.F32, false, List.of());
      plan.run(ROWS, x.address(), packed, 0, y.address());
      return error(x, compute, weight, y);
    }
  }

  private static double error(MemorySegment x, DType compute, Matrix weight, MemorySegment y) {
    double difference = 0;
    double norm = 0;
    for (int m = 0; m < ROWS; m++) {
      for (int n = 0; n < OUTPUTS; n++) {
        double sum = 0;
        for (int k = 0; k < INPUTS; k++) {
          sum += (double) compute.get(x, (long) m * INPUTS + k) * weight.get(n, k);
        }
        double off = DType.F32.get(y, (long) m * OUTPUTS + n) - sum;
        difference += off * off;
        norm += sum * sum;
      }
    }
    return Math.sqrt(difference / norm);
  }

  /** Values within ±1 without a pattern, the same on every machine. */
  private static float value(long i) {
    long mixed = (i + 1) * 0x9E3779B97F4A7C15L;
    mixed ^= mixed >>> 29;
    mixed *= 0xBF58476D1CE4E5B9L;
    return (mixed >> 40) / (float) (1 << 23);
  }
}

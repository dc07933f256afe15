package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;

/**
 * Trial experts for every type of weights, with and without an up projection, because a wrong
 * kernel says nothing. Their sizes are no whole tiles and take several stages.
 */
final class SelfCheck {
  private static final int ROWS = 5;
  private static final int HIDDEN = 200;
  private static final int INTERMEDIATE = 72;
  private static final double F32_TOLERANCE = 1e-5;
  private static final double TOLERANCE = 1e-2;

  private static final GpuActivation RELU2 = new GpuActivation(9, 0, 0, Float.POSITIVE_INFINITY);

  private static final GpuActivation SILU = new GpuActivation(0, 0, 0, Float.POSITIVE_INFINITY);

  private SelfCheck() {}

  /** What is wrong, or an empty string. */
  static String failure(Gpu gpu) {
    try {
      for (DType type : DType.values()) {
        double error = Math.max(error(gpu, type, false), error(gpu, type, true));
        double limit = type == DType.F32 ? F32_TOLERANCE : TOLERANCE;
        // a NaN is a failure too
        if (!(error <= limit)) {
          return "%s computes wrongly: experts in %s have a relative error of %.2g, limit %.0g; use vector"
              .formatted(gpu, type, error, limit);
        }
      }
      return "";
    } catch (CudaException e) {
      return e.getMessage();
    }
  }

  private static double error(Gpu gpu, DType type, boolean gated) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment x = values(DType.F32, ROWS * HIDDEN, 1, arena);
      Matrix w1 = matrix(type, INTERMEDIATE, HIDDEN, 3, arena);
      Matrix w2 = matrix(type, HIDDEN, INTERMEDIATE, 5, arena);
      Matrix w3OrNull = gated ? matrix(type, INTERMEDIATE, HIDDEN, 7, arena) : null;
      GpuShape shape = new GpuShape(type, HIDDEN, INTERMEDIATE, gated);
      GpuExpert expert = GpuExpert.upload(gpu, shape, w1, w3OrNull, w2, null, null, null, arena);
      MemorySegment y = arena.allocate(x.byteSize());
      try (Lane lane = gpu.lane()) {
        lane.load(shape, ROWS, x, null, ROWS);
        lane.run(List.of(new Lane.Piece(expert, 0, ROWS)), gated ? SILU : RELU2);
        lane.rows(y);
      }
      return error(x, w1, w3OrNull, w2, y);
    }
  }

  private static double error(
      MemorySegment x, Matrix w1, Matrix w3OrNull, Matrix w2, MemorySegment y) {
    double difference = 0;
    double norm = 0;
    for (int row = 0; row < ROWS; row++) {
      double[] inner = new double[INTERMEDIATE];
      for (int i = 0; i < INTERMEDIATE; i++) {
        double gate = dot(w1, i, x, row);
        inner[i] =
            w3OrNull == null
                ? Math.max(gate, 0) * Math.max(gate, 0)
                : gate / (1 + Math.exp(-gate)) * dot(w3OrNull, i, x, row);
      }
      for (int h = 0; h < HIDDEN; h++) {
        double sum = 0;
        for (int i = 0; i < INTERMEDIATE; i++) {
          sum += w2.value(h, i) * inner[i];
        }
        double off = DType.F32.get(y, (long) row * HIDDEN + h) - sum;
        difference += off * off;
        norm += sum * sum;
      }
    }
    return Math.sqrt(difference / norm);
  }

  private static double dot(Matrix w, int output, MemorySegment x, int row) {
    double sum = 0;
    for (int h = 0; h < HIDDEN; h++) {
      sum += w.value(output, h) * DType.F32.get(x, (long) row * HIDDEN + h);
    }
    return sum;
  }

  private static Matrix matrix(DType type, int rows, int cols, int seed, Arena arena) {
    return new Matrix(values(type, rows * cols, seed, arena), type, rows, cols);
  }

  private static MemorySegment values(DType type, int count, int seed, Arena arena) {
    MemorySegment values = arena.allocate(type.bytes(count), Float.BYTES);
    for (int i = 0; i < count; i++) {
      type.set(values, i, value(7L * i + seed));
    }
    return values;
  }

  /** Values within ±1 without a pattern, the same on every machine. */
  private static float value(long i) {
    long mixed = (i + 1) * 0x9E3779B97F4A7C15L;
    mixed ^= mixed >>> 29;
    mixed *= 0xBF58476D1CE4E5B9L;
    return (mixed >> 40) / (float) (1 << 23);
  }
}

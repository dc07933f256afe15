package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.E4m3;
import org.sparkmoe.kernels.tensor.E8m0;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;

/**
 * Trial experts for every type of weights and codes, with and without an up projection, because a
 * wrong kernel says nothing. Their sizes are no whole tiles, take several stages and two tiles of
 * columns, which few rows take at a time.
 */
final class SelfCheck {
  private static final int ROWS = 5;
  private static final int HIDDEN = 296;
  private static final int INTERMEDIATE = 136;
  private static final int EXPERTS = 70;

  /** All experts are chosen, and their weights are their logits. */
  private static final GpuRouting ALL_LOGITS =
      new GpuRouting(EXPERTS, EXPERTS, 2, 1, 1, 0, 0, 0, 0, 1);

  private static final double F32_TOLERANCE = 1e-5;
  private static final double TOLERANCE = 1e-2;

  /** A value of the intermediate next to a tie goes to the other side. */
  private static final double FP8_TOLERANCE = 3e-2;

  private static final QuantFormat BLOCKS =
      QuantFormat.of(CodeType.E4M3, ScaleType.F32, GpuRows.GROUP, GpuRows.GROUP);

  private static final ActivationCodec CODEC =
      ActivationCodec.of(ActivationScheme.fp8PerBlock(GpuRows.GROUP, ScaleType.F32));

  /** Every kernel, every type of scales, and groups along both sides. */
  private static final List<WeightFormat> FORMATS =
      List.of(
          DType.F32,
          DType.BF16,
          DType.F16,
          BLOCKS,
          QuantFormat.of(CodeType.INT8, ScaleType.BF16, 1, QuantFormat.ALL),
          new QuantFormat(CodeType.UINT8, ScaleType.F16, 1, 64, true, false),
          new QuantFormat(CodeType.UINT4, ScaleType.F16, 1, 32, true, false),
          QuantFormat.of(CodeType.E2M1, ScaleType.E4M3, 1, 16),
          QuantFormat.of(CodeType.E2M1, ScaleType.E8M0, 1, 32));

  private static final GpuActivation RELU2 = new GpuActivation(9, 0, 0, Float.POSITIVE_INFINITY);

  private static final GpuActivation SILU = new GpuActivation(0, 0, 0, Float.POSITIVE_INFINITY);

  private SelfCheck() {}

  /** What is wrong, or an empty string. */
  static String failure(Gpu gpu) {
    try {
      for (WeightFormat format : FORMATS) {
        double error =
            Math.max(
                error(gpu, format, GpuRows.ROUNDED, false),
                error(gpu, format, GpuRows.ROUNDED, true));
        double limit = format == DType.F32 ? F32_TOLERANCE : TOLERANCE;
        // a NaN is a failure too
        if (!(error <= limit)) {
          return "%s computes wrongly: experts in %s have a relative error of %.2g, limit %.0g; use vector"
              .formatted(gpu, format.label(), error, limit);
        }
      }
      String logits = logitsFailure(gpu);
      return logits.isEmpty() && gpu.fp8Refusal().isEmpty() ? fp8Failure(gpu) : logits;
    } catch (CudaException e) {
      return e.getMessage();
    }
  }

  private static String fp8Failure(Gpu gpu) {
    double error = error(gpu, BLOCKS, GpuRows.FP8, true);
    return error <= FP8_TOLERANCE
        ? ""
        : "%s computes wrongly: experts in FP8 have a relative error of %.2g, limit %.0g; use vector"
            .formatted(gpu, error, FP8_TOLERANCE);
  }

  /**
   * Of each four products that a logit adds up, a large one is taken back by the third: what is
   * left of the others shows in which order they were added.
   */
  private static String logitsFailure(Gpu gpu) {
    try (Arena arena = Arena.ofConfined();
        Lane lane = gpu.lane()) {
      MemorySegment x = arena.allocate(DType.F32.bytes(ROWS * HIDDEN), Float.BYTES);
      MemorySegment w = arena.allocate(DType.F32.bytes(EXPERTS * HIDDEN), Float.BYTES);
      fillCancelling(x, ROWS, 1, -1);
      fillCancelling(w, EXPERTS, 3, 1);
      int[] ids = new int[ROWS * EXPERTS];
      float[] logits = new float[ids.length];
      Matrix router = new Matrix(w, DType.F32, EXPERTS, HIDDEN);
      lane.load(HIDDEN, ROWS, x, DType.F32);
      lane.route(GpuRouter.upload(gpu, ALL_LOGITS, router, null, null, arena));
      lane.fetchRoutes(ids, logits, 0);
      for (int i = 0; i < ids.length; i++) {
        float expected = (float) dot(router, ids[i], x, i / EXPERTS);
        if (logits[i] != expected) {
          return "%s adds in another order: a logit is %s, expected %s; use vector"
              .formatted(gpu, logits[i], expected);
        }
      }
      return "";
    }
  }

  private static void fillCancelling(MemorySegment to, int rows, int seed, int sign) {
    for (int i = 0; i < rows * HIDDEN; i++) {
      float value = value(7L * i + seed);
      switch (i % HIDDEN % 4) {
        case 0 -> DType.F32.set(to, i, Math.scalb(value, 27));
        case 2 -> DType.F32.set(to, i, sign * DType.F32.get(to, i - 2));
        default -> DType.F32.set(to, i, value);
      }
    }
  }

  private static double error(Gpu gpu, WeightFormat format, GpuRows rows, boolean gated) {
    ActivationCodec codec = rows == GpuRows.ROUNDED ? ActivationCodec.NONE : CODEC;
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment x = values(DType.F32, ROWS * HIDDEN, 1, arena);
      codec.requantize(ROWS, HIDDEN, x);
      Weight w1 = weight(format, INTERMEDIATE, HIDDEN, 3, arena);
      Weight w2 = weight(format, HIDDEN, INTERMEDIATE, 5, arena);
      Weight w3OrNull = gated ? weight(format, INTERMEDIATE, HIDDEN, 7, arena) : null;
      GpuShape shape = new GpuShape(format, rows, HIDDEN, INTERMEDIATE, gated);
      GpuExpert expert = GpuExpert.upload(gpu, shape, w1, w3OrNull, w2, null, null, null, arena);
      MemorySegment y = arena.allocate(x.byteSize());
      try (Lane lane = gpu.lane()) {
        lane.load(HIDDEN, ROWS, x, DType.F32);
        lane.arrange(shape);
        lane.start(List.of(new Lane.Piece(expert, 0, ROWS)), gated ? SILU : RELU2);
        lane.rows(y);
        lane.finish();
      }
      return error(x, w1, w3OrNull, w2, codec, y);
    }
  }

  private static double error(
      MemorySegment x,
      Weight w1,
      Weight w3OrNull,
      Weight w2,
      ActivationCodec codec,
      MemorySegment y) {
    double difference = 0;
    double norm = 0;
    for (int row = 0; row < ROWS; row++) {
      float[] inner = new float[INTERMEDIATE];
      for (int i = 0; i < INTERMEDIATE; i++) {
        double gate = dot(w1, i, x, row);
        inner[i] =
            (float)
                (w3OrNull == null
                    ? Math.max(gate, 0) * Math.max(gate, 0)
                    : gate / (1 + Math.exp(-gate)) * dot(w3OrNull, i, x, row));
      }
      codec.requantize(inner, 0, INTERMEDIATE);
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

  private static double dot(Weight w, int output, MemorySegment x, int row) {
    double sum = 0;
    for (int h = 0; h < HIDDEN; h++) {
      sum += w.value(output, h) * DType.F32.get(x, (long) row * HIDDEN + h);
    }
    return sum;
  }

  private static Weight weight(WeightFormat format, int rows, int cols, int seed, Arena arena) {
    return switch (format) {
      case DType type -> new Matrix(values(type, rows * cols, seed, arena), type, rows, cols);
      case QuantFormat coded -> quantized(coded, rows, cols, seed, arena);
    };
  }

  /** Codes without a pattern, none of them NaN, and scales between 1/64 and 1/8. */
  private static QuantizedMatrix quantized(
      QuantFormat format, int rows, int cols, int seed, Arena arena) {
    MemorySegment codes = arena.allocate(rows * format.codes().bytes(cols));
    for (long i = 0; i < codes.byteSize(); i++) {
      byte code = (byte) (127 * value(7L * i + seed));
      codes.set(JAVA_BYTE, i, (code & E4m3.NAN) == E4m3.NAN ? 0 : code);
    }
    long count = format.scaleCount(rows, cols);
    MemorySegment scales = arena.allocate(count * format.scales().bytes());
    MemorySegment zeros = arena.allocate(format.zeros() ? count : 0);
    for (long i = 0; i < count; i++) {
      float scale = 0x1p-6f + Math.abs(value(11L * i + seed)) / 8;
      switch (format.scales()) {
        case F32 -> DType.F32.set(scales, i, scale);
        case BF16 -> DType.BF16.set(scales, i, scale);
        case F16 -> DType.F16.set(scales, i, scale);
        case E4M3 -> scales.set(JAVA_BYTE, i, (byte) E4m3.encode(scale));
        case E8M0 -> scales.set(JAVA_BYTE, i, (byte) E8m0.encodeUp(scale));
      }
      if (format.zeros()) {
        zeros.set(JAVA_BYTE, i, (byte) (i % 13));
      }
    }
    return new QuantizedMatrix(
        codes, format, rows, cols, scales, 1, format.zeros() ? zeros : null, null);
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

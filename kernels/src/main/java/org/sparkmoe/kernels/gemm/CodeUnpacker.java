package org.sparkmoe.kernels.gemm;

import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/** Unpacks a stretch of {@link CodePanels} to f32: each weight is what registers multiply by. */
final class CodeUnpacker {
  private static final int WIDTH = Panels.WIDTH;
  private static final int HALF = WIDTH / 2;
  private static final long UPPER = HALF * Float.BYTES;

  /** Bytes from a group's factors to its zero points. */
  private static final long ZEROS = WIDTH * Float.BYTES;

  private CodeUnpacker() {}

  /**
   * A run of columns with one group.
   *
   * @param codes of the matrix
   * @param from byte of the run's first
   * @param depth columns
   * @param factors holds {@link CodeFactors#VALUES}
   * @param at byte of the first of them
   * @param to receives depth rows of 32 f32
   * @param toByte of the first
   * @param stride bytes from one row to the next
   */
  private record Run(
      MemorySegment codes,
      long from,
      int depth,
      MemorySegment factors,
      long at,
      MemorySegment to,
      long toByte,
      long stride) {

    FloatVector factor(int lane) {
      return CodeValues.load(factors, at + (long) lane * Float.BYTES);
    }

    FloatVector zero(int lane) {
      return CodeValues.load(factors, at + ZEROS + (long) lane * Float.BYTES);
    }
  }

  /**
   * Unpacks columns {@code k} to {@code k + depth} of a panel.
   *
   * @param to receives depth × 32 f32 from byte {@code toByte}
   * @param stride bytes from one column's weights to the next column's
   * @param factors scratch of {@link CodeFactors#VALUES} f32 from byte {@code factorsByte}
   */
  static void unpack(
      CodePanels w,
      int panel,
      int k,
      int depth,
      MemorySegment to,
      long toByte,
      long stride,
      MemorySegment factors,
      long factorsByte) {
    for (int first = k, end; first < k + depth; first = end) {
      end = w.runEnd(first, k + depth);
      CodeFactors.expand(w, panel, w.group(first), factors, factorsByte);
      long target = toByte + (first - k) * stride;
      long from = w.byteOf(panel, first);
      Run run = new Run(w.codes(), from, end - first, factors, factorsByte, to, target, stride);
      for (int lane = 0; lane < HALF; lane += LANES) {
        switch (w.format().codes()) {
          case E4M3 -> e4m3(run, lane, CodeValues.E4M3_LIFT / w.lift());
          case INT8 -> int8(run, lane);
          case UINT8 -> uint8(run, lane);
          case UINT4 -> uint4(run, lane);
          case E2M1 -> e2m1(run, lane);
        }
      }
    }
  }

  /**
   * As the others, the columns of outputs lane and lane + 16.
   *
   * @param rest what is missing from the lift of the factors
   */
  private static void e4m3(Run run, int lane, float rest) {
    FloatVector low = run.factor(lane);
    FloatVector high = run.factor(lane + HALF);
    MemorySegment codes = run.codes();
    MemorySegment to = run.to();
    long start = run.from() + lane;
    long first = run.toByte() + (long) lane * Float.BYTES;
    int depth = run.depth();
    long stride = run.stride();
    boolean lifted = rest == 1;
    for (int k = 0; k < depth; k++) {
      long from = start + (long) k * WIDTH;
      long at = first + k * stride;
      FloatVector one = CodeValues.e4m3(CodeValues.signed(codes, from));
      FloatVector two = CodeValues.e4m3(CodeValues.signed(codes, from + HALF));
      if (!lifted) {
        one = one.mul(rest);
        two = two.mul(rest);
      }
      store(one.mul(low), to, at);
      store(two.mul(high), to, at + UPPER);
    }
  }

  private static void int8(Run run, int lane) {
    FloatVector low = run.factor(lane);
    FloatVector high = run.factor(lane + HALF);
    MemorySegment codes = run.codes();
    MemorySegment to = run.to();
    long start = run.from() + lane;
    long first = run.toByte() + (long) lane * Float.BYTES;
    int depth = run.depth();
    long stride = run.stride();
    for (int k = 0; k < depth; k++) {
      long from = start + (long) k * WIDTH;
      long at = first + k * stride;
      store(CodeValues.int8(CodeValues.signed(codes, from)).mul(low), to, at);
      store(CodeValues.int8(CodeValues.signed(codes, from + HALF)).mul(high), to, at + UPPER);
    }
  }

  private static void uint8(Run run, int lane) {
    FloatVector low = run.factor(lane);
    FloatVector high = run.factor(lane + HALF);
    FloatVector zeroLow = run.zero(lane);
    FloatVector zeroHigh = run.zero(lane + HALF);
    MemorySegment codes = run.codes();
    MemorySegment to = run.to();
    long start = run.from() + lane;
    long first = run.toByte() + (long) lane * Float.BYTES;
    int depth = run.depth();
    long stride = run.stride();
    for (int k = 0; k < depth; k++) {
      long from = start + (long) k * WIDTH;
      long at = first + k * stride;
      IntVector one = CodeValues.unsigned(codes, from);
      IntVector two = CodeValues.unsigned(codes, from + HALF);
      store(CodeValues.uint8(one, zeroLow).mul(low), to, at);
      store(CodeValues.uint8(two, zeroHigh).mul(high), to, at + UPPER);
    }
  }

  private static void uint4(Run run, int lane) {
    FloatVector low = run.factor(lane);
    FloatVector high = run.factor(lane + HALF);
    FloatVector zeroLow = run.zero(lane);
    FloatVector zeroHigh = run.zero(lane + HALF);
    MemorySegment codes = run.codes();
    MemorySegment to = run.to();
    long start = run.from() + lane;
    long first = run.toByte() + (long) lane * Float.BYTES;
    int depth = run.depth();
    long stride = run.stride();
    for (int k = 0; k < depth; k++) {
      long from = start + (long) k * HALF;
      long at = first + k * stride;
      IntVector pairs = CodeValues.unsigned(codes, from);
      store(CodeValues.uint4Low(pairs, zeroLow).mul(low), to, at);
      store(CodeValues.uint4High(pairs, zeroHigh).mul(high), to, at + UPPER);
    }
  }

  private static void e2m1(Run run, int lane) {
    FloatVector low = run.factor(lane);
    FloatVector high = run.factor(lane + HALF);
    MemorySegment codes = run.codes();
    MemorySegment to = run.to();
    long start = run.from() + lane;
    long first = run.toByte() + (long) lane * Float.BYTES;
    int depth = run.depth();
    long stride = run.stride();
    for (int k = 0; k < depth; k++) {
      long from = start + (long) k * HALF;
      long at = first + k * stride;
      IntVector pairs = CodeValues.unsigned(codes, from);
      store(CodeValues.e2m1Low(pairs).mul(low), to, at);
      store(CodeValues.e2m1High(pairs).mul(high), to, at + UPPER);
    }
  }

  private static void store(FloatVector values, MemorySegment to, long toByte) {
    values.intoMemorySegment(to, toByte, ByteOrder.LITTLE_ENDIAN);
  }
}

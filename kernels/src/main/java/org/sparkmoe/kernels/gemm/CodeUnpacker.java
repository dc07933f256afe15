package org.sparkmoe.kernels.gemm;

import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import org.sparkmoe.kernels.tensor.CodeType;

/** Unpacks a stretch of {@link CodePanels} to f32: each weight is what registers multiply by. */
final class CodeUnpacker {
  private static final int WIDTH = Panels.WIDTH;
  private static final int HALF = WIDTH / 2;
  private static final long UPPER = HALF * Float.BYTES;

  /** Bytes of four columns of half a panel, and of a panel, of 8 bits and of 4. */
  private static final int BLOCK = 4 * HALF;

  private static final int BYTES = 2 * BLOCK;
  private static final int PAIR_BYTES = BLOCK;

  /** Bytes from a group's factors to its zero points. */
  private static final long ZEROS = WIDTH * Float.BYTES;

  private CodeUnpacker() {}

  /**
   * A run of columns with one group.
   *
   * @param codes of the matrix
   * @param from byte of the four columns with the run's first
   * @param first the run's first column of those
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
      int first,
      int depth,
      MemorySegment factors,
      long at,
      MemorySegment to,
      long toByte,
      long stride) {

    static Run of(
        CodePanels w,
        int panel,
        int k,
        int depth,
        MemorySegment factors,
        long at,
        MemorySegment to,
        long toByte,
        long stride) {
      int first = k % CodePanels.QUAD;
      return new Run(w.codes(), w.byteOf(panel, k), first, depth, factors, at, to, toByte, stride);
    }

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
   * @param factors scratch of {@link CodeFactors#SCRATCH_VALUES} f32 from byte {@code factorsByte}
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
    int groups = w.format().groups(w.cols());
    if (w.format().ordered() && groups <= CodeFactors.MOST_GROUPS) {
      CodeFactors.expand(w, panel, 0, groups, factors, factorsByte);
      Run run = Run.of(w, panel, k, depth, factors, factorsByte, to, toByte, stride);
      for (int lane = 0; lane < HALF; lane += LANES) {
        ordered(run, w, k, lane);
      }
      return;
    }
    // groups of an ordered matrix do not follow each other: each run makes its own
    int most = w.format().ordered() ? 1 : CodeFactors.MOST_GROUPS;
    int last = w.group(k + depth - 1);
    int runs = 0;
    for (int first = k, end; first < k + depth; first = end, runs++) {
      end = w.runEnd(first, k + depth);
      int place = runs % most;
      if (place == 0) {
        int group = w.group(first);
        int count = most == 1 ? 1 : Math.min(most, last + 1 - group);
        CodeFactors.expand(w, panel, group, count, factors, factorsByte);
      }
      long at = factorsByte + CodeFactors.bytes(place);
      long target = toByte + (first - k) * stride;
      unpack(w, Run.of(w, panel, first, end - first, factors, at, to, target, stride));
    }
  }

  private static void unpack(CodePanels w, Run run) {
    for (int lane = 0; lane < HALF; lane += LANES) {
      switch (w.format().codes()) {
        case E4M3 -> e4m3(run, lane, CodeValues.E4M3_LIFT / w.lift());
        case INT8, UINT8 -> bytes(run, lane);
        case UINT4 -> uint4(run, lane);
        case E2M1 -> e2m1(run, lane);
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
    long start = run.from() + (long) lane * CodePanels.QUAD;
    int first = run.first();
    long target = run.toByte() + (long) lane * Float.BYTES;
    int depth = run.depth();
    long stride = run.stride();
    boolean lifted = rest == 1;
    for (int k = 0; k < depth; k++) {
      int column = (first + k) & 3;
      long from = start + (long) ((first + k) >> 2) * BYTES;
      long at = target + k * stride;
      FloatVector one = CodeValues.e4m3(CodeValues.signed(CodeValues.quads(codes, from), column));
      FloatVector two =
          CodeValues.e4m3(CodeValues.signed(CodeValues.quads(codes, from + BLOCK), column));
      if (!lifted) {
        one = one.mul(rest);
        two = two.mul(rest);
      }
      store(one.mul(low), to, at);
      store(two.mul(high), to, at + UPPER);
    }
  }

  private static void bytes(Run run, int lane) {
    FloatVector low = run.factor(lane);
    FloatVector high = run.factor(lane + HALF);
    FloatVector zeroLow = run.zero(lane);
    FloatVector zeroHigh = run.zero(lane + HALF);
    MemorySegment codes = run.codes();
    MemorySegment to = run.to();
    long start = run.from() + (long) lane * CodePanels.QUAD;
    int first = run.first();
    long target = run.toByte() + (long) lane * Float.BYTES;
    int depth = run.depth();
    long stride = run.stride();
    for (int k = 0; k < depth; k++) {
      int column = (first + k) & 3;
      long from = start + (long) ((first + k) >> 2) * BYTES;
      long at = target + k * stride;
      IntVector one = CodeValues.unsigned(CodeValues.quads(codes, from), column);
      IntVector two = CodeValues.unsigned(CodeValues.quads(codes, from + BLOCK), column);
      store(CodeValues.bytes(one, zeroLow).mul(low), to, at);
      store(CodeValues.bytes(two, zeroHigh).mul(high), to, at + UPPER);
    }
  }

  private static void uint4(Run run, int lane) {
    FloatVector low = run.factor(lane);
    FloatVector high = run.factor(lane + HALF);
    FloatVector zeroLow = run.zero(lane);
    FloatVector zeroHigh = run.zero(lane + HALF);
    MemorySegment codes = run.codes();
    MemorySegment to = run.to();
    long start = run.from() + (long) lane * CodePanels.QUAD;
    int first = run.first();
    long target = run.toByte() + (long) lane * Float.BYTES;
    int depth = run.depth();
    long stride = run.stride();
    for (int k = 0; k < depth; k++) {
      int column = (first + k) & 3;
      long from = start + (long) ((first + k) >> 2) * PAIR_BYTES;
      long at = target + k * stride;
      IntVector pairs = CodeValues.unsigned(CodeValues.quads(codes, from), column);
      store(CodeValues.uint4Low(pairs, zeroLow).mul(low), to, at);
      store(CodeValues.uint4High(pairs, zeroHigh).mul(high), to, at + UPPER);
    }
  }

  private static void e2m1(Run run, int lane) {
    FloatVector low = run.factor(lane);
    FloatVector high = run.factor(lane + HALF);
    MemorySegment codes = run.codes();
    MemorySegment to = run.to();
    long start = run.from() + (long) lane * CodePanels.QUAD;
    int first = run.first();
    long target = run.toByte() + (long) lane * Float.BYTES;
    int depth = run.depth();
    long stride = run.stride();
    for (int k = 0; k < depth; k++) {
      int column = (first + k) & 3;
      long from = start + (long) ((first + k) >> 2) * PAIR_BYTES;
      long at = target + k * stride;
      IntVector pairs = CodeValues.unsigned(CodeValues.quads(codes, from), column);
      store(CodeValues.e2m1Low(pairs).mul(low), to, at);
      store(CodeValues.e2m1High(pairs).mul(high), to, at + UPPER);
    }
  }

  /**
   * Neighbouring columns of act-order have different groups: factors are loaded for each column,
   * and have been made for all groups before.
   *
   * @param run all columns, from {@code fromColumn} of the matrix; its factors are those of group 0
   */
  private static void ordered(Run run, CodePanels w, int fromColumn, int lane) {
    boolean pairs = w.format().codes() == CodeType.UINT4;
    MemorySegment codes = run.codes();
    MemorySegment factors = run.factors();
    MemorySegment to = run.to();
    MemorySegment groupOf = w.groupOfOrNull();
    long start = run.from() + (long) lane * CodePanels.QUAD;
    int first = run.first();
    long at = run.at() + (long) lane * Float.BYTES;
    long target = run.toByte() + (long) lane * Float.BYTES;
    int depth = run.depth();
    long stride = run.stride();
    for (int k = 0; k < depth; k++) {
      int group = groupOf.get(ValueLayout.JAVA_INT, (long) (fromColumn + k) * Integer.BYTES);
      long factor = at + CodeFactors.bytes(group);
      FloatVector low = CodeValues.load(factors, factor);
      FloatVector high = CodeValues.load(factors, factor + UPPER);
      FloatVector zeroLow = CodeValues.load(factors, factor + ZEROS);
      FloatVector zeroHigh = CodeValues.load(factors, factor + ZEROS + UPPER);
      long toByte = target + k * stride;
      int column = (first + k) & 3;
      if (pairs) {
        long from = start + (long) ((first + k) >> 2) * PAIR_BYTES;
        IntVector both = CodeValues.unsigned(CodeValues.quads(codes, from), column);
        store(CodeValues.uint4Low(both, zeroLow).mul(low), to, toByte);
        store(CodeValues.uint4High(both, zeroHigh).mul(high), to, toByte + UPPER);
      } else {
        long from = start + (long) ((first + k) >> 2) * BYTES;
        IntVector one = CodeValues.unsigned(CodeValues.quads(codes, from), column);
        IntVector two = CodeValues.unsigned(CodeValues.quads(codes, from + BLOCK), column);
        store(CodeValues.bytes(one, zeroLow).mul(low), to, toByte);
        store(CodeValues.bytes(two, zeroHigh).mul(high), to, toByte + UPPER);
      }
    }
  }

  private static void store(FloatVector values, MemorySegment to, long toByte) {
    values.intoMemorySegment(to, toByte, ByteOrder.LITTLE_ENDIAN);
  }
}

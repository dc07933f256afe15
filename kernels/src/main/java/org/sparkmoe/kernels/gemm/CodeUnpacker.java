package org.sparkmoe.kernels.gemm;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import org.sparkmoe.kernels.tensor.CodeType;

/** Unpacks a stretch of {@link CodePanels} to f32: each value is what registers multiply by. */
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
      ColumnRun run =
          ColumnRun.of(w, panel, k, depth, true, factors, factorsByte, to, toByte, stride);
      for (int lane = 0; lane < HALF; lane += LANES) {
        ordered(run, w, k, lane);
      }
      return;
    }
    byRuns(w, panel, k, depth, true, to, toByte, stride, factors, factorsByte);
  }

  /**
   * Unpacks columns of {@link CodePanels#sumsGroups}: codes less their zero points.
   *
   * @param depth columns, of {@link CodeFactors#MOST_GROUPS} groups at most
   * @param factors receives the {@link CodeFactors} of these groups from byte {@code factorsByte}
   */
  static void unpackUnscaled(
      CodePanels w,
      int panel,
      int k,
      int depth,
      MemorySegment to,
      long toByte,
      long stride,
      MemorySegment factors,
      long factorsByte) {
    byRuns(w, panel, k, depth, false, to, toByte, stride, factors, factorsByte);
  }

  private static void byRuns(
      CodePanels w,
      int panel,
      int k,
      int depth,
      boolean scaled,
      MemorySegment to,
      long toByte,
      long stride,
      MemorySegment factors,
      long factorsByte) {
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
      unpack(
          w, ColumnRun.of(w, panel, first, end - first, scaled, factors, at, to, target, stride));
    }
  }

  private static void unpack(CodePanels w, ColumnRun run) {
    boolean quads = run.isOfQuads() && w.knowsQuads();
    for (int lane = 0; lane < HALF; lane += LANES) {
      if (quads) {
        byQuads(w, run, lane);
      } else {
        byColumns(w, run, lane);
      }
    }
  }

  private static void byQuads(CodePanels w, ColumnRun run, int lane) {
    switch (w.format().codes()) {
      case E4M3 -> QuadUnpacker.e4m3(run, lane);
      case INT8, UINT8 -> QuadUnpacker.bytes(run, lane);
      case UINT4 -> QuadUnpacker.uint4(run, lane);
      case E2M1 -> QuadUnpacker.e2m1(run, lane);
    }
  }

  private static void byColumns(CodePanels w, ColumnRun run, int lane) {
    switch (w.format().codes()) {
      case E4M3 -> e4m3(run, lane, CodeValues.E4M3_LIFT / w.lift());
      case INT8, UINT8 -> bytes(run, lane);
      case UINT4 -> uint4(run, lane);
      case E2M1 -> e2m1(run, lane);
    }
  }

  /**
   * As the others, the columns of outputs lane and lane + 16.
   *
   * @param rest what is missing from the lift of the factors
   */
  private static void e4m3(ColumnRun run, int lane, float rest) {
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
      one.mul(low).intoMemorySegment(to, at, LITTLE_ENDIAN);
      two.mul(high).intoMemorySegment(to, at + UPPER, LITTLE_ENDIAN);
    }
  }

  private static void bytes(ColumnRun run, int lane) {
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
      CodeValues.bytes(one, zeroLow).mul(low).intoMemorySegment(to, at, LITTLE_ENDIAN);
      CodeValues.bytes(two, zeroHigh).mul(high).intoMemorySegment(to, at + UPPER, LITTLE_ENDIAN);
    }
  }

  private static void uint4(ColumnRun run, int lane) {
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
      CodeValues.uint4Low(pairs, zeroLow).mul(low).intoMemorySegment(to, at, LITTLE_ENDIAN);
      CodeValues.uint4High(pairs, zeroHigh)
          .mul(high)
          .intoMemorySegment(to, at + UPPER, LITTLE_ENDIAN);
    }
  }

  private static void e2m1(ColumnRun run, int lane) {
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
      CodeValues.e2m1Low(pairs).mul(low).intoMemorySegment(to, at, LITTLE_ENDIAN);
      CodeValues.e2m1High(pairs).mul(high).intoMemorySegment(to, at + UPPER, LITTLE_ENDIAN);
    }
  }

  /**
   * Neighbouring columns of act-order have different groups: factors are loaded for each column,
   * and have been made for all groups before.
   *
   * @param run all columns, from {@code fromColumn} of the matrix; its factors are those of group 0
   */
  private static void ordered(ColumnRun run, CodePanels w, int fromColumn, int lane) {
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
        CodeValues.uint4Low(both, zeroLow).mul(low).intoMemorySegment(to, toByte, LITTLE_ENDIAN);
        CodeValues.uint4High(both, zeroHigh)
            .mul(high)
            .intoMemorySegment(to, toByte + UPPER, LITTLE_ENDIAN);
      } else {
        long from = start + (long) ((first + k) >> 2) * BYTES;
        IntVector one = CodeValues.unsigned(CodeValues.quads(codes, from), column);
        IntVector two = CodeValues.unsigned(CodeValues.quads(codes, from + BLOCK), column);
        CodeValues.bytes(one, zeroLow).mul(low).intoMemorySegment(to, toByte, LITTLE_ENDIAN);
        CodeValues.bytes(two, zeroHigh)
            .mul(high)
            .intoMemorySegment(to, toByte + UPPER, LITTLE_ENDIAN);
      }
    }
  }
}

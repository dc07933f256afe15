package org.sparkmoe.kernels.gemm;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.sparkmoe.kernels.gemm.CodeValues.SIXTEENTHS;
import static org.sparkmoe.kernels.gemm.CodeValues.UNITS;
import static org.sparkmoe.kernels.gemm.CodeValues.UPPER_HALF;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * Unpacks runs of whole quads: four columns of outputs lane and lane + 16 a turn.
 *
 * <p>Stores, and most steps, are written out, as in {@link FusedUint4}. That also makes these
 * methods too large (325 bytes of code, {@code FreqInlineSize}) to be compiled as a part of what
 * calls them, where the compiler may stop to inline in the middle of a loop, which then makes an
 * object of each register.
 */
final class QuadUnpacker {
  private static final int HALF = Panels.WIDTH / 2;
  private static final long UPPER = HALF * Float.BYTES;

  /** Bytes of four columns of half a panel of bytes. */
  private static final int BLOCK = CodePanels.QUAD * HALF;

  private static final int LOW = 0xF;
  private static final int HIGH = 0xF0;
  private static final int BYTE = 0xFF;

  private QuadUnpacker() {}

  static void uint4(ColumnRun run, int lane) {
    FloatVector low = run.factor(lane);
    FloatVector high = run.factor(lane + HALF);
    FloatVector zeroLow = run.zero(lane);
    FloatVector zeroHigh = run.zero(lane + HALF);
    MemorySegment codes = run.codes();
    MemorySegment to = run.to();
    long from = run.from() + (long) lane * CodePanels.QUAD;
    long at = run.toByte() + (long) lane * Float.BYTES;
    long stride = run.stride();
    int depth = run.depth();
    for (int k = 0; k < depth; k += CodePanels.QUAD) {
      IntVector q = CodeValues.quads(codes, from + (long) k * HALF);
      long to0 = at + k * stride;
      q.and(LOW)
          .or(UNITS)
          .reinterpretAsFloats()
          .sub(zeroLow)
          .mul(low)
          .intoMemorySegment(to, to0, LITTLE_ENDIAN);
      q.and(HIGH)
          .or(SIXTEENTHS)
          .reinterpretAsFloats()
          .sub(zeroHigh)
          .mul(high)
          .intoMemorySegment(to, to0 + UPPER, LITTLE_ENDIAN);
      IntVector q1 = q.lanewise(LSHR, 8);
      long to1 = to0 + stride;
      q1.and(LOW)
          .or(UNITS)
          .reinterpretAsFloats()
          .sub(zeroLow)
          .mul(low)
          .intoMemorySegment(to, to1, LITTLE_ENDIAN);
      q1.and(HIGH)
          .or(SIXTEENTHS)
          .reinterpretAsFloats()
          .sub(zeroHigh)
          .mul(high)
          .intoMemorySegment(to, to1 + UPPER, LITTLE_ENDIAN);
      IntVector q2 = q.lanewise(LSHR, 16);
      long to2 = to1 + stride;
      q2.and(LOW)
          .or(UNITS)
          .reinterpretAsFloats()
          .sub(zeroLow)
          .mul(low)
          .intoMemorySegment(to, to2, LITTLE_ENDIAN);
      q2.and(HIGH)
          .or(SIXTEENTHS)
          .reinterpretAsFloats()
          .sub(zeroHigh)
          .mul(high)
          .intoMemorySegment(to, to2 + UPPER, LITTLE_ENDIAN);
      IntVector q3 = q.lanewise(LSHR, 24);
      long to3 = to2 + stride;
      q3.and(LOW)
          .or(UNITS)
          .reinterpretAsFloats()
          .sub(zeroLow)
          .mul(low)
          .intoMemorySegment(to, to3, LITTLE_ENDIAN);
      q3.and(HIGH)
          .or(SIXTEENTHS)
          .reinterpretAsFloats()
          .sub(zeroHigh)
          .mul(high)
          .intoMemorySegment(to, to3 + UPPER, LITTLE_ENDIAN);
    }
  }

  static void bytes(ColumnRun run, int lane) {
    FloatVector low = run.factor(lane);
    FloatVector high = run.factor(lane + HALF);
    FloatVector zeroLow = run.zero(lane);
    FloatVector zeroHigh = run.zero(lane + HALF);
    MemorySegment codes = run.codes();
    MemorySegment to = run.to();
    long from = run.from() + (long) lane * CodePanels.QUAD;
    long at = run.toByte() + (long) lane * Float.BYTES;
    long stride = run.stride();
    int depth = run.depth();
    for (int k = 0; k < depth; k += CodePanels.QUAD) {
      IntVector q = CodeValues.quads(codes, from + (long) k * Panels.WIDTH);
      IntVector u = CodeValues.quads(codes, from + (long) k * Panels.WIDTH + BLOCK);
      long to0 = at + k * stride;
      q.and(BYTE)
          .or(UNITS)
          .reinterpretAsFloats()
          .sub(zeroLow)
          .mul(low)
          .intoMemorySegment(to, to0, LITTLE_ENDIAN);
      u.and(BYTE)
          .or(UNITS)
          .reinterpretAsFloats()
          .sub(zeroHigh)
          .mul(high)
          .intoMemorySegment(to, to0 + UPPER, LITTLE_ENDIAN);
      IntVector q1 = q.lanewise(LSHR, 8).and(BYTE).or(UNITS);
      IntVector u1 = u.lanewise(LSHR, 8).and(BYTE).or(UNITS);
      long to1 = to0 + stride;
      q1.reinterpretAsFloats().sub(zeroLow).mul(low).intoMemorySegment(to, to1, LITTLE_ENDIAN);
      u1.reinterpretAsFloats()
          .sub(zeroHigh)
          .mul(high)
          .intoMemorySegment(to, to1 + UPPER, LITTLE_ENDIAN);
      IntVector q2 = q.lanewise(LSHR, 16).and(BYTE).or(UNITS);
      IntVector u2 = u.lanewise(LSHR, 16).and(BYTE).or(UNITS);
      long to2 = to1 + stride;
      q2.reinterpretAsFloats().sub(zeroLow).mul(low).intoMemorySegment(to, to2, LITTLE_ENDIAN);
      u2.reinterpretAsFloats()
          .sub(zeroHigh)
          .mul(high)
          .intoMemorySegment(to, to2 + UPPER, LITTLE_ENDIAN);
      IntVector q3 = q.lanewise(LSHR, 24).or(UNITS);
      IntVector u3 = u.lanewise(LSHR, 24).or(UNITS);
      long to3 = to2 + stride;
      q3.reinterpretAsFloats().sub(zeroLow).mul(low).intoMemorySegment(to, to3, LITTLE_ENDIAN);
      u3.reinterpretAsFloats()
          .sub(zeroHigh)
          .mul(high)
          .intoMemorySegment(to, to3 + UPPER, LITTLE_ENDIAN);
    }
  }

  /** See {@link CodeValues#E2M1_IN_HALVES}. */
  static void e2m1(ColumnRun run, int lane) {
    FloatVector low = run.factor(lane);
    FloatVector high = run.factor(lane + HALF);
    MemorySegment codes = run.codes();
    MemorySegment to = run.to();
    long from = run.from() + (long) lane * CodePanels.QUAD;
    long at = run.toByte() + (long) lane * Float.BYTES;
    long stride = run.stride();
    int depth = run.depth();
    for (int k = 0; k < depth; k += CodePanels.QUAD) {
      IntVector q = CodeValues.quads(codes, from + (long) k * HALF);
      IntVector p00 = CodeValues.e2m1(q, 0);
      IntVector p01 = CodeValues.e2m1(q, 4);
      IntVector p10 = CodeValues.e2m1(q, 8);
      IntVector p11 = CodeValues.e2m1(q, 12);
      long to0 = at + k * stride;
      p00.lanewise(LSHL, 16)
          .reinterpretAsFloats()
          .mul(low)
          .intoMemorySegment(to, to0, LITTLE_ENDIAN);
      p01.lanewise(LSHL, 16)
          .reinterpretAsFloats()
          .mul(high)
          .intoMemorySegment(to, to0 + UPPER, LITTLE_ENDIAN);
      long to1 = to0 + stride;
      p10.lanewise(LSHL, 16)
          .reinterpretAsFloats()
          .mul(low)
          .intoMemorySegment(to, to1, LITTLE_ENDIAN);
      p11.lanewise(LSHL, 16)
          .reinterpretAsFloats()
          .mul(high)
          .intoMemorySegment(to, to1 + UPPER, LITTLE_ENDIAN);
      long to2 = to1 + stride;
      p00.and(UPPER_HALF).reinterpretAsFloats().mul(low).intoMemorySegment(to, to2, LITTLE_ENDIAN);
      p01.and(UPPER_HALF)
          .reinterpretAsFloats()
          .mul(high)
          .intoMemorySegment(to, to2 + UPPER, LITTLE_ENDIAN);
      long to3 = to2 + stride;
      p10.and(UPPER_HALF).reinterpretAsFloats().mul(low).intoMemorySegment(to, to3, LITTLE_ENDIAN);
      p11.and(UPPER_HALF)
          .reinterpretAsFloats()
          .mul(high)
          .intoMemorySegment(to, to3 + UPPER, LITTLE_ENDIAN);
    }
  }

  /** With factors that hold {@link CodeValues#E4M3_LIFT}. */
  static void e4m3(ColumnRun run, int lane) {
    FloatVector low = run.factor(lane);
    FloatVector high = run.factor(lane + HALF);
    MemorySegment codes = run.codes();
    MemorySegment to = run.to();
    long from = run.from() + (long) lane * CodePanels.QUAD;
    long at = run.toByte() + (long) lane * Float.BYTES;
    long stride = run.stride();
    int depth = run.depth();
    for (int k = 0; k < depth; k += CodePanels.QUAD) {
      IntVector q = CodeValues.quads(codes, from + (long) k * Panels.WIDTH);
      IntVector u = CodeValues.quads(codes, from + (long) k * Panels.WIDTH + BLOCK);
      IntVector p00 = CodeValues.e4m3Even(q);
      IntVector p01 = CodeValues.e4m3Even(u);
      IntVector p10 = CodeValues.e4m3Odd(q);
      IntVector p11 = CodeValues.e4m3Odd(u);
      long to0 = at + k * stride;
      p00.lanewise(LSHL, 16)
          .reinterpretAsFloats()
          .mul(low)
          .intoMemorySegment(to, to0, LITTLE_ENDIAN);
      p01.lanewise(LSHL, 16)
          .reinterpretAsFloats()
          .mul(high)
          .intoMemorySegment(to, to0 + UPPER, LITTLE_ENDIAN);
      long to1 = to0 + stride;
      p10.lanewise(LSHL, 16)
          .reinterpretAsFloats()
          .mul(low)
          .intoMemorySegment(to, to1, LITTLE_ENDIAN);
      p11.lanewise(LSHL, 16)
          .reinterpretAsFloats()
          .mul(high)
          .intoMemorySegment(to, to1 + UPPER, LITTLE_ENDIAN);
      long to2 = to1 + stride;
      p00.and(UPPER_HALF).reinterpretAsFloats().mul(low).intoMemorySegment(to, to2, LITTLE_ENDIAN);
      p01.and(UPPER_HALF)
          .reinterpretAsFloats()
          .mul(high)
          .intoMemorySegment(to, to2 + UPPER, LITTLE_ENDIAN);
      long to3 = to2 + stride;
      p10.and(UPPER_HALF).reinterpretAsFloats().mul(low).intoMemorySegment(to, to3, LITTLE_ENDIAN);
      p11.and(UPPER_HALF)
          .reinterpretAsFloats()
          .mul(high)
          .intoMemorySegment(to, to3 + UPPER, LITTLE_ENDIAN);
    }
  }
}

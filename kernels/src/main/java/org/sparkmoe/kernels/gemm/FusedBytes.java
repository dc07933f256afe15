package org.sparkmoe.kernels.gemm;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.FloatVector.broadcast;
import static jdk.incubator.vector.FloatVector.fromArray;
import static jdk.incubator.vector.FloatVector.zero;
import static jdk.incubator.vector.IntVector.fromMemorySegment;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.sparkmoe.kernels.gemm.CodeValues.IN_PLACE;
import static org.sparkmoe.kernels.gemm.CodeValues.ODD_UNITS;
import static org.sparkmoe.kernels.gemm.CodeValues.UNITS;
import static org.sparkmoe.kernels.simd.Simd.FLOATS;
import static org.sparkmoe.kernels.simd.Simd.INTS;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * The inner loops for few rows of X against int8 and uint8 codes, as {@link FusedUint4} explains
 * them.
 */
final class FusedBytes {
  private static final int HALF = Panels.WIDTH / 2;
  private static final int WIDTH = Panels.WIDTH;

  /** Bytes of the codes of a column. */
  private static final int STEP = WIDTH;

  /** Bytes of four columns of half a panel. */
  private static final int BLOCK = 4 * HALF;

  private static final int BYTE = 0xFF;
  private static final int ODD_BYTE = IN_PLACE ? BYTE << 8 : BYTE;
  private static final long UPPER = HALF * Float.BYTES;
  private static final long ZEROS = WIDTH * Float.BYTES;
  private static final long FACTORS = CodeFactors.VALUES * Float.BYTES;

  private FusedBytes() {}

  /**
   * Multiplies whole groups of columns; the last may be shorter.
   *
   * @param rows 1 to 4
   * @param tile rows of the tile that they belong to
   * @param x values of column 0 from {@code xFrom}
   * @param codes from byte {@code codesByte}
   * @param depth columns, a multiple of 4
   * @param group columns with one factor, a multiple of 4
   * @param factors {@link CodeFactors} of the groups, one after the other
   */
  static void multiply(
      int rows,
      int tile,
      float[] x,
      int xFrom,
      MemorySegment codes,
      long codesByte,
      int depth,
      int group,
      MemorySegment factors,
      float[] c,
      int cFrom) {
    for (int lane = 0; lane < HALF; lane += LANES) {
      long at = (long) lane * Float.BYTES;
      long from = codesByte + at;
      int to = cFrom + lane;
      switch (rows) {
        case 1 -> rows1(tile, x, xFrom, codes, from, depth, group, factors, at, c, to);
        case 2 -> rows2(tile, x, xFrom, codes, from, depth, group, factors, at, c, to);
        case 3 -> rows3(tile, x, xFrom, codes, from, depth, group, factors, at, c, to);
        default -> rows4(tile, x, xFrom, codes, from, depth, group, factors, at, c, to);
      }
    }
  }

  private static void rows1(
      int tile,
      float[] x,
      int xFrom,
      MemorySegment codes,
      long codesByte,
      int depth,
      int group,
      MemorySegment factors,
      long at,
      float[] c,
      int cFrom) {
    FloatVector c00 = fromArray(FLOATS, c, cFrom);
    FloatVector c01 = fromArray(FLOATS, c, cFrom + HALF);
    for (int k = 0, end; k < depth; k = end) {
      end = Math.min(depth, k + group);
      long factor = at + (long) (k / group) * FACTORS;
      FloatVector low = CodeValues.load(factors, factor);
      FloatVector high = CodeValues.load(factors, factor + UPPER);
      FloatVector zeroLow = CodeValues.load(factors, factor + ZEROS);
      FloatVector zeroHigh = CodeValues.load(factors, factor + ZEROS + UPPER);
      FloatVector oddLow = CodeValues.odd(zeroLow);
      FloatVector oddHigh = CodeValues.odd(zeroHigh);
      FloatVector s00 = zero(FLOATS);
      FloatVector s01 = zero(FLOATS);
      for (int i = k; i < end; i += 4) {
        long from = codesByte + (long) i * STEP;
        IntVector q0 = fromMemorySegment(INTS, codes, from, LITTLE_ENDIAN);
        IntVector u0 = fromMemorySegment(INTS, codes, from + BLOCK, LITTLE_ENDIAN);
        FloatVector w00 = q0.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroLow);
        FloatVector w01 = u0.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroHigh);
        int xk = xFrom + i * tile;
        FloatVector x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w00, s00);
        s01 = x0.fma(w01, s01);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        IntVector q1 = IN_PLACE ? q0 : fromMemorySegment(INTS, codes, from + 1, LITTLE_ENDIAN);
        IntVector u1 =
            IN_PLACE ? u0 : fromMemorySegment(INTS, codes, from + BLOCK + 1, LITTLE_ENDIAN);
        FloatVector w10 = q1.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddLow);
        FloatVector w11 = u1.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddHigh);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w10, s00);
        s01 = x0.fma(w11, s01);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        IntVector q2 =
            IN_PLACE
                ? q0.lanewise(LSHR, 16)
                : fromMemorySegment(INTS, codes, from + 2, LITTLE_ENDIAN);
        IntVector u2 =
            IN_PLACE
                ? u0.lanewise(LSHR, 16)
                : fromMemorySegment(INTS, codes, from + BLOCK + 2, LITTLE_ENDIAN);
        FloatVector w20 = q2.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroLow);
        FloatVector w21 = u2.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroHigh);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w20, s00);
        s01 = x0.fma(w21, s01);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        IntVector q3 = IN_PLACE ? q2 : fromMemorySegment(INTS, codes, from + 3, LITTLE_ENDIAN);
        IntVector u3 =
            IN_PLACE ? u2 : fromMemorySegment(INTS, codes, from + BLOCK + 3, LITTLE_ENDIAN);
        FloatVector w30 = q3.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddLow);
        FloatVector w31 = u3.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddHigh);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w30, s00);
        s01 = x0.fma(w31, s01);
      }
      c00 = s00.fma(low, c00);
      c01 = s01.fma(high, c01);
    }
    c00.intoArray(c, cFrom);
    c01.intoArray(c, cFrom + HALF);
  }

  private static void rows2(
      int tile,
      float[] x,
      int xFrom,
      MemorySegment codes,
      long codesByte,
      int depth,
      int group,
      MemorySegment factors,
      long at,
      float[] c,
      int cFrom) {
    FloatVector c00 = fromArray(FLOATS, c, cFrom);
    FloatVector c01 = fromArray(FLOATS, c, cFrom + HALF);
    FloatVector c10 = fromArray(FLOATS, c, cFrom + WIDTH);
    FloatVector c11 = fromArray(FLOATS, c, cFrom + WIDTH + HALF);
    for (int k = 0, end; k < depth; k = end) {
      end = Math.min(depth, k + group);
      long factor = at + (long) (k / group) * FACTORS;
      FloatVector low = CodeValues.load(factors, factor);
      FloatVector high = CodeValues.load(factors, factor + UPPER);
      FloatVector zeroLow = CodeValues.load(factors, factor + ZEROS);
      FloatVector zeroHigh = CodeValues.load(factors, factor + ZEROS + UPPER);
      FloatVector oddLow = CodeValues.odd(zeroLow);
      FloatVector oddHigh = CodeValues.odd(zeroHigh);
      FloatVector s00 = zero(FLOATS);
      FloatVector s01 = zero(FLOATS);
      FloatVector s10 = zero(FLOATS);
      FloatVector s11 = zero(FLOATS);
      for (int i = k; i < end; i += 4) {
        long from = codesByte + (long) i * STEP;
        IntVector q0 = fromMemorySegment(INTS, codes, from, LITTLE_ENDIAN);
        IntVector u0 = fromMemorySegment(INTS, codes, from + BLOCK, LITTLE_ENDIAN);
        FloatVector w00 = q0.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroLow);
        FloatVector w01 = u0.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroHigh);
        int xk = xFrom + i * tile;
        FloatVector x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w00, s00);
        s01 = x0.fma(w01, s01);
        FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w00, s10);
        s11 = x1.fma(w01, s11);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        IntVector q1 = IN_PLACE ? q0 : fromMemorySegment(INTS, codes, from + 1, LITTLE_ENDIAN);
        IntVector u1 =
            IN_PLACE ? u0 : fromMemorySegment(INTS, codes, from + BLOCK + 1, LITTLE_ENDIAN);
        FloatVector w10 = q1.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddLow);
        FloatVector w11 = u1.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddHigh);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w10, s00);
        s01 = x0.fma(w11, s01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w10, s10);
        s11 = x1.fma(w11, s11);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        IntVector q2 =
            IN_PLACE
                ? q0.lanewise(LSHR, 16)
                : fromMemorySegment(INTS, codes, from + 2, LITTLE_ENDIAN);
        IntVector u2 =
            IN_PLACE
                ? u0.lanewise(LSHR, 16)
                : fromMemorySegment(INTS, codes, from + BLOCK + 2, LITTLE_ENDIAN);
        FloatVector w20 = q2.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroLow);
        FloatVector w21 = u2.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroHigh);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w20, s00);
        s01 = x0.fma(w21, s01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w20, s10);
        s11 = x1.fma(w21, s11);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        IntVector q3 = IN_PLACE ? q2 : fromMemorySegment(INTS, codes, from + 3, LITTLE_ENDIAN);
        IntVector u3 =
            IN_PLACE ? u2 : fromMemorySegment(INTS, codes, from + BLOCK + 3, LITTLE_ENDIAN);
        FloatVector w30 = q3.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddLow);
        FloatVector w31 = u3.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddHigh);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w30, s00);
        s01 = x0.fma(w31, s01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w30, s10);
        s11 = x1.fma(w31, s11);
      }
      c00 = s00.fma(low, c00);
      c01 = s01.fma(high, c01);
      c10 = s10.fma(low, c10);
      c11 = s11.fma(high, c11);
    }
    c00.intoArray(c, cFrom);
    c01.intoArray(c, cFrom + HALF);
    c10.intoArray(c, cFrom + WIDTH);
    c11.intoArray(c, cFrom + WIDTH + HALF);
  }

  private static void rows3(
      int tile,
      float[] x,
      int xFrom,
      MemorySegment codes,
      long codesByte,
      int depth,
      int group,
      MemorySegment factors,
      long at,
      float[] c,
      int cFrom) {
    FloatVector c00 = fromArray(FLOATS, c, cFrom);
    FloatVector c01 = fromArray(FLOATS, c, cFrom + HALF);
    FloatVector c10 = fromArray(FLOATS, c, cFrom + WIDTH);
    FloatVector c11 = fromArray(FLOATS, c, cFrom + WIDTH + HALF);
    FloatVector c20 = fromArray(FLOATS, c, cFrom + 2 * WIDTH);
    FloatVector c21 = fromArray(FLOATS, c, cFrom + 2 * WIDTH + HALF);
    for (int k = 0, end; k < depth; k = end) {
      end = Math.min(depth, k + group);
      long factor = at + (long) (k / group) * FACTORS;
      FloatVector low = CodeValues.load(factors, factor);
      FloatVector high = CodeValues.load(factors, factor + UPPER);
      FloatVector zeroLow = CodeValues.load(factors, factor + ZEROS);
      FloatVector zeroHigh = CodeValues.load(factors, factor + ZEROS + UPPER);
      FloatVector oddLow = CodeValues.odd(zeroLow);
      FloatVector oddHigh = CodeValues.odd(zeroHigh);
      FloatVector s00 = zero(FLOATS);
      FloatVector s01 = zero(FLOATS);
      FloatVector s10 = zero(FLOATS);
      FloatVector s11 = zero(FLOATS);
      FloatVector s20 = zero(FLOATS);
      FloatVector s21 = zero(FLOATS);
      for (int i = k; i < end; i += 4) {
        long from = codesByte + (long) i * STEP;
        IntVector q0 = fromMemorySegment(INTS, codes, from, LITTLE_ENDIAN);
        IntVector u0 = fromMemorySegment(INTS, codes, from + BLOCK, LITTLE_ENDIAN);
        FloatVector w00 = q0.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroLow);
        FloatVector w01 = u0.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroHigh);
        int xk = xFrom + i * tile;
        FloatVector x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w00, s00);
        s01 = x0.fma(w01, s01);
        FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w00, s10);
        s11 = x1.fma(w01, s11);
        FloatVector x2 = broadcast(FLOATS, x[xk + 2]);
        s20 = x2.fma(w00, s20);
        s21 = x2.fma(w01, s21);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        IntVector q1 = IN_PLACE ? q0 : fromMemorySegment(INTS, codes, from + 1, LITTLE_ENDIAN);
        IntVector u1 =
            IN_PLACE ? u0 : fromMemorySegment(INTS, codes, from + BLOCK + 1, LITTLE_ENDIAN);
        FloatVector w10 = q1.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddLow);
        FloatVector w11 = u1.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddHigh);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w10, s00);
        s01 = x0.fma(w11, s01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w10, s10);
        s11 = x1.fma(w11, s11);
        x2 = broadcast(FLOATS, x[xk + 2]);
        s20 = x2.fma(w10, s20);
        s21 = x2.fma(w11, s21);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        IntVector q2 =
            IN_PLACE
                ? q0.lanewise(LSHR, 16)
                : fromMemorySegment(INTS, codes, from + 2, LITTLE_ENDIAN);
        IntVector u2 =
            IN_PLACE
                ? u0.lanewise(LSHR, 16)
                : fromMemorySegment(INTS, codes, from + BLOCK + 2, LITTLE_ENDIAN);
        FloatVector w20 = q2.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroLow);
        FloatVector w21 = u2.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroHigh);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w20, s00);
        s01 = x0.fma(w21, s01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w20, s10);
        s11 = x1.fma(w21, s11);
        x2 = broadcast(FLOATS, x[xk + 2]);
        s20 = x2.fma(w20, s20);
        s21 = x2.fma(w21, s21);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        IntVector q3 = IN_PLACE ? q2 : fromMemorySegment(INTS, codes, from + 3, LITTLE_ENDIAN);
        IntVector u3 =
            IN_PLACE ? u2 : fromMemorySegment(INTS, codes, from + BLOCK + 3, LITTLE_ENDIAN);
        FloatVector w30 = q3.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddLow);
        FloatVector w31 = u3.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddHigh);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w30, s00);
        s01 = x0.fma(w31, s01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w30, s10);
        s11 = x1.fma(w31, s11);
        x2 = broadcast(FLOATS, x[xk + 2]);
        s20 = x2.fma(w30, s20);
        s21 = x2.fma(w31, s21);
      }
      c00 = s00.fma(low, c00);
      c01 = s01.fma(high, c01);
      c10 = s10.fma(low, c10);
      c11 = s11.fma(high, c11);
      c20 = s20.fma(low, c20);
      c21 = s21.fma(high, c21);
    }
    c00.intoArray(c, cFrom);
    c01.intoArray(c, cFrom + HALF);
    c10.intoArray(c, cFrom + WIDTH);
    c11.intoArray(c, cFrom + WIDTH + HALF);
    c20.intoArray(c, cFrom + 2 * WIDTH);
    c21.intoArray(c, cFrom + 2 * WIDTH + HALF);
  }

  private static void rows4(
      int tile,
      float[] x,
      int xFrom,
      MemorySegment codes,
      long codesByte,
      int depth,
      int group,
      MemorySegment factors,
      long at,
      float[] c,
      int cFrom) {
    FloatVector c00 = fromArray(FLOATS, c, cFrom);
    FloatVector c01 = fromArray(FLOATS, c, cFrom + HALF);
    FloatVector c10 = fromArray(FLOATS, c, cFrom + WIDTH);
    FloatVector c11 = fromArray(FLOATS, c, cFrom + WIDTH + HALF);
    FloatVector c20 = fromArray(FLOATS, c, cFrom + 2 * WIDTH);
    FloatVector c21 = fromArray(FLOATS, c, cFrom + 2 * WIDTH + HALF);
    FloatVector c30 = fromArray(FLOATS, c, cFrom + 3 * WIDTH);
    FloatVector c31 = fromArray(FLOATS, c, cFrom + 3 * WIDTH + HALF);
    for (int k = 0, end; k < depth; k = end) {
      end = Math.min(depth, k + group);
      long factor = at + (long) (k / group) * FACTORS;
      FloatVector low = CodeValues.load(factors, factor);
      FloatVector high = CodeValues.load(factors, factor + UPPER);
      FloatVector zeroLow = CodeValues.load(factors, factor + ZEROS);
      FloatVector zeroHigh = CodeValues.load(factors, factor + ZEROS + UPPER);
      FloatVector oddLow = CodeValues.odd(zeroLow);
      FloatVector oddHigh = CodeValues.odd(zeroHigh);
      FloatVector s00 = zero(FLOATS);
      FloatVector s01 = zero(FLOATS);
      FloatVector s10 = zero(FLOATS);
      FloatVector s11 = zero(FLOATS);
      FloatVector s20 = zero(FLOATS);
      FloatVector s21 = zero(FLOATS);
      FloatVector s30 = zero(FLOATS);
      FloatVector s31 = zero(FLOATS);
      for (int i = k; i < end; i += 4) {
        long from = codesByte + (long) i * STEP;
        IntVector q0 = fromMemorySegment(INTS, codes, from, LITTLE_ENDIAN);
        IntVector u0 = fromMemorySegment(INTS, codes, from + BLOCK, LITTLE_ENDIAN);
        FloatVector w00 = q0.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroLow);
        FloatVector w01 = u0.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroHigh);
        int xk = xFrom + i * tile;
        FloatVector x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w00, s00);
        s01 = x0.fma(w01, s01);
        FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w00, s10);
        s11 = x1.fma(w01, s11);
        FloatVector x2 = broadcast(FLOATS, x[xk + 2]);
        s20 = x2.fma(w00, s20);
        s21 = x2.fma(w01, s21);
        FloatVector x3 = broadcast(FLOATS, x[xk + 3]);
        s30 = x3.fma(w00, s30);
        s31 = x3.fma(w01, s31);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        IntVector q1 = IN_PLACE ? q0 : fromMemorySegment(INTS, codes, from + 1, LITTLE_ENDIAN);
        IntVector u1 =
            IN_PLACE ? u0 : fromMemorySegment(INTS, codes, from + BLOCK + 1, LITTLE_ENDIAN);
        FloatVector w10 = q1.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddLow);
        FloatVector w11 = u1.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddHigh);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w10, s00);
        s01 = x0.fma(w11, s01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w10, s10);
        s11 = x1.fma(w11, s11);
        x2 = broadcast(FLOATS, x[xk + 2]);
        s20 = x2.fma(w10, s20);
        s21 = x2.fma(w11, s21);
        x3 = broadcast(FLOATS, x[xk + 3]);
        s30 = x3.fma(w10, s30);
        s31 = x3.fma(w11, s31);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        IntVector q2 =
            IN_PLACE
                ? q0.lanewise(LSHR, 16)
                : fromMemorySegment(INTS, codes, from + 2, LITTLE_ENDIAN);
        IntVector u2 =
            IN_PLACE
                ? u0.lanewise(LSHR, 16)
                : fromMemorySegment(INTS, codes, from + BLOCK + 2, LITTLE_ENDIAN);
        FloatVector w20 = q2.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroLow);
        FloatVector w21 = u2.and(BYTE).or(UNITS).reinterpretAsFloats().sub(zeroHigh);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w20, s00);
        s01 = x0.fma(w21, s01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w20, s10);
        s11 = x1.fma(w21, s11);
        x2 = broadcast(FLOATS, x[xk + 2]);
        s20 = x2.fma(w20, s20);
        s21 = x2.fma(w21, s21);
        x3 = broadcast(FLOATS, x[xk + 3]);
        s30 = x3.fma(w20, s30);
        s31 = x3.fma(w21, s31);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        IntVector q3 = IN_PLACE ? q2 : fromMemorySegment(INTS, codes, from + 3, LITTLE_ENDIAN);
        IntVector u3 =
            IN_PLACE ? u2 : fromMemorySegment(INTS, codes, from + BLOCK + 3, LITTLE_ENDIAN);
        FloatVector w30 = q3.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddLow);
        FloatVector w31 = u3.and(ODD_BYTE).or(ODD_UNITS).reinterpretAsFloats().sub(oddHigh);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w30, s00);
        s01 = x0.fma(w31, s01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w30, s10);
        s11 = x1.fma(w31, s11);
        x2 = broadcast(FLOATS, x[xk + 2]);
        s20 = x2.fma(w30, s20);
        s21 = x2.fma(w31, s21);
        x3 = broadcast(FLOATS, x[xk + 3]);
        s30 = x3.fma(w30, s30);
        s31 = x3.fma(w31, s31);
      }
      c00 = s00.fma(low, c00);
      c01 = s01.fma(high, c01);
      c10 = s10.fma(low, c10);
      c11 = s11.fma(high, c11);
      c20 = s20.fma(low, c20);
      c21 = s21.fma(high, c21);
      c30 = s30.fma(low, c30);
      c31 = s31.fma(high, c31);
    }
    c00.intoArray(c, cFrom);
    c01.intoArray(c, cFrom + HALF);
    c10.intoArray(c, cFrom + WIDTH);
    c11.intoArray(c, cFrom + WIDTH + HALF);
    c20.intoArray(c, cFrom + 2 * WIDTH);
    c21.intoArray(c, cFrom + 2 * WIDTH + HALF);
    c30.intoArray(c, cFrom + 3 * WIDTH);
    c31.intoArray(c, cFrom + 3 * WIDTH + HALF);
  }
}

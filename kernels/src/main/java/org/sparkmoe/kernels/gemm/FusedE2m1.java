package org.sparkmoe.kernels.gemm;

import static jdk.incubator.vector.FloatVector.broadcast;
import static jdk.incubator.vector.FloatVector.fromArray;
import static org.sparkmoe.kernels.simd.Simd.FLOATS;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * The inner loops for few rows of X against e2m1 codes: they become weights in registers, the very
 * ones that {@link CodeUnpacker} makes, and sums go on as in {@link Tiles}.
 */
final class FusedE2m1 {
  private static final int HALF = Panels.WIDTH / 2;
  private static final int WIDTH = Panels.WIDTH;
  private static final int STEP = HALF;
  private static final long UPPER = HALF * Float.BYTES;
  private static final long FACTORS = CodeFactors.VALUES * Float.BYTES;

  private FusedE2m1() {}

  /**
   * Multiplies whole groups of columns; the last may be shorter.
   *
   * @param codes from byte {@code codesByte}
   * @param depth columns
   * @param group columns with one factor
   * @param factors {@link CodeFactors} of the groups, one after the other
   */
  static void multiply(
      int rows,
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
      long from = codesByte + lane;
      long at = (long) lane * Float.BYTES;
      switch (rows) {
        case 1 -> rows1(x, xFrom, codes, from, depth, group, factors, at, c, cFrom + lane);
        case 2 -> rows2(x, xFrom, codes, from, depth, group, factors, at, c, cFrom + lane);
        default -> rows4(x, xFrom, codes, from, depth, group, factors, at, c, cFrom + lane);
      }
    }
  }

  private static void rows1(
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
    FloatVector c0 = fromArray(FLOATS, c, cFrom);
    FloatVector c1 = fromArray(FLOATS, c, cFrom + HALF);
    for (int k = 0, end; k < depth; k = end) {
      end = Math.min(depth, k + group);
      long factor = at + (long) (k / group) * FACTORS;
      FloatVector low = CodeValues.load(factors, factor);
      FloatVector high = CodeValues.load(factors, factor + UPPER);
      for (int i = k; i < end; i++) {
        IntVector pairs = CodeValues.unsigned(codes, codesByte + (long) i * STEP);
        FloatVector w0 = CodeValues.e2m1Low(pairs).mul(low);
        FloatVector w1 = CodeValues.e2m1High(pairs).mul(high);
        FloatVector xk = broadcast(FLOATS, x[xFrom + i]);
        c0 = xk.fma(w0, c0);
        c1 = xk.fma(w1, c1);
      }
    }
    c0.intoArray(c, cFrom);
    c1.intoArray(c, cFrom + HALF);
  }

  private static void rows2(
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
      for (int i = k; i < end; i++) {
        IntVector pairs = CodeValues.unsigned(codes, codesByte + (long) i * STEP);
        FloatVector w0 = CodeValues.e2m1Low(pairs).mul(low);
        FloatVector w1 = CodeValues.e2m1High(pairs).mul(high);
        int xk = xFrom + i * 2;
        FloatVector x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w0, c00);
        c01 = x0.fma(w1, c01);
        FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w0, c10);
        c11 = x1.fma(w1, c11);
      }
    }
    c00.intoArray(c, cFrom);
    c01.intoArray(c, cFrom + HALF);
    c10.intoArray(c, cFrom + WIDTH);
    c11.intoArray(c, cFrom + WIDTH + HALF);
  }

  private static void rows4(
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
      for (int i = k; i < end; i++) {
        IntVector pairs = CodeValues.unsigned(codes, codesByte + (long) i * STEP);
        FloatVector w0 = CodeValues.e2m1Low(pairs).mul(low);
        FloatVector w1 = CodeValues.e2m1High(pairs).mul(high);
        int xk = xFrom + i * 4;
        FloatVector x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w0, c00);
        c01 = x0.fma(w1, c01);
        FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w0, c10);
        c11 = x1.fma(w1, c11);
        FloatVector x2 = broadcast(FLOATS, x[xk + 2]);
        c20 = x2.fma(w0, c20);
        c21 = x2.fma(w1, c21);
        FloatVector x3 = broadcast(FLOATS, x[xk + 3]);
        c30 = x3.fma(w0, c30);
        c31 = x3.fma(w1, c31);
      }
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

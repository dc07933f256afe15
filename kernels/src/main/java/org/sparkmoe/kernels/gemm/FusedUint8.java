package org.sparkmoe.kernels.gemm;

import static jdk.incubator.vector.FloatVector.broadcast;
import static jdk.incubator.vector.FloatVector.fromArray;
import static org.sparkmoe.kernels.simd.Simd.FLOATS;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * The inner loops for few rows of X against uint8 codes: they become weights in registers, the very
 * ones that {@link CodeUnpacker} makes, and sums go on as in {@link Tiles}. One and two rows take
 * two columns a turn, as {@link FusedInt8} does; for four rows and zero points that is more than
 * the compiler inlines, and vectors that cross calls are boxed.
 */
final class FusedUint8 {
  private static final int HALF = Panels.WIDTH / 2;
  private static final int WIDTH = Panels.WIDTH;
  private static final int STEP = WIDTH;
  private static final long UPPER = HALF * Float.BYTES;
  private static final long ZEROS = WIDTH * Float.BYTES;

  private FusedUint8() {}

  /**
   * Multiplies one run of columns.
   *
   * @param codes from byte {@code codesByte}, of columns with one group
   * @param factors {@link CodeFactors} of the group from byte {@code factorsByte}
   */
  static void multiply(
      int rows,
      float[] x,
      int xFrom,
      MemorySegment codes,
      long codesByte,
      int depth,
      MemorySegment factors,
      long factorsByte,
      float[] c,
      int cFrom) {
    for (int lane = 0; lane < HALF; lane += LANES) {
      long from = codesByte + lane;
      long at = factorsByte + (long) lane * Float.BYTES;
      switch (rows) {
        case 1 -> rows1(x, xFrom, codes, from, depth, factors, at, c, cFrom + lane);
        case 2 -> rows2(x, xFrom, codes, from, depth, factors, at, c, cFrom + lane);
        case 4 -> rows4(x, xFrom, codes, from, depth, factors, at, c, cFrom + lane);
        default -> rows8(x, xFrom, codes, from, depth, factors, at, c, cFrom + lane);
      }
    }
  }

  private static void rows1(
      float[] x,
      int xFrom,
      MemorySegment codes,
      long codesByte,
      int depth,
      MemorySegment factors,
      long at,
      float[] c,
      int cFrom) {
    FloatVector low = CodeValues.load(factors, at);
    FloatVector high = CodeValues.load(factors, at + UPPER);
    FloatVector zeroLow = CodeValues.load(factors, at + ZEROS);
    FloatVector zeroHigh = CodeValues.load(factors, at + ZEROS + UPPER);
    FloatVector c0 = fromArray(FLOATS, c, cFrom);
    FloatVector c1 = fromArray(FLOATS, c, cFrom + HALF);
    int whole = depth / 2 * 2;
    for (int k = 0; k < whole; k += 2) {
      long from = codesByte + (long) k * STEP;
      FloatVector w0 = CodeValues.uint8(CodeValues.unsigned(codes, from), zeroLow).mul(low);
      FloatVector w1 =
          CodeValues.uint8(CodeValues.unsigned(codes, from + HALF), zeroHigh).mul(high);
      FloatVector xk = broadcast(FLOATS, x[xFrom + k]);
      c0 = xk.fma(w0, c0);
      c1 = xk.fma(w1, c1);
      long next = codesByte + (long) (k + 1) * STEP;
      FloatVector w2 = CodeValues.uint8(CodeValues.unsigned(codes, next), zeroLow).mul(low);
      FloatVector w3 =
          CodeValues.uint8(CodeValues.unsigned(codes, next + HALF), zeroHigh).mul(high);
      FloatVector xNext = broadcast(FLOATS, x[xFrom + k + 1]);
      c0 = xNext.fma(w2, c0);
      c1 = xNext.fma(w3, c1);
    }
    for (int k = whole; k < depth; k++) {
      long from = codesByte + (long) k * STEP;
      FloatVector w0 = CodeValues.uint8(CodeValues.unsigned(codes, from), zeroLow).mul(low);
      FloatVector w1 =
          CodeValues.uint8(CodeValues.unsigned(codes, from + HALF), zeroHigh).mul(high);
      FloatVector xk = broadcast(FLOATS, x[xFrom + k]);
      c0 = xk.fma(w0, c0);
      c1 = xk.fma(w1, c1);
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
      MemorySegment factors,
      long at,
      float[] c,
      int cFrom) {
    FloatVector low = CodeValues.load(factors, at);
    FloatVector high = CodeValues.load(factors, at + UPPER);
    FloatVector zeroLow = CodeValues.load(factors, at + ZEROS);
    FloatVector zeroHigh = CodeValues.load(factors, at + ZEROS + UPPER);
    FloatVector c00 = fromArray(FLOATS, c, cFrom);
    FloatVector c01 = fromArray(FLOATS, c, cFrom + HALF);
    FloatVector c10 = fromArray(FLOATS, c, cFrom + WIDTH);
    FloatVector c11 = fromArray(FLOATS, c, cFrom + WIDTH + HALF);
    int whole = depth / 2 * 2;
    for (int k = 0; k < whole; k += 2) {
      long from = codesByte + (long) k * STEP;
      FloatVector w0 = CodeValues.uint8(CodeValues.unsigned(codes, from), zeroLow).mul(low);
      FloatVector w1 =
          CodeValues.uint8(CodeValues.unsigned(codes, from + HALF), zeroHigh).mul(high);
      int xk = xFrom + k * 2;
      FloatVector x0 = broadcast(FLOATS, x[xk]);
      c00 = x0.fma(w0, c00);
      c01 = x0.fma(w1, c01);
      FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
      c10 = x1.fma(w0, c10);
      c11 = x1.fma(w1, c11);
      long next = codesByte + (long) (k + 1) * STEP;
      FloatVector w2 = CodeValues.uint8(CodeValues.unsigned(codes, next), zeroLow).mul(low);
      FloatVector w3 =
          CodeValues.uint8(CodeValues.unsigned(codes, next + HALF), zeroHigh).mul(high);
      int xNext = xFrom + (k + 1) * 2;
      FloatVector x4 = broadcast(FLOATS, x[xNext]);
      c00 = x4.fma(w2, c00);
      c01 = x4.fma(w3, c01);
      FloatVector x5 = broadcast(FLOATS, x[xNext + 1]);
      c10 = x5.fma(w2, c10);
      c11 = x5.fma(w3, c11);
    }
    for (int k = whole; k < depth; k++) {
      long from = codesByte + (long) k * STEP;
      FloatVector w0 = CodeValues.uint8(CodeValues.unsigned(codes, from), zeroLow).mul(low);
      FloatVector w1 =
          CodeValues.uint8(CodeValues.unsigned(codes, from + HALF), zeroHigh).mul(high);
      int xk = xFrom + k * 2;
      FloatVector x0 = broadcast(FLOATS, x[xk]);
      c00 = x0.fma(w0, c00);
      c01 = x0.fma(w1, c01);
      FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
      c10 = x1.fma(w0, c10);
      c11 = x1.fma(w1, c11);
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
      MemorySegment factors,
      long at,
      float[] c,
      int cFrom) {
    FloatVector low = CodeValues.load(factors, at);
    FloatVector high = CodeValues.load(factors, at + UPPER);
    FloatVector zeroLow = CodeValues.load(factors, at + ZEROS);
    FloatVector zeroHigh = CodeValues.load(factors, at + ZEROS + UPPER);
    FloatVector c00 = fromArray(FLOATS, c, cFrom);
    FloatVector c01 = fromArray(FLOATS, c, cFrom + HALF);
    FloatVector c10 = fromArray(FLOATS, c, cFrom + WIDTH);
    FloatVector c11 = fromArray(FLOATS, c, cFrom + WIDTH + HALF);
    FloatVector c20 = fromArray(FLOATS, c, cFrom + 2 * WIDTH);
    FloatVector c21 = fromArray(FLOATS, c, cFrom + 2 * WIDTH + HALF);
    FloatVector c30 = fromArray(FLOATS, c, cFrom + 3 * WIDTH);
    FloatVector c31 = fromArray(FLOATS, c, cFrom + 3 * WIDTH + HALF);
    for (int k = 0; k < depth; k++) {
      long from = codesByte + (long) k * STEP;
      FloatVector w0 = CodeValues.uint8(CodeValues.unsigned(codes, from), zeroLow).mul(low);
      FloatVector w1 =
          CodeValues.uint8(CodeValues.unsigned(codes, from + HALF), zeroHigh).mul(high);
      int xk = xFrom + k * 4;
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
    c00.intoArray(c, cFrom);
    c01.intoArray(c, cFrom + HALF);
    c10.intoArray(c, cFrom + WIDTH);
    c11.intoArray(c, cFrom + WIDTH + HALF);
    c20.intoArray(c, cFrom + 2 * WIDTH);
    c21.intoArray(c, cFrom + 2 * WIDTH + HALF);
    c30.intoArray(c, cFrom + 3 * WIDTH);
    c31.intoArray(c, cFrom + 3 * WIDTH + HALF);
  }

  private static void rows8(
      float[] x,
      int xFrom,
      MemorySegment codes,
      long codesByte,
      int depth,
      MemorySegment factors,
      long at,
      float[] c,
      int cFrom) {
    FloatVector low = CodeValues.load(factors, at);
    FloatVector high = CodeValues.load(factors, at + UPPER);
    FloatVector zeroLow = CodeValues.load(factors, at + ZEROS);
    FloatVector zeroHigh = CodeValues.load(factors, at + ZEROS + UPPER);
    FloatVector c00 = fromArray(FLOATS, c, cFrom);
    FloatVector c01 = fromArray(FLOATS, c, cFrom + HALF);
    FloatVector c10 = fromArray(FLOATS, c, cFrom + WIDTH);
    FloatVector c11 = fromArray(FLOATS, c, cFrom + WIDTH + HALF);
    FloatVector c20 = fromArray(FLOATS, c, cFrom + 2 * WIDTH);
    FloatVector c21 = fromArray(FLOATS, c, cFrom + 2 * WIDTH + HALF);
    FloatVector c30 = fromArray(FLOATS, c, cFrom + 3 * WIDTH);
    FloatVector c31 = fromArray(FLOATS, c, cFrom + 3 * WIDTH + HALF);
    FloatVector c40 = fromArray(FLOATS, c, cFrom + 4 * WIDTH);
    FloatVector c41 = fromArray(FLOATS, c, cFrom + 4 * WIDTH + HALF);
    FloatVector c50 = fromArray(FLOATS, c, cFrom + 5 * WIDTH);
    FloatVector c51 = fromArray(FLOATS, c, cFrom + 5 * WIDTH + HALF);
    FloatVector c60 = fromArray(FLOATS, c, cFrom + 6 * WIDTH);
    FloatVector c61 = fromArray(FLOATS, c, cFrom + 6 * WIDTH + HALF);
    FloatVector c70 = fromArray(FLOATS, c, cFrom + 7 * WIDTH);
    FloatVector c71 = fromArray(FLOATS, c, cFrom + 7 * WIDTH + HALF);
    for (int k = 0; k < depth; k++) {
      long from = codesByte + (long) k * STEP;
      FloatVector w0 = CodeValues.uint8(CodeValues.unsigned(codes, from), zeroLow).mul(low);
      FloatVector w1 =
          CodeValues.uint8(CodeValues.unsigned(codes, from + HALF), zeroHigh).mul(high);
      int xk = xFrom + k * 8;
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
      FloatVector x4 = broadcast(FLOATS, x[xk + 4]);
      c40 = x4.fma(w0, c40);
      c41 = x4.fma(w1, c41);
      FloatVector x5 = broadcast(FLOATS, x[xk + 5]);
      c50 = x5.fma(w0, c50);
      c51 = x5.fma(w1, c51);
      FloatVector x6 = broadcast(FLOATS, x[xk + 6]);
      c60 = x6.fma(w0, c60);
      c61 = x6.fma(w1, c61);
      FloatVector x7 = broadcast(FLOATS, x[xk + 7]);
      c70 = x7.fma(w0, c70);
      c71 = x7.fma(w1, c71);
    }
    c00.intoArray(c, cFrom);
    c01.intoArray(c, cFrom + HALF);
    c10.intoArray(c, cFrom + WIDTH);
    c11.intoArray(c, cFrom + WIDTH + HALF);
    c20.intoArray(c, cFrom + 2 * WIDTH);
    c21.intoArray(c, cFrom + 2 * WIDTH + HALF);
    c30.intoArray(c, cFrom + 3 * WIDTH);
    c31.intoArray(c, cFrom + 3 * WIDTH + HALF);
    c40.intoArray(c, cFrom + 4 * WIDTH);
    c41.intoArray(c, cFrom + 4 * WIDTH + HALF);
    c50.intoArray(c, cFrom + 5 * WIDTH);
    c51.intoArray(c, cFrom + 5 * WIDTH + HALF);
    c60.intoArray(c, cFrom + 6 * WIDTH);
    c61.intoArray(c, cFrom + 6 * WIDTH + HALF);
    c70.intoArray(c, cFrom + 7 * WIDTH);
    c71.intoArray(c, cFrom + 7 * WIDTH + HALF);
  }
}

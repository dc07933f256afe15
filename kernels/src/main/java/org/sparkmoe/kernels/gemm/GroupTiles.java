package org.sparkmoe.kernels.gemm;

import static java.nio.ByteOrder.LITTLE_ENDIAN;
import static jdk.incubator.vector.FloatVector.broadcast;
import static jdk.incubator.vector.FloatVector.fromArray;
import static jdk.incubator.vector.FloatVector.fromMemorySegment;
import static jdk.incubator.vector.FloatVector.zero;
import static org.sparkmoe.kernels.gemm.CodeValues.load;
import static org.sparkmoe.kernels.simd.Simd.FLOATS;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;

/**
 * The inner loops for many rows of X against codes that were unpacked to f32 without their scales:
 * tiles and arguments are those of {@link Tiles}, but a group of columns has sums of its own, which
 * start at +0. {@code c = fma(s, factor, c)} adds them to those of other groups.
 */
final class GroupTiles {
  private static final int WIDTH = Panels.WIDTH;
  private static final int STEP = WIDTH * Float.BYTES;
  private static final int REGISTER = LANES * Float.BYTES;
  private static final long FACTORS = CodeFactors.VALUES * Float.BYTES;

  private GroupTiles() {}

  /**
   * Multiplies whole groups of columns; the last may be shorter.
   *
   * @param group columns with one factor
   * @param factors {@link CodeFactors} of the groups, from byte {@code factorsByte}
   */
  static void multiply(
      int rows,
      float[] x,
      int xFrom,
      MemorySegment w,
      long wByte,
      int depth,
      int group,
      MemorySegment factors,
      long factorsByte,
      float[] c,
      int cFrom) {
    for (int column = 0; column < WIDTH; column += 2 * LANES) {
      long at = (long) column * Float.BYTES;
      long from = wByte + at;
      long factor = factorsByte + at;
      int to = cFrom + column;
      switch (rows) {
        case 8 -> rows8(x, xFrom, w, from, depth, group, factors, factor, c, to);
        case 4 -> rows4(x, xFrom, w, from, depth, group, factors, factor, c, to);
        case 2 -> rows2(x, xFrom, w, from, depth, group, factors, factor, c, to);
        default -> rows1(x, xFrom, w, from, depth, group, factors, factor, c, to);
      }
    }
  }

  /**
   * Adds sums of one group to those of others, and sets them to +0.
   *
   * @param rows as many rows of 32 as stand in {@code s} from {@code sFrom} and in {@code c}
   * @param factors {@link CodeFactors} of the group, from byte {@code factorsByte}
   */
  static void add(
      int rows,
      float[] s,
      int sFrom,
      MemorySegment factors,
      long factorsByte,
      float[] c,
      int cFrom) {
    for (int column = 0; column < WIDTH; column += LANES) {
      FloatVector factor = load(factors, factorsByte + (long) column * Float.BYTES);
      for (int row = 0; row < rows; row++) {
        int at = row * WIDTH + column;
        FloatVector sums = fromArray(FLOATS, c, cFrom + at);
        fromArray(FLOATS, s, sFrom + at).fma(factor, sums).intoArray(c, cFrom + at);
        zero(FLOATS).intoArray(s, sFrom + at);
      }
    }
  }

  private static void rows1(
      float[] x,
      int xFrom,
      MemorySegment w,
      long wByte,
      int depth,
      int group,
      MemorySegment factors,
      long factorsByte,
      float[] c,
      int cFrom) {
    FloatVector c00 = fromArray(FLOATS, c, cFrom);
    FloatVector c01 = fromArray(FLOATS, c, cFrom + LANES);
    for (int k = 0, end; k < depth; k = end) {
      end = Math.min(depth, k + group);
      long factor = factorsByte + (long) (k / group) * FACTORS;
      FloatVector low = load(factors, factor);
      FloatVector high = load(factors, factor + REGISTER);
      FloatVector s00 = zero(FLOATS);
      FloatVector s01 = zero(FLOATS);
      for (int i = k; i < end; i++) {
        long from = wByte + (long) i * STEP;
        FloatVector w0 = fromMemorySegment(FLOATS, w, from, LITTLE_ENDIAN);
        FloatVector w1 = fromMemorySegment(FLOATS, w, from + REGISTER, LITTLE_ENDIAN);
        FloatVector x0 = broadcast(FLOATS, x[xFrom + i]);
        s00 = x0.fma(w0, s00);
        s01 = x0.fma(w1, s01);
      }
      c00 = s00.fma(low, c00);
      c01 = s01.fma(high, c01);
    }
    c00.intoArray(c, cFrom);
    c01.intoArray(c, cFrom + LANES);
  }

  private static void rows2(
      float[] x,
      int xFrom,
      MemorySegment w,
      long wByte,
      int depth,
      int group,
      MemorySegment factors,
      long factorsByte,
      float[] c,
      int cFrom) {
    FloatVector c00 = fromArray(FLOATS, c, cFrom);
    FloatVector c01 = fromArray(FLOATS, c, cFrom + LANES);
    FloatVector c10 = fromArray(FLOATS, c, cFrom + WIDTH);
    FloatVector c11 = fromArray(FLOATS, c, cFrom + WIDTH + LANES);
    for (int k = 0, end; k < depth; k = end) {
      end = Math.min(depth, k + group);
      long factor = factorsByte + (long) (k / group) * FACTORS;
      FloatVector low = load(factors, factor);
      FloatVector high = load(factors, factor + REGISTER);
      FloatVector s00 = zero(FLOATS);
      FloatVector s01 = zero(FLOATS);
      FloatVector s10 = zero(FLOATS);
      FloatVector s11 = zero(FLOATS);
      for (int i = k; i < end; i++) {
        long from = wByte + (long) i * STEP;
        FloatVector w0 = fromMemorySegment(FLOATS, w, from, LITTLE_ENDIAN);
        FloatVector w1 = fromMemorySegment(FLOATS, w, from + REGISTER, LITTLE_ENDIAN);
        int xk = xFrom + i * 2;
        FloatVector x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w0, s00);
        s01 = x0.fma(w1, s01);
        FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w0, s10);
        s11 = x1.fma(w1, s11);
      }
      c00 = s00.fma(low, c00);
      c01 = s01.fma(high, c01);
      c10 = s10.fma(low, c10);
      c11 = s11.fma(high, c11);
    }
    c00.intoArray(c, cFrom);
    c01.intoArray(c, cFrom + LANES);
    c10.intoArray(c, cFrom + WIDTH);
    c11.intoArray(c, cFrom + WIDTH + LANES);
  }

  private static void rows4(
      float[] x,
      int xFrom,
      MemorySegment w,
      long wByte,
      int depth,
      int group,
      MemorySegment factors,
      long factorsByte,
      float[] c,
      int cFrom) {
    FloatVector c00 = fromArray(FLOATS, c, cFrom);
    FloatVector c01 = fromArray(FLOATS, c, cFrom + LANES);
    FloatVector c10 = fromArray(FLOATS, c, cFrom + WIDTH);
    FloatVector c11 = fromArray(FLOATS, c, cFrom + WIDTH + LANES);
    FloatVector c20 = fromArray(FLOATS, c, cFrom + 2 * WIDTH);
    FloatVector c21 = fromArray(FLOATS, c, cFrom + 2 * WIDTH + LANES);
    FloatVector c30 = fromArray(FLOATS, c, cFrom + 3 * WIDTH);
    FloatVector c31 = fromArray(FLOATS, c, cFrom + 3 * WIDTH + LANES);
    for (int k = 0, end; k < depth; k = end) {
      end = Math.min(depth, k + group);
      long factor = factorsByte + (long) (k / group) * FACTORS;
      FloatVector low = load(factors, factor);
      FloatVector high = load(factors, factor + REGISTER);
      FloatVector s00 = zero(FLOATS);
      FloatVector s01 = zero(FLOATS);
      FloatVector s10 = zero(FLOATS);
      FloatVector s11 = zero(FLOATS);
      FloatVector s20 = zero(FLOATS);
      FloatVector s21 = zero(FLOATS);
      FloatVector s30 = zero(FLOATS);
      FloatVector s31 = zero(FLOATS);
      for (int i = k; i < end; i++) {
        long from = wByte + (long) i * STEP;
        FloatVector w0 = fromMemorySegment(FLOATS, w, from, LITTLE_ENDIAN);
        FloatVector w1 = fromMemorySegment(FLOATS, w, from + REGISTER, LITTLE_ENDIAN);
        int xk = xFrom + i * 4;
        FloatVector x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w0, s00);
        s01 = x0.fma(w1, s01);
        FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w0, s10);
        s11 = x1.fma(w1, s11);
        FloatVector x2 = broadcast(FLOATS, x[xk + 2]);
        s20 = x2.fma(w0, s20);
        s21 = x2.fma(w1, s21);
        FloatVector x3 = broadcast(FLOATS, x[xk + 3]);
        s30 = x3.fma(w0, s30);
        s31 = x3.fma(w1, s31);
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
    c01.intoArray(c, cFrom + LANES);
    c10.intoArray(c, cFrom + WIDTH);
    c11.intoArray(c, cFrom + WIDTH + LANES);
    c20.intoArray(c, cFrom + 2 * WIDTH);
    c21.intoArray(c, cFrom + 2 * WIDTH + LANES);
    c30.intoArray(c, cFrom + 3 * WIDTH);
    c31.intoArray(c, cFrom + 3 * WIDTH + LANES);
  }

  private static void rows8(
      float[] x,
      int xFrom,
      MemorySegment w,
      long wByte,
      int depth,
      int group,
      MemorySegment factors,
      long factorsByte,
      float[] c,
      int cFrom) {
    FloatVector c00 = fromArray(FLOATS, c, cFrom);
    FloatVector c01 = fromArray(FLOATS, c, cFrom + LANES);
    FloatVector c10 = fromArray(FLOATS, c, cFrom + WIDTH);
    FloatVector c11 = fromArray(FLOATS, c, cFrom + WIDTH + LANES);
    FloatVector c20 = fromArray(FLOATS, c, cFrom + 2 * WIDTH);
    FloatVector c21 = fromArray(FLOATS, c, cFrom + 2 * WIDTH + LANES);
    FloatVector c30 = fromArray(FLOATS, c, cFrom + 3 * WIDTH);
    FloatVector c31 = fromArray(FLOATS, c, cFrom + 3 * WIDTH + LANES);
    FloatVector c40 = fromArray(FLOATS, c, cFrom + 4 * WIDTH);
    FloatVector c41 = fromArray(FLOATS, c, cFrom + 4 * WIDTH + LANES);
    FloatVector c50 = fromArray(FLOATS, c, cFrom + 5 * WIDTH);
    FloatVector c51 = fromArray(FLOATS, c, cFrom + 5 * WIDTH + LANES);
    FloatVector c60 = fromArray(FLOATS, c, cFrom + 6 * WIDTH);
    FloatVector c61 = fromArray(FLOATS, c, cFrom + 6 * WIDTH + LANES);
    FloatVector c70 = fromArray(FLOATS, c, cFrom + 7 * WIDTH);
    FloatVector c71 = fromArray(FLOATS, c, cFrom + 7 * WIDTH + LANES);
    for (int k = 0, end; k < depth; k = end) {
      end = Math.min(depth, k + group);
      long factor = factorsByte + (long) (k / group) * FACTORS;
      FloatVector low = load(factors, factor);
      FloatVector high = load(factors, factor + REGISTER);
      FloatVector s00 = zero(FLOATS);
      FloatVector s01 = zero(FLOATS);
      FloatVector s10 = zero(FLOATS);
      FloatVector s11 = zero(FLOATS);
      FloatVector s20 = zero(FLOATS);
      FloatVector s21 = zero(FLOATS);
      FloatVector s30 = zero(FLOATS);
      FloatVector s31 = zero(FLOATS);
      FloatVector s40 = zero(FLOATS);
      FloatVector s41 = zero(FLOATS);
      FloatVector s50 = zero(FLOATS);
      FloatVector s51 = zero(FLOATS);
      FloatVector s60 = zero(FLOATS);
      FloatVector s61 = zero(FLOATS);
      FloatVector s70 = zero(FLOATS);
      FloatVector s71 = zero(FLOATS);
      for (int i = k; i < end; i++) {
        long from = wByte + (long) i * STEP;
        FloatVector w0 = fromMemorySegment(FLOATS, w, from, LITTLE_ENDIAN);
        FloatVector w1 = fromMemorySegment(FLOATS, w, from + REGISTER, LITTLE_ENDIAN);
        int xk = xFrom + i * 8;
        FloatVector x0 = broadcast(FLOATS, x[xk]);
        s00 = x0.fma(w0, s00);
        s01 = x0.fma(w1, s01);
        FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
        s10 = x1.fma(w0, s10);
        s11 = x1.fma(w1, s11);
        FloatVector x2 = broadcast(FLOATS, x[xk + 2]);
        s20 = x2.fma(w0, s20);
        s21 = x2.fma(w1, s21);
        FloatVector x3 = broadcast(FLOATS, x[xk + 3]);
        s30 = x3.fma(w0, s30);
        s31 = x3.fma(w1, s31);
        FloatVector x4 = broadcast(FLOATS, x[xk + 4]);
        s40 = x4.fma(w0, s40);
        s41 = x4.fma(w1, s41);
        FloatVector x5 = broadcast(FLOATS, x[xk + 5]);
        s50 = x5.fma(w0, s50);
        s51 = x5.fma(w1, s51);
        FloatVector x6 = broadcast(FLOATS, x[xk + 6]);
        s60 = x6.fma(w0, s60);
        s61 = x6.fma(w1, s61);
        FloatVector x7 = broadcast(FLOATS, x[xk + 7]);
        s70 = x7.fma(w0, s70);
        s71 = x7.fma(w1, s71);
      }
      c00 = s00.fma(low, c00);
      c01 = s01.fma(high, c01);
      c10 = s10.fma(low, c10);
      c11 = s11.fma(high, c11);
      c20 = s20.fma(low, c20);
      c21 = s21.fma(high, c21);
      c30 = s30.fma(low, c30);
      c31 = s31.fma(high, c31);
      c40 = s40.fma(low, c40);
      c41 = s41.fma(high, c41);
      c50 = s50.fma(low, c50);
      c51 = s51.fma(high, c51);
      c60 = s60.fma(low, c60);
      c61 = s61.fma(high, c61);
      c70 = s70.fma(low, c70);
      c71 = s71.fma(high, c71);
    }
    c00.intoArray(c, cFrom);
    c01.intoArray(c, cFrom + LANES);
    c10.intoArray(c, cFrom + WIDTH);
    c11.intoArray(c, cFrom + WIDTH + LANES);
    c20.intoArray(c, cFrom + 2 * WIDTH);
    c21.intoArray(c, cFrom + 2 * WIDTH + LANES);
    c30.intoArray(c, cFrom + 3 * WIDTH);
    c31.intoArray(c, cFrom + 3 * WIDTH + LANES);
    c40.intoArray(c, cFrom + 4 * WIDTH);
    c41.intoArray(c, cFrom + 4 * WIDTH + LANES);
    c50.intoArray(c, cFrom + 5 * WIDTH);
    c51.intoArray(c, cFrom + 5 * WIDTH + LANES);
    c60.intoArray(c, cFrom + 6 * WIDTH);
    c61.intoArray(c, cFrom + 6 * WIDTH + LANES);
    c70.intoArray(c, cFrom + 7 * WIDTH);
    c71.intoArray(c, cFrom + 7 * WIDTH + LANES);
  }
}

package org.sparkmoe.kernels.gemm;

import static jdk.incubator.vector.FloatVector.broadcast;
import static jdk.incubator.vector.FloatVector.fromArray;
import static org.sparkmoe.kernels.simd.Simd.FLOATS;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;

/**
 * The inner loops: a few rows of X against 32 columns of W, two registers of columns at a time.
 *
 * <p>Each output is one lane, and sums over k one after the other: {@code c = fma(x[k], w[k], c)}.
 * That, and nothing about tiles or widths, defines its bits. A tile therefore loads the sums of
 * earlier k, continues, and stores them; sums start at +0.
 *
 * <p>8 rows × 2 registers keep 16 independent sums, twice what hides the latency of two FMA units,
 * and fit 32 registers; 4 × 2 fit 16 registers without spilling a sum.
 *
 * <p>Arguments of every tile:
 *
 * <ul>
 *   <li>x from {@code xFrom}: depth × rows of the tile, k-major
 *   <li>w from byte {@code wByte}: depth × 32 f32; aligned to 64 bytes where it can be, because a
 *       register that crosses a cache line costs two loads
 *   <li>c from {@code cFrom}: rows of the tile × 32
 * </ul>
 */
final class Tiles {
  private static final int WIDTH = Panels.WIDTH;
  private static final int STEP = WIDTH * Float.BYTES;
  private static final int REGISTER = LANES * Float.BYTES;

  /** Rows of the largest tile. */
  static final int ROWS = LANES >= 16 ? 8 : 4;

  private Tiles() {}

  /** Rows of the tile to take where {@code left} rows are left: {@link #ROWS}, 4, 2 or 1. */
  static int rows(int left) {
    if (left <= 2) {
      return left;
    }
    return left > 4 ? ROWS : 4;
  }

  static void multiply(
      int rows,
      float[] x,
      int xFrom,
      MemorySegment w,
      long wByte,
      int depth,
      float[] c,
      int cFrom) {
    for (int column = 0; column < WIDTH; column += 2 * LANES) {
      long from = wByte + (long) column * Float.BYTES;
      switch (rows) {
        case 8 -> rows8(x, xFrom, w, from, depth, c, cFrom + column);
        case 4 -> rows4(x, xFrom, w, from, depth, c, cFrom + column);
        case 2 -> rows2(x, xFrom, w, from, depth, c, cFrom + column);
        default -> rows1(x, xFrom, w, from, depth, c, cFrom + column);
      }
    }
  }

  private static void rows1(
      float[] x, int xFrom, MemorySegment w, long wByte, int depth, float[] c, int cFrom) {
    FloatVector c0 = fromArray(FLOATS, c, cFrom);
    FloatVector c1 = fromArray(FLOATS, c, cFrom + LANES);
    for (int k = 0; k < depth; k++) {
      FloatVector xk = broadcast(FLOATS, x[xFrom + k]);
      c0 = xk.fma(load(w, wByte + (long) k * STEP), c0);
      c1 = xk.fma(load(w, wByte + (long) k * STEP + REGISTER), c1);
    }
    c0.intoArray(c, cFrom);
    c1.intoArray(c, cFrom + LANES);
  }

  private static void rows2(
      float[] x, int xFrom, MemorySegment w, long wByte, int depth, float[] c, int cFrom) {
    FloatVector c00 = fromArray(FLOATS, c, cFrom);
    FloatVector c01 = fromArray(FLOATS, c, cFrom + LANES);
    FloatVector c10 = fromArray(FLOATS, c, cFrom + WIDTH);
    FloatVector c11 = fromArray(FLOATS, c, cFrom + WIDTH + LANES);
    for (int k = 0; k < depth; k++) {
      FloatVector w0 = load(w, wByte + (long) k * STEP);
      FloatVector w1 = load(w, wByte + (long) k * STEP + REGISTER);
      int xk = xFrom + k * 2;
      FloatVector x0 = broadcast(FLOATS, x[xk]);
      c00 = x0.fma(w0, c00);
      c01 = x0.fma(w1, c01);
      FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
      c10 = x1.fma(w0, c10);
      c11 = x1.fma(w1, c11);
    }
    c00.intoArray(c, cFrom);
    c01.intoArray(c, cFrom + LANES);
    c10.intoArray(c, cFrom + WIDTH);
    c11.intoArray(c, cFrom + WIDTH + LANES);
  }

  private static void rows4(
      float[] x, int xFrom, MemorySegment w, long wByte, int depth, float[] c, int cFrom) {
    FloatVector c00 = fromArray(FLOATS, c, cFrom);
    FloatVector c01 = fromArray(FLOATS, c, cFrom + LANES);
    FloatVector c10 = fromArray(FLOATS, c, cFrom + WIDTH);
    FloatVector c11 = fromArray(FLOATS, c, cFrom + WIDTH + LANES);
    FloatVector c20 = fromArray(FLOATS, c, cFrom + 2 * WIDTH);
    FloatVector c21 = fromArray(FLOATS, c, cFrom + 2 * WIDTH + LANES);
    FloatVector c30 = fromArray(FLOATS, c, cFrom + 3 * WIDTH);
    FloatVector c31 = fromArray(FLOATS, c, cFrom + 3 * WIDTH + LANES);
    for (int k = 0; k < depth; k++) {
      FloatVector w0 = load(w, wByte + (long) k * STEP);
      FloatVector w1 = load(w, wByte + (long) k * STEP + REGISTER);
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
    c01.intoArray(c, cFrom + LANES);
    c10.intoArray(c, cFrom + WIDTH);
    c11.intoArray(c, cFrom + WIDTH + LANES);
    c20.intoArray(c, cFrom + 2 * WIDTH);
    c21.intoArray(c, cFrom + 2 * WIDTH + LANES);
    c30.intoArray(c, cFrom + 3 * WIDTH);
    c31.intoArray(c, cFrom + 3 * WIDTH + LANES);
  }

  private static void rows8(
      float[] x, int xFrom, MemorySegment w, long wByte, int depth, float[] c, int cFrom) {
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
    for (int k = 0; k < depth; k++) {
      FloatVector w0 = load(w, wByte + (long) k * STEP);
      FloatVector w1 = load(w, wByte + (long) k * STEP + REGISTER);
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

  private static FloatVector load(MemorySegment w, long fromByte) {
    return FloatVector.fromMemorySegment(FLOATS, w, fromByte, ByteOrder.LITTLE_ENDIAN);
  }
}

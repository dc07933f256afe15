package org.sparkmoe.kernels.gemm;

import static jdk.incubator.vector.FloatVector.broadcast;
import static jdk.incubator.vector.FloatVector.fromArray;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static org.sparkmoe.kernels.gemm.CodeValues.IN_PLACE;
import static org.sparkmoe.kernels.gemm.CodeValues.UPPER_HALF;
import static org.sparkmoe.kernels.simd.Simd.FLOATS;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import java.lang.invoke.VarHandle;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;

/**
 * The inner loops for few rows of X against e4m3 codes, as {@link FusedUint4} explains them. Each
 * weight is multiplied by its scale, which lifts it too, and sums go on as in {@link Tiles}.
 */
final class FusedE4m3 {
  private static final int HALF = Panels.WIDTH / 2;
  private static final int WIDTH = Panels.WIDTH;

  /** Bytes of the codes of a column. */
  private static final int STEP = WIDTH;

  /** Bytes of four columns of half a panel. */
  private static final int BLOCK = 4 * HALF;

  private static final long UPPER = HALF * Float.BYTES;
  private static final long FACTORS = CodeFactors.VALUES * Float.BYTES;

  private FusedE4m3() {}

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
      for (int i = k; i < end; i += 4) {
        long from = codesByte + (long) i * STEP;
        IntVector lower = CodeValues.quads(codes, from);
        IntVector upper = CodeValues.quads(codes, from + BLOCK);
        IntVector p00 = CodeValues.e4m3Even(lower);
        IntVector p01 = CodeValues.e4m3Even(upper);
        IntVector p10 = CodeValues.e4m3Odd(lower);
        IntVector p11 = CodeValues.e4m3Odd(upper);
        FloatVector w00 = p00.lanewise(LSHL, 16).reinterpretAsFloats().mul(low);
        FloatVector w01 = p01.lanewise(LSHL, 16).reinterpretAsFloats().mul(high);
        int xk = xFrom + i * tile;
        FloatVector x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w00, c00);
        c01 = x0.fma(w01, c01);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        FloatVector w10 = p10.lanewise(LSHL, 16).reinterpretAsFloats().mul(low);
        FloatVector w11 = p11.lanewise(LSHL, 16).reinterpretAsFloats().mul(high);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w10, c00);
        c01 = x0.fma(w11, c01);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        FloatVector w20 = p00.and(UPPER_HALF).reinterpretAsFloats().mul(low);
        FloatVector w21 = p01.and(UPPER_HALF).reinterpretAsFloats().mul(high);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w20, c00);
        c01 = x0.fma(w21, c01);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        FloatVector w30 = p10.and(UPPER_HALF).reinterpretAsFloats().mul(low);
        FloatVector w31 = p11.and(UPPER_HALF).reinterpretAsFloats().mul(high);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w30, c00);
        c01 = x0.fma(w31, c01);
      }
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
      for (int i = k; i < end; i += 4) {
        long from = codesByte + (long) i * STEP;
        IntVector lower = CodeValues.quads(codes, from);
        IntVector upper = CodeValues.quads(codes, from + BLOCK);
        IntVector p00 = CodeValues.e4m3Even(lower);
        IntVector p01 = CodeValues.e4m3Even(upper);
        IntVector p10 = CodeValues.e4m3Odd(lower);
        IntVector p11 = CodeValues.e4m3Odd(upper);
        FloatVector w00 = p00.lanewise(LSHL, 16).reinterpretAsFloats().mul(low);
        FloatVector w01 = p01.lanewise(LSHL, 16).reinterpretAsFloats().mul(high);
        int xk = xFrom + i * tile;
        FloatVector x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w00, c00);
        c01 = x0.fma(w01, c01);
        FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w00, c10);
        c11 = x1.fma(w01, c11);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        FloatVector w10 = p10.lanewise(LSHL, 16).reinterpretAsFloats().mul(low);
        FloatVector w11 = p11.lanewise(LSHL, 16).reinterpretAsFloats().mul(high);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w10, c00);
        c01 = x0.fma(w11, c01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w10, c10);
        c11 = x1.fma(w11, c11);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        FloatVector w20 = p00.and(UPPER_HALF).reinterpretAsFloats().mul(low);
        FloatVector w21 = p01.and(UPPER_HALF).reinterpretAsFloats().mul(high);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w20, c00);
        c01 = x0.fma(w21, c01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w20, c10);
        c11 = x1.fma(w21, c11);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        FloatVector w30 = p10.and(UPPER_HALF).reinterpretAsFloats().mul(low);
        FloatVector w31 = p11.and(UPPER_HALF).reinterpretAsFloats().mul(high);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w30, c00);
        c01 = x0.fma(w31, c01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w30, c10);
        c11 = x1.fma(w31, c11);
      }
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
      for (int i = k; i < end; i += 4) {
        long from = codesByte + (long) i * STEP;
        IntVector lower = CodeValues.quads(codes, from);
        IntVector upper = CodeValues.quads(codes, from + BLOCK);
        IntVector p00 = CodeValues.e4m3Even(lower);
        IntVector p01 = CodeValues.e4m3Even(upper);
        IntVector p10 = CodeValues.e4m3Odd(lower);
        IntVector p11 = CodeValues.e4m3Odd(upper);
        FloatVector w00 = p00.lanewise(LSHL, 16).reinterpretAsFloats().mul(low);
        FloatVector w01 = p01.lanewise(LSHL, 16).reinterpretAsFloats().mul(high);
        int xk = xFrom + i * tile;
        FloatVector x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w00, c00);
        c01 = x0.fma(w01, c01);
        FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w00, c10);
        c11 = x1.fma(w01, c11);
        FloatVector x2 = broadcast(FLOATS, x[xk + 2]);
        c20 = x2.fma(w00, c20);
        c21 = x2.fma(w01, c21);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        FloatVector w10 = p10.lanewise(LSHL, 16).reinterpretAsFloats().mul(low);
        FloatVector w11 = p11.lanewise(LSHL, 16).reinterpretAsFloats().mul(high);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w10, c00);
        c01 = x0.fma(w11, c01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w10, c10);
        c11 = x1.fma(w11, c11);
        x2 = broadcast(FLOATS, x[xk + 2]);
        c20 = x2.fma(w10, c20);
        c21 = x2.fma(w11, c21);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        FloatVector w20 = p00.and(UPPER_HALF).reinterpretAsFloats().mul(low);
        FloatVector w21 = p01.and(UPPER_HALF).reinterpretAsFloats().mul(high);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w20, c00);
        c01 = x0.fma(w21, c01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w20, c10);
        c11 = x1.fma(w21, c11);
        x2 = broadcast(FLOATS, x[xk + 2]);
        c20 = x2.fma(w20, c20);
        c21 = x2.fma(w21, c21);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        FloatVector w30 = p10.and(UPPER_HALF).reinterpretAsFloats().mul(low);
        FloatVector w31 = p11.and(UPPER_HALF).reinterpretAsFloats().mul(high);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w30, c00);
        c01 = x0.fma(w31, c01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w30, c10);
        c11 = x1.fma(w31, c11);
        x2 = broadcast(FLOATS, x[xk + 2]);
        c20 = x2.fma(w30, c20);
        c21 = x2.fma(w31, c21);
      }
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
      for (int i = k; i < end; i += 4) {
        long from = codesByte + (long) i * STEP;
        IntVector lower = CodeValues.quads(codes, from);
        IntVector upper = CodeValues.quads(codes, from + BLOCK);
        IntVector p00 = CodeValues.e4m3Even(lower);
        IntVector p01 = CodeValues.e4m3Even(upper);
        IntVector p10 = CodeValues.e4m3Odd(lower);
        IntVector p11 = CodeValues.e4m3Odd(upper);
        FloatVector w00 = p00.lanewise(LSHL, 16).reinterpretAsFloats().mul(low);
        FloatVector w01 = p01.lanewise(LSHL, 16).reinterpretAsFloats().mul(high);
        int xk = xFrom + i * tile;
        FloatVector x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w00, c00);
        c01 = x0.fma(w01, c01);
        FloatVector x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w00, c10);
        c11 = x1.fma(w01, c11);
        FloatVector x2 = broadcast(FLOATS, x[xk + 2]);
        c20 = x2.fma(w00, c20);
        c21 = x2.fma(w01, c21);
        FloatVector x3 = broadcast(FLOATS, x[xk + 3]);
        c30 = x3.fma(w00, c30);
        c31 = x3.fma(w01, c31);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        FloatVector w10 = p10.lanewise(LSHL, 16).reinterpretAsFloats().mul(low);
        FloatVector w11 = p11.lanewise(LSHL, 16).reinterpretAsFloats().mul(high);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w10, c00);
        c01 = x0.fma(w11, c01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w10, c10);
        c11 = x1.fma(w11, c11);
        x2 = broadcast(FLOATS, x[xk + 2]);
        c20 = x2.fma(w10, c20);
        c21 = x2.fma(w11, c21);
        x3 = broadcast(FLOATS, x[xk + 3]);
        c30 = x3.fma(w10, c30);
        c31 = x3.fma(w11, c31);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        FloatVector w20 = p00.and(UPPER_HALF).reinterpretAsFloats().mul(low);
        FloatVector w21 = p01.and(UPPER_HALF).reinterpretAsFloats().mul(high);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w20, c00);
        c01 = x0.fma(w21, c01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w20, c10);
        c11 = x1.fma(w21, c11);
        x2 = broadcast(FLOATS, x[xk + 2]);
        c20 = x2.fma(w20, c20);
        c21 = x2.fma(w21, c21);
        x3 = broadcast(FLOATS, x[xk + 3]);
        c30 = x3.fma(w20, c30);
        c31 = x3.fma(w21, c31);
        if (!IN_PLACE) {
          VarHandle.storeStoreFence();
        }
        FloatVector w30 = p10.and(UPPER_HALF).reinterpretAsFloats().mul(low);
        FloatVector w31 = p11.and(UPPER_HALF).reinterpretAsFloats().mul(high);
        xk += tile;
        x0 = broadcast(FLOATS, x[xk]);
        c00 = x0.fma(w30, c00);
        c01 = x0.fma(w31, c01);
        x1 = broadcast(FLOATS, x[xk + 1]);
        c10 = x1.fma(w30, c10);
        c11 = x1.fma(w31, c11);
        x2 = broadcast(FLOATS, x[xk + 2]);
        c20 = x2.fma(w30, c20);
        c21 = x2.fma(w31, c21);
        x3 = broadcast(FLOATS, x[xk + 3]);
        c30 = x3.fma(w30, c30);
        c31 = x3.fma(w31, c31);
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

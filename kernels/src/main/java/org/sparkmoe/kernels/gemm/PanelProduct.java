package org.sparkmoe.kernels.gemm;

import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Rows of X against one panel of W, 32 output features: the unit of work of every product here, so
 * that a caller can use the sums of a panel while they are in the nearest caches.
 *
 * <p>A panel is read from memory once per call, in stretches of k that stay in the first-level
 * cache while all rows pass over them. f32 weights are multiplied where they stand. 16-bit weights
 * are widened in registers, where the shifts run beside the multiplications; what has no such short
 * form (f16), or where registers are few, is widened once per stretch into a strip.
 *
 * @param floats holds rows and sums
 * @param partial where {@link #sumValues} values of scratch start in the array, all +0
 * @param strip scratch
 */
public record PanelProduct(float[] floats, int partial, MemorySegment strip) {
  /** Output features of a panel. */
  public static final int WIDTH = Panels.WIDTH;

  /** Steps of k per stretch: 32 KiB of bf16 where tiles are large, else 32 KiB of f32. */
  private static final int DEPTH = LANES >= 16 ? 512 : 256;

  /** Steps of k per strip: 32 KiB of f32. */
  private static final int STRIP_DEPTH = 256;

  /** The most rows for which bf16 is widened in registers where those are few. */
  private static final int MOST_FUSED_ROWS = LANES >= 16 ? Integer.MAX_VALUE : 32;

  /** Steps of k whose factors are made at once: so many, or one longer group, always fit. */
  private static final int FUSED_DEPTH = CodeFactors.MOST_GROUPS;

  /** The most rows for which codes become weights in registers: one tile. */
  private static final int MOST_CODE_ROWS = Tiles.ROWS;

  /** Rows that meet codes at a time. */
  private static final int FUSED_ROWS = 4;

  private static final long STRIDE = WIDTH * Float.BYTES;
  private static final long FACTORS = STRIP_DEPTH * STRIDE;

  /**
   * Scratch for each thread that computes. Outside the heap, because there it can be aligned to
   * cache lines, and because loops that meet both kinds of memory compile to code ten times slower.
   */
  private static final ThreadLocal<MemorySegment> STRIP =
      ThreadLocal.withInitial(
          () ->
              Arena.ofAuto()
                  .allocate(
                      FACTORS + DType.F32.bytes(CodeFactors.SCRATCH_VALUES), Panels.ALIGNMENT));

  /** For rows and sums in {@code ws}, of which it takes {@link #sumValues} values. */
  public static PanelProduct take(Workspace ws, int rows) {
    int values = (int) sumValues(rows);
    int partial = ws.take(values);
    Arrays.fill(ws.floats(), partial, partial + values, 0);
    return new PanelProduct(ws.floats(), partial, STRIP.get());
  }

  /** Panels of a matrix with {@code outputs} output features. */
  public static int panels(int outputs) {
    return Panels.count(outputs);
  }

  /** Values that the sums of {@code rows} rows take. */
  public static long sumValues(int rows) {
    return (long) RowTiles.paddedRows(rows) * WIDTH;
  }

  /** Rows that {@link #compute} works on: {@code rows}, and what fills the last tile of them. */
  public static int computedRows(PanelMatrix w, int rows) {
    return w instanceof CodePanels codes && fuses(codes, rows) ? rows : RowTiles.paddedRows(rows);
  }

  /**
   * Computes {@code X Wᵀ + b} for the output features of {@code panel}.
   *
   * @param x in the array of this product
   * @param w packed in panels
   * @param biasOrNull N values, added after the sum over K
   * @param sums receives {@link #sumValues} values in the array: rows × 32; those past N mean
   *     nothing
   */
  public void compute(RowTiles x, PanelMatrix w, int panel, float[] biasOrNull, int sums) {
    int padded = RowTiles.paddedRows(x.rows());
    Arrays.fill(floats, sums, sums + padded * WIDTH, 0);
    switch (w) {
      case PlainPanels plain when !widensInStrip(plain.dtype(), x.rows()) ->
          direct(x, plain, panel, sums);
      case CodePanels codes when fuses(codes, x.rows()) -> inRegisters(x, codes, panel, sums);
      case CodePanels codes when codes.sumsGroups() -> byGroup(x, codes, panel, sums);
      default -> throughStrip(x, w, panel, sums);
    }
    if (biasOrNull != null) {
      addBias(x.rows(), w, panel, biasOrNull, sums);
    }
  }

  private static boolean widensInStrip(DType dtype, int rows) {
    return switch (dtype) {
      case F32 -> false;
      case BF16 -> rows > MOST_FUSED_ROWS;
      case F16 -> true;
    };
  }

  private void direct(RowTiles x, PlainPanels w, int panel, int sums) {
    for (int k = 0; k < w.cols(); k += DEPTH) {
      int depth = Math.min(DEPTH, w.cols() - k);
      long source = w.byteOf(panel, k);
      for (int row = 0, tile; row < x.rows(); row += tile) {
        tile = Tiles.rows(x.rows() - row);
        int xFrom = x.from() + row * x.cols() + k * tile;
        int cFrom = sums + row * WIDTH;
        if (w.dtype() == DType.F32) {
          Tiles.multiply(tile, floats, xFrom, w.data(), source, depth, floats, cFrom);
        } else {
          FusedTiles.multiply(tile, floats, xFrom, w.data(), source, depth, floats, cFrom);
        }
      }
    }
  }

  /** Few rows do not pay for a strip. Runs of one column would load factors for every product. */
  private static boolean fuses(CodePanels w, int rows) {
    return w.knowsQuads() && w.hasWholeQuads() && rows <= MOST_CODE_ROWS;
  }

  private void inRegisters(RowTiles x, CodePanels w, int panel, int sums) {
    int group = w.groupCols();
    int stretch = Math.max(1, FUSED_DEPTH / group) * group;
    int tile = Tiles.rows(x.rows());
    for (int k = 0; k < w.cols(); k += stretch) {
      int depth = Math.min(stretch, w.cols() - k);
      CodeFactors.expand(w, panel, k / group, Math.ceilDiv(depth, group), strip, 0);
      for (int row = 0; row < x.rows(); row += FUSED_ROWS) {
        int rows = Math.min(FUSED_ROWS, x.rows() - row);
        int xFrom = x.from() + k * tile + row;
        long from = w.byteOf(panel, k);
        fused(w, rows, tile, xFrom, from, depth, group, sums + row * WIDTH);
      }
    }
  }

  private void fused(
      CodePanels w, int rows, int tile, int x, long from, int depth, int group, int c) {
    MemorySegment codes = w.codes();
    switch (w.format().codes()) {
      case UINT4 ->
          FusedUint4.multiply(rows, tile, floats, x, codes, from, depth, group, strip, floats, c);
      case E2M1 ->
          FusedE2m1.multiply(rows, tile, floats, x, codes, from, depth, group, strip, floats, c);
      case E4M3 ->
          FusedE4m3.multiply(rows, tile, floats, x, codes, from, depth, group, strip, floats, c);
      case INT8, UINT8 ->
          FusedBytes.multiply(rows, tile, floats, x, codes, from, depth, group, strip, floats, c);
    }
  }

  /** The sums of groups are scaled, as they are {@link #inRegisters}. */
  private void byGroup(RowTiles x, CodePanels w, int panel, int sums) {
    int group = w.groupCols();
    if (group > STRIP_DEPTH) {
      byLongGroup(x, w, panel, sums);
      return;
    }
    int stretch = STRIP_DEPTH / group * group;
    for (int k = 0; k < w.cols(); k += stretch) {
      int depth = Math.min(stretch, w.cols() - k);
      CodeUnpacker.unpackUnscaled(w, panel, k, depth, strip, 0, STRIDE, strip, FACTORS);
      for (int row = 0, tile; row < x.rows(); row += tile) {
        tile = Tiles.rows(x.rows() - row);
        int xFrom = x.from() + row * x.cols() + k * tile;
        int to = sums + row * WIDTH;
        GroupTiles.multiply(
            tile, floats, xFrom, strip, 0, depth, group, strip, FACTORS, floats, to);
      }
    }
  }

  /** A group that takes several stretches. */
  private void byLongGroup(RowTiles x, CodePanels w, int panel, int sums) {
    int group = w.groupCols();
    int padded = RowTiles.paddedRows(x.rows());
    for (int k = 0, depth; k < w.cols(); k += depth) {
      int end = Math.min(w.cols(), k / group * group + group);
      depth = Math.min(STRIP_DEPTH, end - k);
      CodeUnpacker.unpackUnscaled(w, panel, k, depth, strip, 0, STRIDE, strip, FACTORS);
      multiply(x, k, depth, partial);
      if (k + depth == end) {
        GroupTiles.add(padded, floats, partial, strip, FACTORS, floats, sums);
      }
    }
  }

  private void throughStrip(RowTiles x, PanelMatrix w, int panel, int sums) {
    for (int k = 0; k < w.cols(); k += STRIP_DEPTH) {
      int depth = Math.min(STRIP_DEPTH, w.cols() - k);
      PanelStrip.widen(w, panel, k, depth, strip, 0, STRIDE, strip, FACTORS);
      multiply(x, k, depth, sums);
    }
  }

  /** All rows against the strip, which holds columns from {@code k}. */
  private void multiply(RowTiles x, int k, int depth, int sums) {
    for (int row = 0, tile; row < x.rows(); row += tile) {
      tile = Tiles.rows(x.rows() - row);
      int xFrom = x.from() + row * x.cols() + k * tile;
      Tiles.multiply(tile, floats, xFrom, strip, 0, depth, floats, sums + row * WIDTH);
    }
  }

  private void addBias(int rows, PanelMatrix w, int panel, float[] bias, int sums) {
    int column = panel * WIDTH;
    int columns = Math.min(WIDTH, w.rows() - column);
    for (int row = 0; row < rows; row++) {
      int at = sums + row * WIDTH;
      for (int n = 0; n < columns; n++) {
        floats[at + n] += bias[column + n];
      }
    }
  }

  /**
   * Copies sums to rows of a result.
   *
   * @param count rows
   * @param out row-major f32, N columns
   * @param firstRow of out, the others follow
   */
  public void store(
      int count, PanelMatrix w, int panel, int sums, MemorySegment out, long firstRow) {
    int column = panel * WIDTH;
    int columns = Math.min(WIDTH, w.rows() - column);
    for (int row = 0; row < count; row++) {
      long to = DType.F32.bytes((firstRow + row) * w.rows() + column);
      MemorySegment.copy(floats, sums + row * WIDTH, out, DType.LE_FLOAT, to, columns);
    }
  }
}

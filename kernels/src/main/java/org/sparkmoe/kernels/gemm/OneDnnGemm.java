package org.sparkmoe.kernels.gemm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.sparkmoe.kernels.onednn.RowBlocks;
import org.sparkmoe.kernels.onednn.StripPlan;
import org.sparkmoe.kernels.onednn.TilePlan;
import org.sparkmoe.kernels.onednn.WeightTiles;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Products by oneDNN in f32, with weights in their stored width: within 1e-5 relative per row of
 * {@link ScalarGemm}. A row's bits depend on neither its neighbours nor its position, because
 * weights are packed once for all sizes of block and a block never has a single row; they do depend
 * on the instruction set of the CPU.
 *
 * <p>Loops, from outside: blocks of rows, copied to native memory; panels of outputs, whose sums
 * stay in the second-level cache until they are copied out.
 */
public final class OneDnnGemm implements Gemm {

  @Override
  public PackedMatrix pack(Weight weight, Arena arena) {
    return switch (weight) {
      case QuantizedMatrix quantized -> panels(quantized, arena);
      case Matrix empty when empty.rows() == 0 || empty.cols() == 0 ->
          new TileMatrix(MemorySegment.NULL, empty.rows(), empty.cols(), null);
      case Matrix m -> pack(m, WeightTiles.of(m.rows(), m.cols(), m.dtype(), DType.F32), arena);
    };
  }

  @Override
  public long packedBytes(WeightFormat format, int rows, int cols) {
    return switch (format) {
      case QuantFormat quantized -> Panels.bytes(quantized, rows, cols);
      case DType dtype when rows > 0 && cols > 0 ->
          WeightTiles.of(rows, cols, dtype, DType.F32).bytes();
      case DType dtype -> 0;
    };
  }

  /** As {@link #pack(Matrix, Arena)}, cut into {@code tiles}. */
  public static TileMatrix pack(Matrix weight, WeightTiles tiles, Arena arena) {
    return new TileMatrix(tiles.pack(weight, arena), weight.rows(), weight.cols(), tiles);
  }

  /** Panels, for weights that are unpacked while they are multiplied. */
  public static PanelMatrix panels(Weight weight, Arena arena) {
    return StripProduct.pack(weight, arena);
  }

  @Override
  public long workspaceBytes(int rows, int cols) {
    long block = RowBlocks.size(Math.min(rows, RowBlocks.MOST));
    return Workspace.bytes(
        block * cols
            + block * WeightTiles.panelWidth()
            + WeightTiles.panelWidth()
            + StripProduct.SCRATCH_VALUES);
  }

  @Override
  public void multiply(
      int rows,
      MemorySegment x,
      PackedMatrix packedWeight,
      float[] biasOrNull,
      MemorySegment out,
      Workspace ws) {
    if (packedWeight.rows() == 0 || packedWeight.cols() == 0) {
      fill(rows, packedWeight.rows(), biasOrNull, out);
      return;
    }
    switch (packedWeight) {
      case PanelMatrix w -> multiplyStrips(rows, x, w, biasOrNull, out, ws);
      default -> {
        TileMatrix w = PackedMatrix.as(TileMatrix.class, packedWeight);
        multiplyTiles(rows, x, w, biasOrNull, out, ws);
      }
    }
  }

  private static void multiplyTiles(
      int rows,
      MemorySegment x,
      TileMatrix w,
      float[] biasOrNull,
      MemorySegment out,
      Workspace ws) {
    int mark = ws.mark();
    int largest = RowBlocks.size(Math.min(rows, RowBlocks.MOST));
    MemorySegment bias = ws.nativeSegment(WeightTiles.panelWidth());
    MemorySegment sums = ws.nativeSegment((long) largest * WeightTiles.panelWidth());
    MemorySegment in = ws.nativeSegment((long) largest * w.cols());
    TilePlan plan = w.tilesOrNull().plan(TilePlan.DENSE, DType.F32, biasOrNull != null, List.of());
    for (int from = 0; from < rows; from += RowBlocks.MOST) {
      int count = Math.min(RowBlocks.MOST, rows - from);
      long first = DType.F32.bytes((long) from * w.cols());
      MemorySegment block = block(x, first, count, w.cols(), in);
      for (int panel = 0; panel < plan.panels(); panel++) {
        int column = plan.firstOutput(panel);
        int columns = plan.firstOutput(panel + 1) - column;
        if (biasOrNull != null) {
          MemorySegment.copy(biasOrNull, column, bias, DType.LE_FLOAT, 0, columns);
        }
        plan.runPanel(
            panel,
            RowBlocks.size(count),
            block.address(),
            w.data(),
            bias.address(),
            0,
            sums.address());
        copyOut(sums, count, columns, out, from, column, w.rows());
      }
    }
    ws.release(mark);
  }

  private static void multiplyStrips(
      int rows,
      MemorySegment x,
      PanelMatrix w,
      float[] biasOrNull,
      MemorySegment out,
      Workspace ws) {
    int mark = ws.mark();
    int largest = RowBlocks.size(Math.min(rows, RowBlocks.MOST));
    MemorySegment bias = ws.nativeSegment(StripProduct.WIDTH);
    MemorySegment sums = ws.nativeSegment((long) largest * StripProduct.WIDTH);
    MemorySegment in = ws.nativeSegment((long) largest * w.cols());
    StripProduct product = StripProduct.take(ws, DType.F32);
    StripPlan plan = StripPlan.of(w.cols(), DType.F32, biasOrNull != null, List.of());
    for (int from = 0; from < rows; from += RowBlocks.MOST) {
      int count = Math.min(RowBlocks.MOST, rows - from);
      long first = DType.F32.bytes((long) from * w.cols());
      MemorySegment block = block(x, first, count, w.cols(), in);
      for (int strip = 0; strip < StripProduct.count(w); strip++) {
        int column = strip * StripProduct.WIDTH;
        int columns = Math.min(StripProduct.WIDTH, w.rows() - column);
        if (biasOrNull != null) {
          MemorySegment.copy(biasOrNull, column, bias, DType.LE_FLOAT, 0, columns);
        }
        product.compute(plan, RowBlocks.size(count), block, w, strip, bias.address(), 0, sums);
        StripProduct.store(count, columns, sums, out, from, column, w.rows());
      }
    }
    ws.release(mark);
  }

  /**
   * Rows of a whole block in native memory: the caller's own where they are that, else a copy whose
   * last rows are 0.
   *
   * @param first byte in x of the first row
   * @param to room for the copy
   */
  public static MemorySegment block(
      MemorySegment x, long first, int count, int cols, MemorySegment to) {
    long bytes = DType.F32.bytes((long) count * cols);
    if (x.isNative() && RowBlocks.size(count) == count) {
      return x.asSlice(first, bytes);
    }
    long padded = DType.F32.bytes((long) RowBlocks.size(count) * cols);
    MemorySegment.copy(x, first, to, 0, bytes);
    to.asSlice(bytes, padded - bytes).fill((byte) 0);
    return to;
  }

  private static void copyOut(
      MemorySegment sums,
      int count,
      int columns,
      MemorySegment out,
      int row,
      int column,
      int width) {
    for (int i = 0; i < count; i++) {
      long from = DType.F32.bytes((long) i * columns);
      long to = DType.F32.bytes((long) (row + i) * width + column);
      MemorySegment.copy(sums, from, out, to, DType.F32.bytes(columns));
    }
  }

  /** Without inputs every sum is 0. */
  private static void fill(int rows, int cols, float[] biasOrNull, MemorySegment out) {
    for (int row = 0; row < rows; row++) {
      for (int col = 0; col < cols; col++) {
        float value = biasOrNull == null ? 0 : biasOrNull[col];
        DType.F32.set(out, (long) row * cols + col, value);
      }
    }
  }
}

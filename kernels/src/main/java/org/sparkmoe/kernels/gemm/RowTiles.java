package org.sparkmoe.kernels.gemm;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Rows of X as the inner loops read them: in tiles of 8, 4, 2 or 1 rows (see {@link Tiles#rows}),
 * each tile k-major, so that the values that meet the same weights stand side by side. Rows that
 * only fill a tile are 0 or garbage; nobody reads their results.
 *
 * @param floats holds the tiles
 * @param from where they start
 * @param rows of X
 * @param cols K
 */
public record RowTiles(float[] floats, int from, int rows, int cols) {

  /** Values that {@code rows × cols} take, filled tiles included. */
  public static long values(int rows, int cols) {
    return (long) paddedRows(rows) * cols;
  }

  /** Values of scratch that {@link #pack} needs. */
  public static long scratchValues(int cols) {
    return (long) Tiles.ROWS * cols;
  }

  /** Rows of whole tiles that cover {@code rows}. */
  public static int paddedRows(int rows) {
    int whole = rows / Tiles.ROWS * Tiles.ROWS;
    int left = rows - whole;
    return left == 0 ? rows : whole + Tiles.rows(left);
  }

  /**
   * Packs rows of a row-major matrix.
   *
   * @param x f32, row-major
   * @param firstRow of x, the others follow
   * @param to where the tiles go in {@code floats}
   * @param scratch {@link #scratchValues} values of {@code floats}
   * @param orderOrNull see {@link PanelMatrix#orderOrNull}
   */
  public static RowTiles pack(
      int rows,
      int cols,
      MemorySegment x,
      long firstRow,
      float[] floats,
      int to,
      int scratch,
      MemorySegment orderOrNull) {
    for (int row = 0, tile; row < rows; row += tile) {
      tile = Tiles.rows(rows - row);
      int present = Math.min(tile, rows - row);
      long source = DType.F32.bytes((firstRow + row) * cols);
      MemorySegment.copy(x, DType.LE_FLOAT, source, floats, scratch, present * cols);
      Arrays.fill(floats, scratch + present * cols, scratch + tile * cols, 0);
      if (orderOrNull == null) {
        interleave(tile, cols, floats, scratch, to + row * cols);
      } else {
        interleave(tile, cols, orderOrNull, floats, scratch, to + row * cols);
      }
    }
    return new RowTiles(floats, to, rows, cols);
  }

  private static void interleave(
      int tile, int cols, MemorySegment order, float[] floats, int scratch, int to) {
    for (int k = 0; k < cols; k++) {
      int x = scratch + order.get(ValueLayout.JAVA_INT, (long) k * Integer.BYTES);
      int at = to + k * tile;
      for (int i = 0; i < tile; i++) {
        floats[at + i] = floats[x + i * cols];
      }
    }
  }

  private static void interleave(int tile, int cols, float[] floats, int scratch, int to) {
    switch (tile) {
      case 8 -> interleave8(cols, floats, scratch, to);
      case 4 -> interleave4(cols, floats, scratch, to);
      case 2 -> interleave2(cols, floats, scratch, to);
      default -> System.arraycopy(floats, scratch, floats, to, cols);
    }
  }

  private static void interleave8(int cols, float[] floats, int scratch, int to) {
    for (int k = 0; k < cols; k++) {
      int x = scratch + k;
      int at = to + k * 8;
      floats[at] = floats[x];
      floats[at + 1] = floats[x + cols];
      floats[at + 2] = floats[x + 2 * cols];
      floats[at + 3] = floats[x + 3 * cols];
      floats[at + 4] = floats[x + 4 * cols];
      floats[at + 5] = floats[x + 5 * cols];
      floats[at + 6] = floats[x + 6 * cols];
      floats[at + 7] = floats[x + 7 * cols];
    }
  }

  private static void interleave4(int cols, float[] floats, int scratch, int to) {
    for (int k = 0; k < cols; k++) {
      int x = scratch + k;
      int at = to + k * 4;
      floats[at] = floats[x];
      floats[at + 1] = floats[x + cols];
      floats[at + 2] = floats[x + 2 * cols];
      floats[at + 3] = floats[x + 3 * cols];
    }
  }

  private static void interleave2(int cols, float[] floats, int scratch, int to) {
    for (int k = 0; k < cols; k++) {
      floats[to + k * 2] = floats[scratch + k];
      floats[to + k * 2 + 1] = floats[scratch + k + cols];
    }
  }

  /**
   * Sets columns of all rows from the sums of a panel.
   *
   * @param column first of them
   * @param columns at most {@link Panels#WIDTH}
   * @param sums in {@code floats}: padded rows × {@link Panels#WIDTH}
   */
  public void put(int column, int columns, int sums) {
    for (int row = 0, tile; row < rows; row += tile) {
      tile = Tiles.rows(rows - row);
      int to = from + row * cols + column * tile;
      int source = sums + row * Panels.WIDTH;
      for (int n = 0; n < columns; n++) {
        for (int i = 0; i < tile; i++) {
          floats[to + n * tile + i] = floats[source + i * Panels.WIDTH + n];
        }
      }
    }
  }

  /**
   * Puts the values of all rows into the order of a matrix that they are to be multiplied by.
   *
   * @param orderOrNull see {@link PanelMatrix#orderOrNull}
   * @param scratch {@link #scratchValues} values of {@code floats}
   */
  public void reorder(MemorySegment orderOrNull, int scratch) {
    if (orderOrNull == null) {
      return;
    }
    for (int row = 0, tile; row < rows; row += tile) {
      tile = Tiles.rows(rows - row);
      int first = from + row * cols;
      System.arraycopy(floats, first, floats, scratch, tile * cols);
      for (int k = 0; k < cols; k++) {
        int source = orderOrNull.get(ValueLayout.JAVA_INT, (long) k * Integer.BYTES);
        int x = scratch + source * tile;
        int at = first + k * tile;
        for (int i = 0; i < tile; i++) {
          floats[at + i] = floats[x + i];
        }
      }
    }
  }

  /** Copies a row out of its tile, to {@code to} in {@code floats}. */
  public void readRow(int row, int to) {
    int tile = tileOf(row);
    int at = from + (row - row % tile) * cols + row % tile;
    for (int k = 0; k < cols; k++) {
      floats[to + k] = floats[at + k * tile];
    }
  }

  /** The reverse of {@link #readRow}. */
  public void writeRow(int row, int source) {
    int tile = tileOf(row);
    int at = from + (row - row % tile) * cols + row % tile;
    for (int k = 0; k < cols; k++) {
      floats[at + k * tile] = floats[source + k];
    }
  }

  /** Rows of the tile that holds {@code row}; tiles before it are the largest ones. */
  private int tileOf(int row) {
    int whole = rows / Tiles.ROWS * Tiles.ROWS;
    return row < whole ? Tiles.ROWS : Tiles.rows(rows - whole);
  }
}

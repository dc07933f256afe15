package org.sparkmoe.kernels.gemm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.BackendUnavailableException;
import org.sparkmoe.kernels.backend.Probes;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * SIMD on the JVM, f32 accumulators: within 1e-5 relative per row of {@link ScalarGemm}.
 *
 * <p>The bits of an output are those of
 *
 * <pre>
 *   float c = 0;
 *   for (int k = 0; k &lt; K; k++) c = Math.fma(x[k], w[k], c);
 *   y = c + b;
 * </pre>
 *
 * whatever the rows around it and the register width (see {@link Tiles}).
 *
 * <p>Loops, from outside: chunks of rows whose X stays in the second-level cache; panels of W;
 * stretches of k; tiles of rows. Weights are widened to f32 once per stretch and chunk, into a
 * strip that stays in the first-level cache, or, for few rows of bf16, in registers.
 */
public final class VectorGemm implements Gemm {
  /** Steps of k per strip: 32 KiB of f32. */
  private static final int DEPTH = 256;

  /** Values of X per chunk: 512 KiB of f32. */
  private static final int CHUNK = 1 << 17;

  /** The most rows for which bf16 is better widened in registers, again for each tile. */
  private static final int MOST_FUSED_ROWS = 32;

  private static final int LEAST_CHUNK_ROWS = 32;
  private static final int MOST_CHUNK_ROWS = 256;

  /**
   * The vector kernels.
   *
   * @throws BackendUnavailableException where the module {@code jdk.incubator.vector} is missing
   */
  public VectorGemm() {
    if (!Probes.vectorModuleLoaded()) {
      Probes.gather()
          .refusal(Backend.VECTOR)
          .ifPresent(
              reason -> {
                throw new BackendUnavailableException(Backend.VECTOR, reason);
              });
    }
  }

  @Override
  public PackedMatrix pack(Matrix weight, Arena arena) {
    return Panels.pack(weight, arena);
  }

  @Override
  public long workspaceBytes(int rows, int cols) {
    long chunk = paddedRows(Math.min(rows, chunkRows(cols)));
    return Workspace.bytes(
        chunk * cols + cols + (long) DEPTH * Panels.WIDTH + chunk * Panels.WIDTH);
  }

  @Override
  public void multiply(
      int rows,
      MemorySegment x,
      PackedMatrix w,
      float[] biasOrNull,
      MemorySegment out,
      Workspace ws) {
    w.requireOrder(PackedMatrix.Order.PANELS);
    int chunkRows = chunkRows(w.cols());
    int mark = ws.mark();
    Buffers buffers = Buffers.take(ws, paddedRows(Math.min(rows, chunkRows)), w.cols());
    for (int from = 0; from < rows; from += chunkRows) {
      int count = Math.min(chunkRows, rows - from);
      packRows(x, from, count, w.cols(), buffers);
      for (int panel = 0; panel < Panels.count(w.rows()); panel++) {
        multiplyPanel(count, w, panel, buffers);
        store(buffers, from, count, w, panel, biasOrNull, out);
      }
    }
    ws.release(mark);
  }

  /**
   * Where the parts of the workspace start in {@code floats}.
   *
   * @param x packed rows of a chunk
   * @param row one row of X on its way into x
   * @param strip widened weights
   * @param sums rows of a chunk × 32
   */
  private record Buffers(float[] floats, int x, int row, int strip, int sums) {
    static Buffers take(Workspace ws, int paddedRows, int cols) {
      int x = ws.take((long) paddedRows * cols);
      int row = ws.take(cols);
      int strip = ws.take((long) DEPTH * Panels.WIDTH);
      int sums = ws.take((long) paddedRows * Panels.WIDTH);
      return new Buffers(ws.floats(), x, row, strip, sums);
    }
  }

  private static int chunkRows(int cols) {
    int fitting = CHUNK / Math.max(1, cols) / Tiles.ROWS * Tiles.ROWS;
    return Math.clamp(fitting, LEAST_CHUNK_ROWS, MOST_CHUNK_ROWS);
  }

  /** Rows of whole tiles that cover {@code rows}. */
  private static int paddedRows(int rows) {
    int padded = 0;
    while (padded < rows) {
      padded += Tiles.rows(rows - padded);
    }
    return padded;
  }

  /** Interleaves the rows of each tile by k; rows that only fill a tile are 0. */
  private static void packRows(MemorySegment x, int from, int count, int cols, Buffers b) {
    float[] floats = b.floats();
    for (int row = 0, tile; row < count; row += tile) {
      tile = Tiles.rows(count - row);
      int to = b.x() + row * cols;
      for (int i = 0; i < tile; i++) {
        if (row + i < count) {
          long source = DType.F32.bytes((long) (from + row + i) * cols);
          MemorySegment.copy(x, DType.LE_FLOAT, source, floats, b.row(), cols);
        } else {
          Arrays.fill(floats, b.row(), b.row() + cols, 0);
        }
        for (int k = 0; k < cols; k++) {
          floats[to + k * tile + i] = floats[b.row() + k];
        }
      }
    }
  }

  private static void multiplyPanel(int count, PackedMatrix w, int panel, Buffers b) {
    float[] floats = b.floats();
    int cols = w.cols();
    Arrays.fill(floats, b.sums(), b.sums() + paddedRows(count) * Panels.WIDTH, 0);
    boolean fused = count <= MOST_FUSED_ROWS && w.dtype() == DType.BF16;
    for (int k = 0; k < cols; k += DEPTH) {
      int depth = Math.min(DEPTH, cols - k);
      long source = Panels.byteOf(w.dtype(), cols, panel, k);
      if (!fused) {
        PanelWidener.widen(w.data(), w.dtype(), source, depth, floats, b.strip());
      }
      for (int row = 0, tile; row < count; row += tile) {
        tile = Tiles.rows(count - row);
        int xFrom = b.x() + row * cols + k * tile;
        int sums = b.sums() + row * Panels.WIDTH;
        if (fused) {
          FusedTiles.multiply(tile, floats, xFrom, w.data(), source, depth, floats, sums);
        } else {
          Tiles.multiply(tile, floats, xFrom, floats, b.strip(), depth, floats, sums);
        }
      }
    }
  }

  private static void store(
      Buffers b,
      int from,
      int count,
      PackedMatrix w,
      int panel,
      float[] biasOrNull,
      MemorySegment out) {
    int column = panel * Panels.WIDTH;
    int columns = Math.min(Panels.WIDTH, w.rows() - column);
    for (int row = 0; row < count; row++) {
      int sums = b.sums() + row * Panels.WIDTH;
      if (biasOrNull != null) {
        for (int n = 0; n < columns; n++) {
          b.floats()[sums + n] += biasOrNull[column + n];
        }
      }
      long to = DType.F32.bytes((long) (from + row) * w.rows() + column);
      MemorySegment.copy(b.floats(), sums, out, DType.LE_FLOAT, to, columns);
    }
  }
}

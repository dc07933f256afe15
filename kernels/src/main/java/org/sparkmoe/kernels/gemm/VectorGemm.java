package org.sparkmoe.kernels.gemm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.BackendUnavailableException;
import org.sparkmoe.kernels.backend.Probes;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;
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
 * whatever the rows around it and the register width (see {@link Tiles}). The w of a quantized
 * matrix is its code, less the zero point. Where whole quads of columns have one group, the group
 * has a sum of its own, and {@code c = Math.fma(s, scale, c)} takes it in; where they don't, and
 * for e4m3 and e2m1, each w is multiplied by its scale in f32 and rounded ({@link
 * CodePanels#sumsGroups}). With act-order, and groups of one size, k runs through the columns of
 * the first group, then of the second, and so on: an order of the weight alone, which {@link
 * #packTogether} gives up where two weights differ in it.
 *
 * <p>Loops, from outside: chunks of rows; panels of W, each read from memory once per chunk;
 * stretches of k, whose weights stay in the nearest cache; tiles of rows (see {@link
 * PanelProduct}).
 */
public final class VectorGemm implements Gemm {
  /** Values of X per chunk: 4 MiB of f32. */
  private static final int CHUNK = 1 << 20;

  private static final int LEAST_CHUNK_ROWS = 32;
  private static final int MOST_CHUNK_ROWS = 256;

  /**
   * The vector kernels.
   *
   * @throws BackendUnavailableException where the module {@code jdk.incubator.vector} is missing
   */
  public VectorGemm() {
    if (!Probes.vectorModuleLoaded()) {
      Probes.gather(List.of(Backend.VECTOR))
          .refusal(Backend.VECTOR)
          .ifPresent(
              reason -> {
                throw new BackendUnavailableException(Backend.VECTOR, reason);
              });
    }
  }

  @Override
  public PanelMatrix pack(Weight weight, Arena arena) {
    return packTogether(arena, weight).getFirst();
  }

  /**
   * Packs weights that will be multiplied by the same {@link RowTiles}. Columns are sorted by group
   * where that brings those of all into one order.
   */
  public List<PanelMatrix> packTogether(Arena arena, Weight... weights) {
    Optional<ColumnOrder> order = ColumnOrder.of(weights[0]);
    boolean shared =
        order.isPresent()
            && Stream.of(weights)
                .map(ColumnOrder::of)
                .allMatch(other -> other.isPresent() && other.get().isThatOf(order.get()));
    return Stream.of(weights)
        .map(
            weight ->
                shared
                    ? CodePacker.packSorted((QuantizedMatrix) weight, order.get(), arena)
                    : Panels.pack(weight, arena))
        .toList();
  }

  @Override
  public long packedBytes(WeightFormat format, int rows, int cols) {
    return Panels.bytes(format, rows, cols);
  }

  @Override
  public long workspaceBytes(int rows, int cols) {
    int chunk = Math.min(rows, chunkRows(cols));
    return Workspace.bytes(
        RowTiles.values(chunk, cols)
            + RowTiles.scratchValues(cols)
            + 2 * PanelProduct.sumValues(chunk));
  }

  @Override
  public void multiply(
      int rows,
      MemorySegment x,
      PackedMatrix packedWeight,
      float[] biasOrNull,
      MemorySegment out,
      Workspace ws) {
    PanelMatrix w = PackedMatrix.as(PanelMatrix.class, packedWeight);
    int chunkRows = Math.min(rows, chunkRows(w.cols()));
    int mark = ws.mark();
    int tiles = ws.take(RowTiles.values(chunkRows, w.cols()));
    int scratch = ws.take(RowTiles.scratchValues(w.cols()));
    PanelProduct product = PanelProduct.take(ws, chunkRows);
    int sums = ws.take(PanelProduct.sumValues(chunkRows));
    for (int from = 0; from < rows; from += chunkRows) {
      int count = Math.min(chunkRows, rows - from);
      RowTiles packed =
          RowTiles.pack(count, w.cols(), x, from, ws.floats(), tiles, scratch, w.orderOrNull());
      for (int panel = 0; panel < Panels.count(w.rows()); panel++) {
        product.compute(packed, w, panel, biasOrNull, sums);
        product.store(count, w, panel, sums, out, from);
      }
    }
    ws.release(mark);
  }

  /** Rows that one pass over the weights serves: as many as the outer caches hold. */
  public static int chunkRows(int cols) {
    int fitting = CHUNK / Math.max(1, cols) / Tiles.ROWS * Tiles.ROWS;
    return Math.clamp(fitting, LEAST_CHUNK_ROWS, MOST_CHUNK_ROWS);
  }
}

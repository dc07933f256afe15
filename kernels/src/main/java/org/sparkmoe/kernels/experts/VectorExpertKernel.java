package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.BackendUnavailableException;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.gemm.PanelProduct;
import org.sparkmoe.kernels.gemm.RowTiles;
import org.sparkmoe.kernels.gemm.VectorGemm;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * SIMD on the JVM in f32: within 1e-5 relative per row of {@link ScalarExpertKernel}, and the same
 * bits on every register width.
 */
public final class VectorExpertKernel implements ExpertKernel {
  private final VectorGemm gemm = new VectorGemm();

  /**
   * The vector kernel.
   *
   * @throws BackendUnavailableException where the module {@code jdk.incubator.vector} is missing
   */
  public VectorExpertKernel() {}

  @Override
  public Backend backend() {
    return Backend.VECTOR;
  }

  @Override
  public Gemm gemm() {
    return gemm;
  }

  @Override
  public PreparedExpert prepare(
      ExpertWeights weights,
      Activation activation,
      ActivationCodec input,
      ActivationCodec inner,
      Arena arena) {
    return PackedExpert.pack(weights, activation, inner, gemm, arena);
  }

  @Override
  public long workspaceBytes(int rows, int hidden, int intermediate) {
    return Workspace.bytes(
        Buffers.values(chunkRows(rows, hidden, intermediate), hidden, intermediate));
  }

  @Override
  public void forward(
      PreparedExpert expert, int rows, MemorySegment x, MemorySegment y, Workspace ws) {
    PackedExpert e = (PackedExpert) expert;
    int chunk = chunkRows(rows, e.hidden(), e.intermediate());
    int mark = ws.mark();
    Buffers buffers = Buffers.take(ws, chunk, e.hidden(), e.intermediate());
    for (int from = 0; from < rows; from += chunk) {
      int count = Math.min(chunk, rows - from);
      RowTiles in =
          RowTiles.pack(
              count,
              e.hidden(),
              x,
              from,
              ws.floats(),
              buffers.hidden(),
              buffers.scratch(),
              e.w1().orderOrNull());
      RowTiles inner = new RowTiles(ws.floats(), buffers.inner(), count, e.intermediate());
      project(e, in, inner, buffers);
      if (!e.inner().isIdentity()) {
        requantize(e.inner(), inner, buffers.scratch());
      }
      inner.reorder(e.w2().orderOrNull(), buffers.scratch());
      projectBack(e, inner, buffers, y, from);
    }
    ws.release(mark);
  }

  /** Rows that one pass over the weights serves. */
  private static int chunkRows(int rows, int hidden, int intermediate) {
    return Math.min(rows, VectorGemm.chunkRows(Math.max(hidden, intermediate)));
  }

  /** See {@link PreparedExpert#computedRows}. */
  static long computedRows(PackedExpert e, int rows) {
    int chunk = Math.max(1, chunkRows(rows, e.hidden(), e.intermediate()));
    return (long) (rows / chunk) * computedOfChunk(e, chunk) + computedOfChunk(e, rows % chunk);
  }

  private static int computedOfChunk(PackedExpert e, int rows) {
    return Math.max(
        PanelProduct.computedRows(e.w1(), rows), PanelProduct.computedRows(e.w2(), rows));
  }

  /**
   * Gate, up and activation, a panel at a time: the sums are activated while they are in the
   * nearest cache, and go straight to where the second product reads its rows.
   */
  private static void project(PackedExpert e, RowTiles in, RowTiles inner, Buffers b) {
    int values = (int) PanelProduct.sumValues(in.rows());
    for (int panel = 0; panel < PanelProduct.panels(e.intermediate()); panel++) {
      b.product().compute(in, e.w1(), panel, e.b1OrNull(), b.gate());
      if (e.w3OrNull() != null) {
        b.product().compute(in, e.w3OrNull(), panel, e.b3OrNull(), b.up());
      }
      VectorActivation.apply(e.activation(), b.product().floats(), b.gate(), b.up(), values);
      int column = panel * PanelProduct.WIDTH;
      int columns = Math.min(PanelProduct.WIDTH, e.intermediate() - column);
      inner.put(column, columns, b.gate());
    }
  }

  private static void requantize(ActivationCodec codec, RowTiles inner, int scratch) {
    for (int row = 0; row < inner.rows(); row++) {
      inner.readRow(row, scratch);
      codec.requantize(inner.floats(), scratch, inner.cols());
      inner.writeRow(row, scratch);
    }
  }

  private static void projectBack(
      PackedExpert e, RowTiles inner, Buffers b, MemorySegment y, long firstRow) {
    for (int panel = 0; panel < PanelProduct.panels(e.hidden()); panel++) {
      b.product().compute(inner, e.w2(), panel, e.b2OrNull(), b.gate());
      b.product().store(inner.rows(), e.w2(), panel, b.gate(), y, firstRow);
    }
  }

  /**
   * Where the parts of the workspace start.
   *
   * @param hidden tiles of X
   * @param inner tiles of the activated intermediate values
   * @param scratch of packing, and of the intermediate's rows
   * @param gate sums of a panel, of w1 and then of w2
   * @param up sums of a panel of w3
   */
  private record Buffers(
      PanelProduct product, int hidden, int inner, int scratch, int gate, int up) {

    static long values(int rows, int hidden, int intermediate) {
      return RowTiles.values(rows, hidden)
          + RowTiles.values(rows, intermediate)
          + scratchValues(hidden, intermediate)
          + 3 * PanelProduct.sumValues(rows);
    }

    /** For packing rows, and for the intermediate's. */
    private static long scratchValues(int hidden, int intermediate) {
      return RowTiles.scratchValues(Math.max(hidden, intermediate));
    }

    static Buffers take(Workspace ws, int rows, int hidden, int intermediate) {
      return new Buffers(
          PanelProduct.take(ws, rows),
          ws.take(RowTiles.values(rows, hidden)),
          ws.take(RowTiles.values(rows, intermediate)),
          ws.take(scratchValues(hidden, intermediate)),
          ws.take(PanelProduct.sumValues(rows)),
          ws.take(PanelProduct.sumValues(rows)));
    }
  }
}

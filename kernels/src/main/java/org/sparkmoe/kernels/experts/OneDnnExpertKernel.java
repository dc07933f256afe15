package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.BackendUnavailableException;
import org.sparkmoe.kernels.experts.OneDnnExpert.Projection;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.gemm.OneDnnGemm;
import org.sparkmoe.kernels.gemm.PackedMatrix;
import org.sparkmoe.kernels.onednn.OneDnn;
import org.sparkmoe.kernels.onednn.PostOp;
import org.sparkmoe.kernels.onednn.RowBlocks;
import org.sparkmoe.kernels.onednn.TilePlan;
import org.sparkmoe.kernels.onednn.WeightTiles;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * oneDNN in f32, with weights in their stored width: within 1e-5 relative per row of {@link
 * ScalarExpertKernel}. Biases, the activation and the product of gate and up projection are part of
 * the matrix products. Each call runs on its caller's thread alone.
 */
public final class OneDnnExpertKernel implements ExpertKernel {
  private final OneDnnGemm gemm = new OneDnnGemm();

  /**
   * The oneDNN kernel.
   *
   * @throws BackendUnavailableException where oneDNN cannot be loaded or computes wrongly
   */
  public OneDnnExpertKernel() {
    OneDnn.refusal()
        .ifPresent(
            reason -> {
              throw new BackendUnavailableException(Backend.ONEDNN, reason);
            });
  }

  @Override
  public Backend backend() {
    return Backend.ONEDNN;
  }

  @Override
  public Gemm gemm() {
    return gemm;
  }

  @Override
  public Workspace workspace(long bytes, Arena arena) {
    return Workspace.offHeap(bytes, arena);
  }

  @Override
  public PreparedExpert prepare(ExpertWeights weights, Activation activation, Arena arena) {
    PackedExpert.requireFit(weights, activation);
    boolean fuses = FusedActivation.fuses(activation);
    FusedActivation fused =
        fuses ? FusedActivation.of(activation) : new FusedActivation(List.of(), List.of());
    WeightTiles inner = tiles(weights.w1());
    Projection gate = projection(weights.w1(), inner, weights.b1OrNull(), fused.gate(), arena);
    Projection up =
        weights
            .w3()
            .map(w3 -> projection(w3, tiles(w3), weights.b3OrNull(), fused.up(), arena))
            .orElse(null);
    Matrix w2 = weights.w2();
    WeightTiles outer = WeightTiles.of(w2.rows(), w2.cols(), w2.dtype(), DType.F32, inner);
    PackedMatrix down = OneDnnGemm.pack(w2, outer, arena);
    return new OneDnnExpert(
        gate, up, Projection.of(down, weights.b2OrNull(), w2.rows(), List.of(), arena), activation);
  }

  @Override
  public long preparedBytes(DType dtype, int hidden, int intermediate, boolean gated) {
    WeightTiles inner = WeightTiles.of(intermediate, hidden, dtype, DType.F32);
    WeightTiles outer = WeightTiles.of(hidden, intermediate, dtype, DType.F32, inner);
    return (gated ? 2 : 1) * inner.bytes() + outer.bytes();
  }

  private static WeightTiles tiles(Matrix w) {
    return WeightTiles.of(w.rows(), w.cols(), w.dtype(), DType.F32);
  }

  private static Projection projection(
      Matrix w, WeightTiles tiles, float[] biasOrNull, List<PostOp> steps, Arena arena) {
    PackedMatrix packed = OneDnnGemm.pack(w, tiles, arena);
    return Projection.of(packed, biasOrNull, TilePlan.DENSE, steps, arena);
  }

  @Override
  public long workspaceBytes(int rows, int hidden, int intermediate) {
    long block = RowBlocks.size(Math.min(rows, RowBlocks.MOST));
    return Workspace.bytes(
        block * hidden + block * intermediate + block * WeightTiles.panelWidth());
  }

  @Override
  public void forward(
      PreparedExpert expert, int rows, MemorySegment x, MemorySegment y, Workspace ws) {
    OneDnnExpert e = (OneDnnExpert) expert;
    int mark = ws.mark();
    long block = RowBlocks.size(Math.min(rows, RowBlocks.MOST));
    MemorySegment io = ws.nativeSegment(block * e.hidden());
    MemorySegment gate = ws.nativeSegment(block * WeightTiles.panelWidth());
    MemorySegment inner = ws.nativeSegment(block * e.intermediate());
    for (int from = 0; from < rows; from += RowBlocks.MOST) {
      int count = Math.min(RowBlocks.MOST, rows - from);
      int size = RowBlocks.size(count);
      long first = DType.F32.bytes((long) from * e.hidden());
      intermediate(e, size, OneDnnGemm.block(x, first, count, e.hidden(), io), gate, inner);
      // the rows of x in io are not needed any more
      boolean direct = y.isNative() && size == count;
      e.down().run(size, inner, direct ? y.asSlice(first) : io);
      if (!direct) {
        MemorySegment.copy(io, 0, y, first, DType.F32.bytes((long) count * e.hidden()));
      }
    }
    ws.release(mark);
  }

  /** Panels of the intermediate, one after the other, each rows × its outputs. */
  private static void intermediate(
      OneDnnExpert e, int rows, MemorySegment x, MemorySegment gate, MemorySegment inner) {
    boolean fuses = FusedActivation.fuses(e.activation());
    boolean gated = e.up() != null;
    TilePlan plan = e.gate().plan();
    for (int panel = 0; panel < plan.panels(); panel++) {
      long first = (long) rows * plan.firstOutput(panel);
      long count = (long) rows * plan.firstOutput(panel + 1) - first;
      long to = inner.address() + DType.F32.bytes(first);
      e.gate().runPanel(panel, rows, x, 0, gated ? gate.address() : to);
      if (gated) {
        e.up().runPanel(panel, rows, x, gate.address(), to);
      }
      if (!fuses) {
        activate(e.activation(), gate, inner, first, count);
      }
    }
  }

  /** Replaces the sums of a panel by the intermediate, value by value. */
  private static void activate(
      Activation activation, MemorySegment gate, MemorySegment inner, long first, long count) {
    for (long i = 0; i < count; i++) {
      double u = DType.F32.get(inner, first + i);
      double g = activation.gated() ? DType.F32.get(gate, i) : u;
      DType.F32.set(inner, first + i, (float) ScalarActivation.apply(activation, g, u));
    }
  }
}

package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.BackendUnavailableException;
import org.sparkmoe.kernels.experts.OneDnnExpert.Projection;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.gemm.OneDnnGemm;
import org.sparkmoe.kernels.gemm.PackedMatrix;
import org.sparkmoe.kernels.onednn.OneDnn;
import org.sparkmoe.kernels.onednn.PostOp;
import org.sparkmoe.kernels.onednn.RowBlocks;
import org.sparkmoe.kernels.onednn.RowCast;
import org.sparkmoe.kernels.onednn.TilePlan;
import org.sparkmoe.kernels.onednn.WeightTiles;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * oneDNN, with weights in their stored width: within 1e-5 relative per row of {@link
 * ScalarExpertKernel}. Or with rows, weights and intermediates rounded to bf16 and sums in f32:
 * within 1e-2. Biases, the activation and the product of gate and up projection are part of the
 * matrix products. Each call runs on its caller's thread alone.
 */
public final class OneDnnExpertKernel implements ExpertKernel {
  private final OneDnnGemm gemm = new OneDnnGemm();
  private final DType compute;

  /**
   * The oneDNN kernel.
   *
   * @param compute F32 or BF16
   * @throws BackendUnavailableException where oneDNN cannot be loaded, computes wrongly, or has no
   *     bf16 arithmetic to use
   */
  public OneDnnExpertKernel(DType compute) {
    if (compute == DType.F16) {
      throw new IllegalArgumentException("compute type F16 is not one of F32, BF16");
    }
    this.compute = compute;
    Optional<String> refusal = compute == DType.BF16 ? OneDnn.bf16Refusal() : OneDnn.refusal();
    refusal.ifPresent(
        reason -> {
          throw new BackendUnavailableException(backend(), reason);
        });
  }

  @Override
  public Backend backend() {
    return compute == DType.BF16 ? Backend.ONEDNN_BF16 : Backend.ONEDNN;
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
  public PreparedExpert prepare(
      ExpertWeights weights, Activation activation, ActivationCodec inner, Arena arena) {
    PackedExpert.requireFit(weights, activation);
    boolean fuses = FusedActivation.fuses(activation);
    if (!fuses && compute == DType.BF16) {
      throw new IllegalArgumentException(
          "activation %s does not run in bf16; use onednn".formatted(activation.kind()));
    }
    FusedActivation fused =
        fuses ? FusedActivation.of(activation) : new FusedActivation(List.of(), List.of());
    WeightTiles tiles = tiles(PackedExpert.plain(weights.w1()));
    DType gateType = activation.gated() ? DType.F32 : compute;
    Projection gate =
        dense(PackedExpert.plain(weights.w1()), weights.b1OrNull(), gateType, fused.gate(), arena);
    Projection up =
        weights
            .w3()
            .map(
                w3 -> dense(PackedExpert.plain(w3), weights.b3OrNull(), compute, fused.up(), arena))
            .orElse(null);
    Matrix w2 = PackedExpert.plain(weights.w2());
    WeightTiles outer = WeightTiles.of(w2.rows(), w2.cols(), w2.dtype(), compute, tiles);
    PackedMatrix down = OneDnnGemm.pack(w2, outer, arena);
    return new OneDnnExpert(
        gate,
        up,
        Projection.of(down, weights.b2OrNull(), w2.rows(), DType.F32, List.of(), arena),
        activation,
        fuses);
  }

  @Override
  public long preparedBytes(
      WeightFormat in, WeightFormat down, int hidden, int intermediate, boolean gated) {
    WeightTiles inner = WeightTiles.of(intermediate, hidden, (DType) in, compute);
    WeightTiles outer = WeightTiles.of(hidden, intermediate, (DType) down, compute, inner);
    return (gated ? 2 : 1) * inner.bytes() + outer.bytes();
  }

  private WeightTiles tiles(Matrix w) {
    return WeightTiles.of(w.rows(), w.cols(), w.dtype(), compute);
  }

  private Projection dense(
      Matrix w, float[] biasOrNull, DType result, List<PostOp> steps, Arena arena) {
    PackedMatrix packed = OneDnnGemm.pack(w, tiles(w), arena);
    return Projection.of(packed, biasOrNull, TilePlan.DENSE, result, steps, arena);
  }

  @Override
  public long workspaceBytes(int rows, int hidden, int intermediate) {
    long block = RowBlocks.size(Math.min(rows, RowBlocks.MOST));
    long cast = compute == DType.BF16 ? block * hidden : 0;
    return Workspace.bytes(
        block * hidden + cast + block * intermediate + block * WeightTiles.panelWidth());
  }

  @Override
  public void forward(
      PreparedExpert expert, int rows, MemorySegment x, MemorySegment y, Workspace ws) {
    OneDnnExpert e = (OneDnnExpert) expert;
    int mark = ws.mark();
    long block = RowBlocks.size(Math.min(rows, RowBlocks.MOST));
    MemorySegment io = ws.nativeSegment(block * e.hidden());
    MemorySegment cast = ws.nativeSegment(compute == DType.BF16 ? block * e.hidden() : 0);
    MemorySegment gate = ws.nativeSegment(block * WeightTiles.panelWidth());
    MemorySegment inner = ws.nativeSegment(block * e.intermediate());
    for (int from = 0; from < rows; from += RowBlocks.MOST) {
      int count = Math.min(RowBlocks.MOST, rows - from);
      int size = RowBlocks.size(count);
      long first = DType.F32.bytes((long) from * e.hidden());
      MemorySegment in = OneDnnGemm.block(x, first, count, e.hidden(), io);
      if (compute == DType.BF16) {
        RowCast.of(e.hidden()).run(size, in.address(), cast.address());
        in = cast;
      }
      intermediate(e, size, in, gate, inner);
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
  private void intermediate(
      OneDnnExpert e, int rows, MemorySegment x, MemorySegment gate, MemorySegment inner) {
    boolean gated = e.up() != null;
    TilePlan plan = e.gate().plan();
    for (int panel = 0; panel < plan.panels(); panel++) {
      long first = (long) rows * plan.firstOutput(panel);
      long count = (long) rows * plan.firstOutput(panel + 1) - first;
      long to = inner.address() + compute.bytes(first);
      e.gate().runPanel(panel, rows, x, 0, gated ? gate.address() : to);
      if (gated) {
        e.up().runPanel(panel, rows, x, gate.address(), to);
      }
      if (!e.fused()) {
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

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
import org.sparkmoe.kernels.gemm.StripProduct;
import org.sparkmoe.kernels.gemm.TileMatrix;
import org.sparkmoe.kernels.onednn.Int8Product;
import org.sparkmoe.kernels.onednn.OneDnn;
import org.sparkmoe.kernels.onednn.PostOp;
import org.sparkmoe.kernels.onednn.RowBlocks;
import org.sparkmoe.kernels.onednn.RowCast;
import org.sparkmoe.kernels.onednn.TilePlan;
import org.sparkmoe.kernels.onednn.WeightTiles;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * oneDNN, with weights in their stored width: within 1e-5 relative per row of {@link
 * ScalarExpertKernel}. Or with rows, weights and intermediates rounded to bf16 and sums in f32:
 * within 1e-2. Biases, the activation and the product of gate and up projection are part of the
 * matrix products. Each call runs on its caller's thread alone.
 *
 * <p>Quantized weights are unpacked slice by slice while they are multiplied, by code that needs
 * the module {@code jdk.incubator.vector}. oneDNN has no part in that: its own decompression of
 * weights is not trusted. Where weights and rows both are int8 with scales by output and by row,
 * codes are multiplied by codes, on CPUs with instructions for that.
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
      ExpertWeights weights,
      Activation activation,
      ActivationCodec input,
      ActivationCodec inner,
      Arena arena) {
    PackedExpert.requireFit(weights, activation);
    boolean fuses = FusedActivation.fuses(activation);
    if (!fuses && compute == DType.BF16) {
      throw new IllegalArgumentException(
          "activation %s does not run in bf16; use onednn".formatted(activation.kind()));
    }
    FusedActivation fused =
        fuses ? FusedActivation.of(activation) : new FusedActivation(List.of(), List.of());
    if (weights.w1() instanceof Matrix w1
        && weights.w2() instanceof Matrix w2
        && !(weights.w3OrNull() instanceof QuantizedMatrix)) {
      return tiled(weights, w1, (Matrix) weights.w3OrNull(), w2, activation, fused, inner, arena);
    }
    if (multipliesCodes(weights, input, inner)) {
      return new OneDnnInt8Expert(
          codes(weights.w1(), weights.b1OrNull(), arena),
          weights.w3().map(w3 -> codes(w3, weights.b3OrNull(), arena)).orElse(null),
          codes(weights.w2(), weights.b2OrNull(), arena),
          activation,
          input,
          inner);
    }
    return new OneDnnStripExpert(
        strips(weights.w1(), weights.b1OrNull(), fused.gate(), arena),
        weights.w3().map(w3 -> strips(w3, weights.b3OrNull(), fused.up(), arena)).orElse(null),
        strips(weights.w2(), weights.b2OrNull(), List.of(), arena),
        activation,
        fuses,
        inner,
        compute);
  }

  private OneDnnExpert tiled(
      ExpertWeights weights,
      Matrix w1,
      Matrix w3OrNull,
      Matrix w2,
      Activation activation,
      FusedActivation fused,
      ActivationCodec inner,
      Arena arena) {
    Projection gate = dense(w1, weights.b1OrNull(), fused.gate(), arena);
    Projection up =
        w3OrNull == null ? null : dense(w3OrNull, weights.b3OrNull(), fused.up(), arena);
    WeightTiles outer = WeightTiles.of(w2.rows(), w2.cols(), w2.dtype(), compute, tiles(w1));
    return new OneDnnExpert(
        gate,
        up,
        Projection.of(
            OneDnnGemm.pack(w2, outer, arena),
            weights.b2OrNull(),
            w2.rows(),
            DType.F32,
            List.of(),
            arena),
        activation,
        FusedActivation.fuses(activation),
        inner);
  }

  /** Whether codes can be multiplied by codes in all projections, and the CPU is good at it. */
  private static boolean multipliesCodes(
      ExpertWeights weights, ActivationCodec input, ActivationCodec inner) {
    return OneDnnInt8Expert.multiplies(weights.w1(), input)
        && weights.w3().map(w3 -> OneDnnInt8Expert.multiplies(w3, input)).orElse(true)
        && OneDnnInt8Expert.multiplies(weights.w2(), inner)
        && OneDnn.int8Refusal().isEmpty();
  }

  private static OneDnnInt8Expert.Projection codes(Weight weight, float[] biasOrNull, Arena arena) {
    return OneDnnInt8Expert.Projection.of((QuantizedMatrix) weight, biasOrNull, arena);
  }

  private OneDnnStripExpert.Projection strips(
      Weight weight, float[] biasOrNull, List<PostOp> steps, Arena arena) {
    return OneDnnStripExpert.Projection.of(weight, biasOrNull, steps, compute, arena);
  }

  @Override
  public long preparedBytes(
      WeightFormat in, WeightFormat down, int hidden, int intermediate, boolean gated) {
    if (in instanceof DType inType && down instanceof DType downType) {
      WeightTiles inner = WeightTiles.of(intermediate, hidden, inType, compute);
      WeightTiles outer = WeightTiles.of(hidden, intermediate, downType, compute, inner);
      return (gated ? 2 : 1) * inner.bytes() + outer.bytes();
    }
    long strips =
        (gated ? 2 : 1) * StripProduct.packedBytes(in, intermediate, hidden)
            + StripProduct.packedBytes(down, hidden, intermediate);
    return Math.max(strips, int8Bytes(in, down, hidden, intermediate, gated));
  }

  /** What it takes where rows are int8 as well; 0 where that makes no difference. */
  private static long int8Bytes(
      WeightFormat in, WeightFormat down, int hidden, int intermediate, boolean gated) {
    boolean holds =
        OneDnnInt8Expert.holds(in, hidden)
            && OneDnnInt8Expert.holds(down, intermediate)
            && OneDnn.int8Refusal().isEmpty();
    return holds
        ? (gated ? 2 : 1) * Int8Product.of(intermediate, hidden).bytes()
            + Int8Product.of(hidden, intermediate).bytes()
        : 0;
  }

  private WeightTiles tiles(Matrix w) {
    return WeightTiles.of(w.rows(), w.cols(), w.dtype(), compute);
  }

  /**
   * A projection whose results are f32, also where rows are bf16: where oneDNN rounds results
   * itself, on AMX, a row's last bit depends on the size of its block.
   */
  private Projection dense(Matrix w, float[] biasOrNull, List<PostOp> steps, Arena arena) {
    TileMatrix packed = OneDnnGemm.pack(w, tiles(w), arena);
    return Projection.of(packed, biasOrNull, TilePlan.DENSE, DType.F32, steps, arena);
  }

  @Override
  public long workspaceBytes(int rows, int hidden, int intermediate) {
    long block = RowBlocks.size(Math.min(rows, RowBlocks.MOST));
    long cast = compute == DType.BF16 ? block * hidden : 0;
    long rounded = compute == DType.BF16 ? block * intermediate : 0;
    long tiled = block * intermediate + rounded + block * WeightTiles.panelWidth();
    long strips = OneDnnStripExpert.workspaceValues(block, intermediate, compute);
    return Workspace.bytes(
        Math.max(
            block * hidden + cast + Math.max(tiled, strips),
            OneDnnInt8Expert.workspaceValues(rows, hidden, intermediate)));
  }

  @Override
  public void forward(
      PreparedExpert expert, int rows, MemorySegment x, MemorySegment y, Workspace ws) {
    if (expert instanceof OneDnnInt8Expert e) {
      e.forward(rows, x, y, ws);
      return;
    }
    int mark = ws.mark();
    int hidden = expert.hidden();
    long block = RowBlocks.size(Math.min(rows, RowBlocks.MOST));
    MemorySegment io = ws.nativeSegment(block * hidden);
    MemorySegment cast = ws.nativeSegment(compute == DType.BF16 ? block * hidden : 0);
    for (int from = 0; from < rows; from += RowBlocks.MOST) {
      int count = Math.min(RowBlocks.MOST, rows - from);
      int size = RowBlocks.size(count);
      long first = DType.F32.bytes((long) from * hidden);
      MemorySegment in = OneDnnGemm.block(x, first, count, hidden, io);
      if (compute == DType.BF16) {
        RowCast.of(hidden).run(size, in.address(), cast.address());
        in = cast;
      }
      switch (expert) {
        case OneDnnStripExpert e -> e.forward(size, count, in, y, from, ws);
        default -> forward((OneDnnExpert) expert, size, count, in, io, y, first, ws);
      }
    }
    ws.release(mark);
  }

  /**
   * Computes a block; {@code io} may hold its rows, which are not needed past the first product.
   */
  private void forward(
      OneDnnExpert e,
      int size,
      int count,
      MemorySegment in,
      MemorySegment io,
      MemorySegment y,
      long first,
      Workspace ws) {
    int mark = ws.mark();
    MemorySegment gate = ws.nativeSegment((long) size * WeightTiles.panelWidth());
    MemorySegment inner = ws.nativeSegment((long) size * e.intermediate());
    intermediate(e, size, in, gate, inner);
    MemorySegment narrow =
        compute == DType.F32 ? inner : ws.nativeSegment((long) size * e.intermediate());
    if (!e.inner().isIdentity()) {
      requantize(e.inner(), e.gate().plan(), size, inner, narrow);
    } else if (compute == DType.BF16) {
      round(e.gate().plan(), size, inner, narrow);
    }
    boolean direct = y.isNative() && size == count;
    e.down().run(size, narrow, direct ? y.asSlice(first) : io);
    if (!direct) {
      MemorySegment.copy(io, 0, y, first, DType.F32.bytes((long) count * e.hidden()));
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
      long to = inner.address() + DType.F32.bytes(first);
      e.gate().runPanel(panel, rows, x, 0, gated ? gate.address() : to);
      if (gated) {
        e.up().runPanel(panel, rows, x, gate.address(), to);
      }
      if (!e.fused()) {
        activate(e.activation(), gate, inner, first, count);
      }
    }
  }

  /** Rounds the panels of the intermediate, which stay where they are. */
  private static void round(TilePlan plan, int rows, MemorySegment inner, MemorySegment to) {
    for (int panel = 0; panel < plan.panels(); panel++) {
      long first = (long) rows * plan.firstOutput(panel);
      RowCast.of(plan.firstOutput(panel + 1) - plan.firstOutput(panel))
          .run(
              rows,
              inner.address() + DType.F32.bytes(first),
              to.address() + DType.BF16.bytes(first));
    }
  }

  /** Replaces each row of the intermediate, which lies scattered over the panels. */
  private void requantize(
      ActivationCodec codec, TilePlan plan, int rows, MemorySegment inner, MemorySegment to) {
    float[] row = new float[plan.firstOutput(plan.panels())];
    for (int i = 0; i < rows; i++) {
      for (int n = 0; n < row.length; n++) {
        row[n] = DType.F32.get(inner, place(plan, rows, i, n));
      }
      codec.requantize(row, 0, row.length);
      for (int n = 0; n < row.length; n++) {
        compute.set(to, place(plan, rows, i, n), row[n]);
      }
    }
  }

  private static long place(TilePlan plan, int rows, int row, int output) {
    int panel = 0;
    while (plan.firstOutput(panel + 1) <= output) {
      panel++;
    }
    int first = plan.firstOutput(panel);
    int width = plan.firstOutput(panel + 1) - first;
    return (long) rows * first + (long) row * width + output - first;
  }

  /** Replaces the sums of a panel by the intermediate, value by value. */
  static void activate(
      Activation activation, MemorySegment gate, MemorySegment inner, long first, long count) {
    for (long i = 0; i < count; i++) {
      double u = DType.F32.get(inner, first + i);
      double g = activation.gated() ? DType.F32.get(gate, i) : u;
      DType.F32.set(inner, first + i, (float) ScalarActivation.apply(activation, g, u));
    }
  }
}

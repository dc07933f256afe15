package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.sparkmoe.kernels.gemm.PanelMatrix;
import org.sparkmoe.kernels.gemm.StripProduct;
import org.sparkmoe.kernels.onednn.PostOp;
import org.sparkmoe.kernels.onednn.RowBlocks;
import org.sparkmoe.kernels.onednn.RowCast;
import org.sparkmoe.kernels.onednn.StripPlan;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * An expert with quantized projections for oneDNN: they stay in their stored width, and are
 * unpacked while they are multiplied, a strip of outputs at a time.
 *
 * @param upOrNull null where the activation is ungated
 * @param fused whether the activation is part of the products
 * @param compute what rows and unpacked weights are multiplied in: F32 or BF16
 */
record OneDnnStripExpert(
    Projection gate,
    Projection upOrNull,
    Projection down,
    Activation activation,
    boolean fused,
    ActivationCodec inner,
    DType compute)
    implements PreparedExpert {
  private static final int WIDTH = StripProduct.WIDTH;

  /**
   * One projection.
   *
   * @param weights N × K
   * @param biasOrNull N values in native memory, zeros up to a whole strip
   * @param plan the product, its bias and what follows it
   */
  record Projection(PanelMatrix weights, MemorySegment biasOrNull, StripPlan plan) {

    static Projection of(
        Weight weight, float[] biasOrNull, List<PostOp> steps, DType compute, Arena arena) {
      PanelMatrix weights = StripProduct.pack(weight, arena);
      MemorySegment bias = null;
      if (biasOrNull != null) {
        long values = (long) StripProduct.count(weights) * WIDTH;
        bias = arena.allocate(DType.F32.bytes(values), Float.BYTES);
        MemorySegment.copy(biasOrNull, 0, bias, DType.LE_FLOAT, 0, biasOrNull.length);
      }
      return new Projection(
          weights, bias, StripPlan.of(weight.cols(), compute, bias != null, steps));
    }

    void run(
        StripProduct product, int rows, MemorySegment x, int strip, long gate, MemorySegment sums) {
      long first = DType.F32.bytes((long) strip * WIDTH);
      long bias = biasOrNull == null ? 0 : biasOrNull.address() + first;
      product.compute(plan, rows, x, weights, strip, bias, gate, sums);
    }

    /** Outputs of a strip. */
    int columns(int strip) {
      return Math.min(WIDTH, weights.rows() - strip * WIDTH);
    }
  }

  /** Values of workspace for blocks of {@code block} rows, beside those of X. */
  static long workspaceValues(long block, int intermediate, DType compute) {
    long cast = compute == DType.BF16 ? block * intermediate : 0;
    return block * intermediate + cast + 2 * block * WIDTH + StripProduct.SCRATCH_VALUES;
  }

  /**
   * Computes a block.
   *
   * @param rows of the block, a whole one
   * @param count of them that exist
   * @param x rows × H of the compute type
   * @param y receives count × H f32 from row {@code firstRow}
   */
  void forward(int rows, int count, MemorySegment x, MemorySegment y, long firstRow, Workspace ws) {
    int mark = ws.mark();
    StripProduct product = StripProduct.take(ws, compute);
    MemorySegment gateSums = ws.nativeSegment((long) rows * WIDTH);
    MemorySegment upSums = ws.nativeSegment((long) rows * WIDTH);
    MemorySegment wide = ws.nativeSegment((long) rows * intermediate());
    project(product, rows, x, gateSums, upSums, wide);
    inner.requantize(count, intermediate(), wide);
    MemorySegment activated = wide;
    if (compute == DType.BF16) {
      activated = ws.nativeSegment((long) rows * intermediate());
      RowCast.of(intermediate()).run(rows, wide.address(), activated.address());
    }
    for (int strip = 0; strip < StripProduct.count(down.weights()); strip++) {
      down.run(product, rows, activated, strip, 0, gateSums);
      StripProduct.store(
          count, down.columns(strip), gateSums, y, firstRow, strip * WIDTH, hidden());
    }
    ws.release(mark);
  }

  private void project(
      StripProduct product,
      int rows,
      MemorySegment x,
      MemorySegment gateSums,
      MemorySegment upSums,
      MemorySegment to) {
    for (int strip = 0; strip < StripProduct.count(gate.weights()); strip++) {
      MemorySegment sums = upOrNull == null ? upSums : gateSums;
      gate.run(product, rows, x, strip, 0, sums);
      if (upOrNull != null) {
        upOrNull.run(product, rows, x, strip, gateSums.address(), upSums);
      }
      if (!fused) {
        OneDnnExpertKernel.activate(activation, gateSums, upSums, 0, (long) rows * WIDTH);
      }
      StripProduct.store(rows, gate.columns(strip), upSums, to, 0, strip * WIDTH, intermediate());
    }
  }

  @Override
  public int hidden() {
    return gate.weights().cols();
  }

  @Override
  public int intermediate() {
    return gate.weights().rows();
  }

  @Override
  public long computedRows(int rows) {
    return RowBlocks.computed(rows);
  }

  @Override
  public long bytes() {
    return gate.weights().bytes()
        + down.weights().bytes()
        + (upOrNull == null ? 0 : upOrNull.weights().bytes());
  }
}

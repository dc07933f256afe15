package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.sparkmoe.kernels.gemm.TileMatrix;
import org.sparkmoe.kernels.onednn.PostOp;
import org.sparkmoe.kernels.onednn.RowBlocks;
import org.sparkmoe.kernels.onednn.TilePlan;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.tensor.DType;

/**
 * An expert whose projections are packed for oneDNN, and how to multiply by them.
 *
 * @param up null where the activation is ungated
 * @param fused whether the activation is part of the products
 */
record OneDnnExpert(
    Projection gate,
    Projection up,
    Projection down,
    Activation activation,
    boolean fused,
    ActivationCodec inner)
    implements PreparedExpert {

  /**
   * One projection.
   *
   * @param weights N × K
   * @param biasOrNull N values in native memory
   * @param plan the product, its bias and what follows it
   */
  record Projection(TileMatrix weights, MemorySegment biasOrNull, TilePlan plan) {

    /**
     * A projection.
     *
     * @param stride values from one row of the result to the next, or {@link TilePlan#DENSE}
     * @param result type of the result
     */
    static Projection of(
        TileMatrix weights,
        float[] biasOrNull,
        int stride,
        DType result,
        List<PostOp> steps,
        Arena arena) {
      MemorySegment bias =
          biasOrNull == null ? null : arena.allocateFrom(DType.LE_FLOAT, biasOrNull);
      TilePlan plan = weights.tilesOrNull().plan(stride, result, biasOrNull != null, steps);
      return new Projection(weights, bias, plan);
    }

    /** Computes rows × N from rows × K. */
    void run(int rows, MemorySegment src, MemorySegment dst) {
      plan.run(rows, src.address(), weights.data(), bias(0), dst.address());
    }

    /** Computes one panel from addresses of the gate's, where it is read, and of its own. */
    void runPanel(int panel, int rows, MemorySegment src, long gate, long dst) {
      long bias = bias(plan.firstOutput(panel));
      plan.runPanel(panel, rows, src.address(), weights.data(), bias, gate, dst);
    }

    private long bias(int from) {
      return biasOrNull == null ? 0 : biasOrNull.address() + DType.F32.bytes(from);
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
        + (up == null ? 0 : up.weights().bytes());
  }
}

package org.sparkmoe.kernels.gemm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.backend.Probes;
import org.sparkmoe.kernels.onednn.StripPlan;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Rows of X against two panels, by oneDNN: each slice of K is unpacked into a strip that stays in
 * the second-level cache, and multiplied there by all rows.
 *
 * @param compute what is multiplied, F32 or BF16
 * @param strip the slice as oneDNN reads it
 * @param wide the slice in f32, where that is not what oneDNN reads
 * @param factors scratch of unpacking
 */
public record StripProduct(
    DType compute, MemorySegment strip, MemorySegment wide, MemorySegment factors) {
  /** Output features of a strip, those of two panels. */
  public static final int WIDTH = StripPlan.WIDTH;

  private static final long STRIP_VALUES = (long) WIDTH * StripPlan.DEPTH;

  /** Values of scratch. */
  public static final long SCRATCH_VALUES = 2 * STRIP_VALUES + CodeFactors.SCRATCH_VALUES;

  private static final int PANELS = WIDTH / Panels.WIDTH;
  private static final long PANEL_STRIDE = Panels.WIDTH * Float.BYTES;
  private static final long STRIDE = WIDTH * Float.BYTES;

  /** With scratch from {@code ws}. */
  public static StripProduct take(Workspace ws, DType compute) {
    return new StripProduct(
        compute,
        ws.nativeSegment(STRIP_VALUES),
        ws.nativeSegment(STRIP_VALUES),
        ws.nativeSegment(CodeFactors.SCRATCH_VALUES));
  }

  /**
   * Brings weights of any kind into panels.
   *
   * @throws IllegalArgumentException where the module {@code jdk.incubator.vector}, which unpacks
   *     them, is missing
   */
  public static PanelMatrix pack(Weight weight, Arena arena) {
    if (!Probes.vectorModuleLoaded()) {
      throw new IllegalArgumentException(
          "weights stored as %s need the module jdk.incubator.vector; start the JVM with --add-modules jdk.incubator.vector"
              .formatted(weight.format().label()));
    }
    return Panels.pack(weight, arena);
  }

  /** Bytes that {@link #pack} makes of an N × K matrix. */
  public static long packedBytes(WeightFormat format, int rows, int cols) {
    return Panels.bytes(format, rows, cols);
  }

  /** Strips of a matrix. */
  public static int count(PanelMatrix w) {
    return Math.ceilDiv(w.rows(), WIDTH);
  }

  /**
   * Computes one strip of outputs.
   *
   * @param rows a whole block
   * @param x rows × K of the compute type
   * @param bias address of 64 values, where the plan has a bias
   * @param gate address of rows × 64 f32, where the plan reads a gate
   * @param sums receives rows × 64 f32; those past N mean nothing
   */
  public void compute(
      StripPlan plan,
      int rows,
      MemorySegment x,
      PanelMatrix w,
      int number,
      long bias,
      long gate,
      MemorySegment sums) {
    for (int slice = 0; slice < plan.slices(); slice++) {
      unpack(plan, slice, w, number);
      plan.run(slice, rows, x.address(), strip.address(), bias, gate, sums.address());
    }
  }

  private void unpack(StripPlan plan, int slice, PanelMatrix w, int number) {
    int k = plan.first(slice);
    int depth = plan.depth(slice);
    MemorySegment to = compute == DType.F32 ? strip : wide;
    for (int i = 0; i < PANELS; i++) {
      int panel = number * PANELS + i;
      if (panel < Panels.count(w.rows())) {
        PanelStrip.widen(w, panel, k, depth, to, i * PANEL_STRIDE, STRIDE, factors, 0);
      } else {
        for (int row = 0; row < depth; row++) {
          to.asSlice(row * STRIDE + i * PANEL_STRIDE, PANEL_STRIDE).fill((byte) 0);
        }
      }
    }
    if (compute == DType.BF16) {
      Bf16Pairs.round(wide, depth, strip, plan.paired(slice));
    }
  }

  /**
   * Copies sums to rows of a result.
   *
   * @param columns of the strip that exist
   * @param out row-major f32, {@code width} columns
   */
  public static void store(
      int rows,
      int columns,
      MemorySegment sums,
      MemorySegment out,
      long firstRow,
      int column,
      int width) {
    long bytes = DType.F32.bytes(columns);
    for (int row = 0; row < rows; row++) {
      long to = DType.F32.bytes((firstRow + row) * width + column);
      MemorySegment.copy(sums, row * STRIDE, out, to, bytes);
    }
  }
}

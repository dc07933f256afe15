package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.BackendUnavailableException;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.gemm.VectorGemm;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * SIMD on the JVM in f32: within 1e-5 relative per row of {@link ScalarExpertKernel}, and the same
 * bits on every register width.
 */
public final class VectorExpertKernel implements ExpertKernel {
  /**
   * Rows whose intermediates are in memory at once. They bound the workspace; more would save
   * little, since weights are read once per that many rows.
   */
  private static final int CHUNK = 256;

  /** Room that the activation may overwrite past its last value. */
  private static final int SLACK = 32;

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
  public PreparedExpert prepare(ExpertWeights weights, Activation activation, Arena arena) {
    return PackedExpert.pack(weights, activation, gemm, arena);
  }

  @Override
  public long workspaceBytes(int rows, int hidden, int intermediate) {
    int chunk = Math.min(rows, CHUNK);
    long inner = 2 * ((long) chunk * intermediate + SLACK);
    return Workspace.bytes(inner)
        + Math.max(gemm.workspaceBytes(chunk, hidden), gemm.workspaceBytes(chunk, intermediate));
  }

  @Override
  public void forward(
      PreparedExpert expert, int rows, MemorySegment x, MemorySegment y, Workspace ws) {
    PackedExpert e = (PackedExpert) expert;
    long rowBytes = DType.F32.bytes(e.hidden());
    for (int from = 0; from < rows; from += CHUNK) {
      int count = Math.min(CHUNK, rows - from);
      MemorySegment in = x.asSlice(from * rowBytes, count * rowBytes);
      MemorySegment out = y.asSlice(from * rowBytes, count * rowBytes);
      forwardChunk(e, count, in, out, ws);
    }
  }

  private void forwardChunk(
      PackedExpert e, int rows, MemorySegment x, MemorySegment y, Workspace ws) {
    int mark = ws.mark();
    int values = rows * e.intermediate();
    int gate = ws.take((long) values + SLACK);
    int up = ws.take((long) values + SLACK);
    MemorySegment floats = MemorySegment.ofArray(ws.floats());
    MemorySegment inner = floats.asSlice(Workspace.bytes(gate), Workspace.bytes(values));
    gemm.multiply(rows, x, e.w1(), e.b1OrNull(), inner, ws);
    if (e.w3OrNull() != null) {
      MemorySegment upRows = floats.asSlice(Workspace.bytes(up), Workspace.bytes(values));
      gemm.multiply(rows, x, e.w3OrNull(), e.b3OrNull(), upRows, ws);
    }
    VectorActivation.apply(e.activation(), ws.floats(), gate, up, values);
    gemm.multiply(rows, inner, e.w2(), e.b2OrNull(), y, ws);
    ws.release(mark);
  }
}

package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.gemm.PackedMatrix;
import org.sparkmoe.kernels.gemm.ScalarGemm;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * The specification: plain loops, f64 from the input to the last rounding. The other kernels agree
 * with it within the tolerance they state.
 */
public final class ScalarExpertKernel implements ExpertKernel {
  private final ScalarGemm gemm = new ScalarGemm();

  @Override
  public Backend backend() {
    return Backend.SCALAR;
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
    return 0;
  }

  @Override
  public void forward(
      PreparedExpert expert, int rows, MemorySegment x, MemorySegment y, Workspace ws) {
    PackedExpert e = (PackedExpert) expert;
    double[] token = new double[e.hidden()];
    double[] inner = new double[e.intermediate()];
    for (int row = 0; row < rows; row++) {
      long from = (long) row * e.hidden();
      for (int h = 0; h < e.hidden(); h++) {
        token[h] = DType.F32.get(x, from + h);
      }
      for (int i = 0; i < e.intermediate(); i++) {
        double gate = dot(e.w1(), i, token, e.b1OrNull());
        double up = e.w3OrNull() == null ? 0 : dot(e.w3OrNull(), i, token, e.b3OrNull());
        inner[i] = ScalarActivation.apply(e.activation(), gate, up);
      }
      for (int h = 0; h < e.hidden(); h++) {
        DType.F32.set(y, from + h, (float) dot(e.w2(), h, inner, e.b2OrNull()));
      }
    }
  }

  private static double dot(PackedMatrix w, int row, double[] x, float[] biasOrNull) {
    double sum = 0;
    for (int k = 0; k < w.cols(); k++) {
      sum += w.dtype().get(w.data(), (long) row * w.cols() + k) * x[k];
    }
    return biasOrNull == null ? sum : sum + biasOrNull[row];
  }
}

package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.gemm.ScalarGemm;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * The specification: plain loops, f64 from the input to the last rounding. A quantized weight has
 * the exact value of {@link Weight#value}; a quantized intermediate is rounded to f32 first. The
 * other kernels agree with it within the tolerance they state.
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
  public PreparedExpert prepare(
      ExpertWeights weights,
      Activation activation,
      ActivationCodec input,
      ActivationCodec inner,
      Arena arena) {
    return ScalarExpert.copy(weights, activation, inner, arena);
  }

  @Override
  public long preparedBytes(
      WeightFormat in, WeightFormat down, int hidden, int intermediate, boolean gated) {
    // each segment of the copy starts on a cache line
    long alignment = 9 * 64;
    return (gated ? 2 : 1) * in.bytes(intermediate, hidden)
        + down.bytes(hidden, intermediate)
        + alignment;
  }

  @Override
  public long workspaceBytes(int rows, int hidden, int intermediate) {
    return 0;
  }

  @Override
  public void forward(
      PreparedExpert expert, int rows, MemorySegment x, MemorySegment y, Workspace ws) {
    ScalarExpert e = (ScalarExpert) expert;
    ExpertWeights w = e.weights();
    double[][] tokens = new double[rows][e.hidden()];
    for (int row = 0; row < rows; row++) {
      for (int h = 0; h < e.hidden(); h++) {
        tokens[row][h] = DType.F32.get(x, (long) row * e.hidden() + h);
      }
    }
    double[][] inner = new double[rows][e.intermediate()];
    double[] gateRow = new double[e.hidden()];
    double[] upRow = new double[e.hidden()];
    for (int i = 0; i < e.intermediate(); i++) {
      read(w.w1(), i, gateRow);
      if (w.w3OrNull() != null) {
        read(w.w3OrNull(), i, upRow);
      }
      for (int row = 0; row < rows; row++) {
        double gate = dot(gateRow, tokens[row], w.b1OrNull(), i);
        double up = w.w3OrNull() == null ? 0 : dot(upRow, tokens[row], w.b3OrNull(), i);
        inner[row][i] = ScalarActivation.apply(e.activation(), gate, up);
      }
    }
    if (!e.inner().isIdentity()) {
      for (double[] row : inner) {
        requantize(e.inner(), row);
      }
    }
    double[] downRow = new double[e.intermediate()];
    for (int h = 0; h < e.hidden(); h++) {
      read(w.w2(), h, downRow);
      for (int row = 0; row < rows; row++) {
        double sum = dot(downRow, inner[row], w.b2OrNull(), h);
        DType.F32.set(y, (long) row * e.hidden() + h, (float) sum);
      }
    }
  }

  private static void read(Weight w, int row, double[] to) {
    for (int k = 0; k < to.length; k++) {
      to[k] = w.value(row, k);
    }
  }

  private static double dot(double[] w, double[] x, float[] biasOrNull, int output) {
    double sum = 0;
    for (int k = 0; k < w.length; k++) {
      sum += w[k] * x[k];
    }
    return biasOrNull == null ? sum : sum + biasOrNull[output];
  }

  private static void requantize(ActivationCodec codec, double[] row) {
    float[] rounded = new float[row.length];
    for (int i = 0; i < row.length; i++) {
      rounded[i] = (float) row[i];
    }
    codec.requantize(rounded, 0, rounded.length);
    for (int i = 0; i < row.length; i++) {
      row[i] = rounded[i];
    }
  }
}

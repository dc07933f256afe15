package org.sparkmoe.kernels.gemm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.tensor.Workspace;

/** The specification: three loops, f64 accumulators, rounded to f32 once at the end. */
public final class ScalarGemm implements Gemm {
  private static final long ALIGNMENT = 64;

  @Override
  public PackedMatrix pack(Matrix weight, Arena arena) {
    MemorySegment data = arena.allocate(weight.bytes(), ALIGNMENT).copyFrom(weight.data());
    return new PackedMatrix(
        data, weight.dtype(), weight.rows(), weight.cols(), PackedMatrix.Order.ROW_MAJOR);
  }

  @Override
  public long packedBytes(WeightFormat format, int rows, int cols) {
    return format.bytes(rows, cols);
  }

  @Override
  public long workspaceBytes(int rows, int cols) {
    return 0;
  }

  @Override
  public void multiply(
      int rows,
      MemorySegment x,
      PackedMatrix w,
      float[] biasOrNull,
      MemorySegment out,
      Workspace ws) {
    w.requireOrder(PackedMatrix.Order.ROW_MAJOR);
    for (int m = 0; m < rows; m++) {
      for (int n = 0; n < w.rows(); n++) {
        double sum = 0;
        for (int k = 0; k < w.cols(); k++) {
          double xk = DType.F32.get(x, (long) m * w.cols() + k);
          sum += xk * w.dtype().get(w.data(), (long) n * w.cols() + k);
        }
        DType.F32.set(
            out, (long) m * w.rows() + n, (float) (biasOrNull == null ? sum : sum + biasOrNull[n]));
      }
    }
  }
}

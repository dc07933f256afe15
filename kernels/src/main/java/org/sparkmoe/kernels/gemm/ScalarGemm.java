package org.sparkmoe.kernels.gemm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.tensor.Workspace;

/** The specification: three loops, f64 accumulators, rounded to f32 once at the end. */
public final class ScalarGemm implements Gemm {
  private static final long ALIGNMENT = 64;

  @Override
  public StoredMatrix pack(Weight weight, Arena arena) {
    return new StoredMatrix(
        switch (weight) {
          case Matrix m -> new Matrix(copy(m.data(), arena), m.dtype(), m.rows(), m.cols());
          case QuantizedMatrix q ->
              new QuantizedMatrix(
                  copy(q.codes(), arena),
                  q.format(),
                  q.rows(),
                  q.cols(),
                  copy(q.scales(), arena),
                  q.global(),
                  q.zerosOrNull() == null ? null : copy(q.zerosOrNull(), arena),
                  q.groupOfOrNull() == null ? null : q.groupOfOrNull().clone());
        });
  }

  private static MemorySegment copy(MemorySegment data, Arena arena) {
    return arena.allocate(data.byteSize(), ALIGNMENT).copyFrom(data);
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
      PackedMatrix packedWeight,
      float[] biasOrNull,
      MemorySegment out,
      Workspace ws) {
    Weight w = PackedMatrix.as(StoredMatrix.class, packedWeight).weight();
    for (int m = 0; m < rows; m++) {
      for (int n = 0; n < w.rows(); n++) {
        double sum = 0;
        for (int k = 0; k < w.cols(); k++) {
          double xk = DType.F32.get(x, (long) m * w.cols() + k);
          sum += xk * w.value(n, k);
        }
        DType.F32.set(
            out, (long) m * w.rows() + n, (float) (biasOrNull == null ? sum : sum + biasOrNull[n]));
      }
    }
  }
}

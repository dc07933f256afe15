package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.Probes;
import org.sparkmoe.kernels.cuda.Cuda;
import org.sparkmoe.kernels.cuda.CudaException;
import org.sparkmoe.kernels.cuda.Gpu;
import org.sparkmoe.kernels.cuda.GpuActivation;
import org.sparkmoe.kernels.cuda.GpuExpert;
import org.sparkmoe.kernels.cuda.GpuShape;
import org.sparkmoe.kernels.cuda.Lane;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.gemm.ScalarGemm;
import org.sparkmoe.kernels.gemm.VectorGemm;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Experts on an NVIDIA GPU, where their weights stay. Rows and intermediates are rounded to the
 * type of the weights, and sums are f32: within 1e-2 relative per row of {@link ScalarExpertKernel}
 * for bf16 and f16, within 1e-5 for f32. The router and the gate of a shared expert stay on the
 * CPU, because a last digit there changes the choice of experts.
 */
public final class CudaExpertKernel implements ExpertKernel {
  private final Gemm gemm = Probes.vectorModuleLoaded() ? new VectorGemm() : new ScalarGemm();
  private final Gpu gpu;

  /**
   * The kernel of this process's GPU.
   *
   * @throws IllegalStateException where there is none
   */
  public CudaExpertKernel() {
    this.gpu = Cuda.gpu();
  }

  @Override
  public Backend backend() {
    return Backend.CUDA;
  }

  @Override
  public Gemm gemm() {
    return gemm;
  }

  Gpu gpu() {
    return gpu;
  }

  /**
   * Copies an expert to the GPU.
   *
   * @throws IllegalArgumentException where the projections do not have one type of f32, bf16 and
   *     f16, or the intermediate is quantized
   * @throws CudaException where the GPU has no room
   */
  @Override
  public PreparedExpert prepare(
      ExpertWeights weights,
      Activation activation,
      ActivationCodec input,
      ActivationCodec inner,
      Arena arena) {
    PackedExpert.requireFit(weights, activation);
    if (!inner.isIdentity()) {
      throw new IllegalArgumentException(
          "a quantized intermediate does not run on cuda; use onednn or vector");
    }
    Matrix w1 = plain(weights.w1());
    Matrix w3OrNull = weights.w3().map(CudaExpertKernel::plain).orElse(null);
    Matrix w2 = plain(weights.w2());
    requireOneType(w1, w2);
    if (w3OrNull != null) {
      requireOneType(w1, w3OrNull);
    }
    GpuShape shape =
        new GpuShape(w1.dtype(), weights.hidden(), weights.intermediate(), activation.gated());
    GpuExpert expert =
        GpuExpert.upload(
            gpu,
            shape,
            w1,
            w3OrNull,
            w2,
            weights.b1OrNull(),
            weights.b3OrNull(),
            weights.b2OrNull(),
            arena);
    return new CudaExpert(expert, code(activation), gpu.tileRows(shape.type()));
  }

  private static Matrix plain(Weight weight) {
    if (weight instanceof Matrix matrix) {
      return matrix;
    }
    throw new IllegalArgumentException(
        "weights stored as %s do not run on cuda; use onednn or vector"
            .formatted(weight.format().label()));
  }

  private static void requireOneType(Matrix w1, Matrix other) {
    if (w1.dtype() != other.dtype()) {
      throw new IllegalArgumentException(
          "projections in %s and %s do not run on cuda together; use onednn or vector"
              .formatted(w1.dtype(), other.dtype()));
    }
  }

  private static GpuActivation code(Activation activation) {
    return new GpuActivation(
        number(activation.kind()), activation.alpha(), activation.beta(), activation.limit());
  }

  /** As {@code experts.cu} numbers them. */
  private static int number(Activation.Kind kind) {
    return switch (kind) {
      case SILU -> 0;
      case GELU -> 1;
      case GELU_TANH -> 2;
      case SWIGLU_OAI -> 3;
      case SWIGLU_STEP -> 4;
      case SITU -> 5;
      case SILU_NO_MUL -> 6;
      case GELU_NO_MUL -> 7;
      case GELU_TANH_NO_MUL -> 8;
      case RELU2_NO_MUL -> 9;
    };
  }

  /** Bytes on the GPU: they count like packed weights in the memory of the machine. */
  @Override
  public long preparedBytes(
      WeightFormat in, WeightFormat down, int hidden, int intermediate, boolean gated) {
    if (!(in instanceof DType type)) {
      throw new IllegalArgumentException(
          "weights stored as %s do not run on cuda; use onednn or vector".formatted(in.label()));
    }
    return new GpuShape(type, hidden, intermediate, gated).bytes();
  }

  @Override
  public long workspaceBytes(int rows, int hidden, int intermediate) {
    return 0;
  }

  @Override
  public void forward(
      PreparedExpert expert, int rows, MemorySegment x, MemorySegment y, Workspace ws) {
    if (rows == 0) {
      return;
    }
    CudaExpert e = (CudaExpert) expert;
    GpuShape shape = e.memory().shape();
    long rowBytes = DType.F32.bytes(shape.hidden());
    try (Lane lane = gpu.lane()) {
      int most = gpu.rowsAtOnce(shape);
      for (int from = 0; from < rows; from += most) {
        int count = Math.min(most, rows - from);
        lane.load(shape, count, x.asSlice(from * rowBytes), null, count);
        lane.run(List.of(new Lane.Piece(e.memory(), 0, count)), e.activation());
        lane.rows(y.asSlice(from * rowBytes, count * rowBytes));
      }
    }
  }
}

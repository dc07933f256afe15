package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.Probes;
import org.sparkmoe.kernels.cuda.Cuda;
import org.sparkmoe.kernels.cuda.CudaException;
import org.sparkmoe.kernels.cuda.Gpu;
import org.sparkmoe.kernels.cuda.GpuActivation;
import org.sparkmoe.kernels.cuda.GpuExpert;
import org.sparkmoe.kernels.cuda.GpuRouter;
import org.sparkmoe.kernels.cuda.GpuRows;
import org.sparkmoe.kernels.cuda.GpuShape;
import org.sparkmoe.kernels.cuda.Lane;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.gemm.ScalarGemm;
import org.sparkmoe.kernels.gemm.VectorGemm;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.router.Gating;
import org.sparkmoe.kernels.router.RouterWeights;
import org.sparkmoe.kernels.router.RoutingRule;
import org.sparkmoe.kernels.router.TopKRule;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Experts on an NVIDIA GPU, where their weights stay in their stored width. Rows and intermediates
 * are rounded to the type of the weights, beside quantized ones to bf16 like the weights that those
 * stand for, and sums are f32: within 1e-2 relative per row of {@link ScalarExpertKernel}, within
 * 1e-5 for f32. The router is there too ({@link CudaGating}); sparsemixer and the gate of a shared
 * expert stay on the CPU.
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
    this(Cuda.gpu());
  }

  /** The kernel of {@code gpu}. */
  CudaExpertKernel(Gpu gpu) {
    this.gpu = gpu;
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
   * Why routers of {@code rule} run on the CPU beside experts on a GPU; empty where they run there
   * too.
   */
  public static Optional<String> routesOnCpu(RoutingRule rule, int experts) {
    return CudaGating.refusal(rule, experts);
  }

  @Override
  public Gating gating(RoutingRule rule, RouterWeights weights, Arena arena) {
    return rule instanceof TopKRule topK && routesOnCpu(rule, weights.router().rows()).isEmpty()
        ? new CudaGating(gpu, topK, weights, arena)
        : ExpertKernel.super.gating(rule, weights, arena);
  }

  @Override
  public long gatingBytes(RoutingRule rule, DType format, int experts, int hidden) {
    return routesOnCpu(rule, experts).isEmpty()
        ? GpuRouter.bytes(experts, hidden)
        : ExpertKernel.super.gatingBytes(rule, format, experts, hidden);
  }

  @Override
  public Optional<RoutedExperts> routed(Gating gating, int intermediate, ExpertClock clock) {
    return gating instanceof CudaGating device
        ? device.withExperts(intermediate, clock)
        : Optional.empty();
  }

  /** As they are: they travel in fewer bytes, and the GPU converts them. */
  @Override
  public DType handover(DType stored) {
    return stored;
  }

  /** Page-locked; its alignment is that of pages. */
  @Override
  public MemorySegment memory(long bytes, long alignment, Arena arena) {
    return gpu.pinned(bytes, arena);
  }

  /**
   * Copies an expert to the GPU.
   *
   * @throws IllegalArgumentException where the projections are not all stored in one way, or in one
   *     that {@link Backend#refusal(WeightFormat)} names, or the intermediate is quantized in a way
   *     that no kernel knows beside them
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
    WeightFormat format = weights.w1().format();
    requireUnpacked(format);
    requireOneFormat(format, weights.w2());
    weights.w3().ifPresent(w3 -> requireOneFormat(format, w3));
    GpuShape shape =
        new GpuShape(
            format,
            rows(format, activation, input, inner),
            weights.hidden(),
            weights.intermediate(),
            activation.gated());
    GpuExpert expert =
        GpuExpert.upload(
            gpu,
            shape,
            weights.w1(),
            weights.w3OrNull(),
            weights.w2(),
            weights.b1OrNull(),
            weights.b3OrNull(),
            weights.b2OrNull(),
            arena);
    return new CudaExpert(expert, code(activation), gpu.rowsTogether(shape));
  }

  private GpuRows rows(
      WeightFormat format, Activation activation, ActivationCodec input, ActivationCodec inner) {
    boolean measures =
        !inner.isIdentity() && inner.scheme().granularity() == ActivationScheme.Granularity.NONE;
    GpuRows rows =
        GpuRows.of(format, input.scheme(), inner.scheme())
            .filter(any -> !measures)
            .orElseThrow(
                () ->
                    new IllegalArgumentException(
                        "an intermediate in %s between weights stored as %s does not run on cuda; use onednn or vector"
                            .formatted(
                                measures ? "measured f32" : inner.scheme().label(),
                                format.label())));
    if (rows == GpuRows.ROUNDED) {
      return rows;
    }
    gpu.fp8Refusal()
        .ifPresent(
            reason -> {
              throw new IllegalArgumentException(reason);
            });
    if (!activation.gated()) {
      throw new IllegalArgumentException(
          "a quantized intermediate of an expert without w3 does not run on cuda; use onednn or"
              + " vector");
    }
    return rows;
  }

  private static void requireUnpacked(WeightFormat format) {
    Backend.CUDA
        .refusal(format)
        .ifPresent(
            reason -> {
              throw new IllegalArgumentException(reason);
            });
  }

  private static void requireOneFormat(WeightFormat format, Weight other) {
    if (!other.format().equals(format)) {
      throw new IllegalArgumentException(
          "projections in %s and %s do not run on cuda together; use onednn or vector"
              .formatted(format.label(), other.format().label()));
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
    requireUnpacked(in);
    return new GpuShape(in, hidden, intermediate, gated).bytes();
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
      int most = gpu.rowsAtOnce(shape.hidden(), shape.intermediate());
      for (int from = 0; from < rows; from += most) {
        int count = Math.min(most, rows - from);
        lane.load(shape.hidden(), count, x.asSlice(from * rowBytes), DType.F32);
        lane.arrange(shape);
        lane.start(List.of(new Lane.Piece(e.memory(), 0, count)), e.activation());
        lane.rows(y.asSlice(from * rowBytes, count * rowBytes));
        lane.finish();
      }
    }
  }
}

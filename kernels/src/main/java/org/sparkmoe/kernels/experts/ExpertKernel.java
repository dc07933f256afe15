package org.sparkmoe.kernels.experts;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.BackendUnavailableException;
import org.sparkmoe.kernels.backend.Probes;
import org.sparkmoe.kernels.cuda.Cuda;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.router.Gating;
import org.sparkmoe.kernels.router.GemmGating;
import org.sparkmoe.kernels.router.RouterWeights;
import org.sparkmoe.kernels.router.RoutingRule;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * The feed-forward of one expert over rows already gathered for it:
 *
 * <pre>
 *   Y = inner(act(X W1ᵀ + b1, X W3ᵀ + b3)) W2ᵀ + b2
 * </pre>
 *
 * <p>inner quantizes the intermediate where the checkpoint does, row by row, else it is nothing.
 *
 * <p>Router weights are not applied here. A row of Y depends on its own row of X only, bit for bit.
 * Thread-safe.
 */
public sealed interface ExpertKernel
    permits ScalarExpertKernel, VectorExpertKernel, OneDnnExpertKernel, CudaExpertKernel {

  /**
   * The kernel of {@code backend}.
   *
   * @throws BackendUnavailableException where it cannot run on this JVM
   */
  static ExpertKernel of(Backend backend) {
    Probes.gather(List.of(backend))
        .refusal(backend)
        .ifPresent(
            reason -> {
              throw new BackendUnavailableException(backend, reason);
            });
    return switch (backend) {
      case SCALAR -> new ScalarExpertKernel();
      case VECTOR -> new VectorExpertKernel();
      case ONEDNN -> new OneDnnExpertKernel(DType.F32);
      case ONEDNN_BF16 -> new OneDnnExpertKernel(DType.BF16);
      case CUDA -> new CudaExpertKernel();
    };
  }

  /**
   * As {@link #of(Backend)}, on GPU {@code gpu} where the backend computes on one; empty for that
   * of this process.
   *
   * @throws BackendUnavailableException where it cannot run there
   */
  static ExpertKernel of(Backend backend, OptionalInt gpu) {
    if (backend != Backend.CUDA || gpu.isEmpty()) {
      return of(backend);
    }
    Cuda.refusal(gpu.getAsInt())
        .ifPresent(
            reason -> {
              throw new BackendUnavailableException(backend, reason);
            });
    return new CudaExpertKernel(Cuda.gpu(gpu.getAsInt()));
  }

  /** What it runs on. */
  Backend backend();

  /** The matrix product for what is around the experts on the CPU: router and gates. */
  Gemm gemm();

  /**
   * The router that fits this kernel.
   *
   * @param arena owns its copy of the weights
   */
  default Gating gating(RoutingRule rule, RouterWeights weights, Arena arena) {
    return new GemmGating(gemm(), rule, weights, arena);
  }

  /**
   * Bytes that {@link #gating} makes of a router, at most.
   *
   * @param format how it is stored
   */
  default long gatingBytes(RoutingRule rule, DType format, int experts, int hidden) {
    return gemm().packedBytes(format, experts, hidden);
  }

  /**
   * Router and experts in one pass, where this kernel has both in one place; empty where routes
   * have to come from the router.
   *
   * @param gating of this kernel
   * @param intermediate I
   * @param clock told how long each expert ran
   */
  default Optional<RoutedExperts> routed(Gating gating, int intermediate, ExpertClock clock) {
    return Optional.empty();
  }

  /**
   * The type in which vectors that are stored as {@code stored} are best handed over: f32, or that.
   */
  default DType handover(DType stored) {
    return DType.F32;
  }

  /**
   * Memory that this kernel reads and writes fastest: for weights before they are packed, and for
   * batches of tokens.
   */
  default MemorySegment memory(long bytes, long alignment, Arena arena) {
    return arena.allocate(bytes, alignment);
  }

  /**
   * Packs an expert for this kernel. Costs about as much as copying the weights: once per expert,
   * never per batch.
   *
   * @param weights read only while this call runs
   * @param input how the rows of X were quantized: they hold values that its codes decode to
   * @param inner how the intermediate is quantized
   * @param arena owns the packed copy; shared where several threads use it
   * @throws IllegalArgumentException where a gated activation meets weights without w3, or the
   *     other way round
   */
  PreparedExpert prepare(
      ExpertWeights weights,
      Activation activation,
      ActivationCodec input,
      ActivationCodec inner,
      Arena arena);

  /** As above, where nothing is quantized but the weights. */
  default PreparedExpert prepare(ExpertWeights weights, Activation activation, Arena arena) {
    return prepare(weights, activation, ActivationCodec.NONE, ActivationCodec.NONE, arena);
  }

  /**
   * Bytes that {@link #prepare} makes of an expert, at most.
   *
   * @param in how w1 and w3 are stored
   * @param down how w2 is stored
   * @param hidden H
   * @param intermediate I
   * @param gated whether there is a w3
   */
  default long preparedBytes(
      WeightFormat in, WeightFormat down, int hidden, int intermediate, boolean gated) {
    return (gated ? 2 : 1) * gemm().packedBytes(in, intermediate, hidden)
        + gemm().packedBytes(down, hidden, intermediate);
  }

  /**
   * Workspace of {@link #forward}.
   *
   * @param rows at most
   * @param hidden H
   * @param intermediate I
   */
  long workspaceBytes(int rows, int hidden, int intermediate);

  /**
   * A workspace of the kind that this kernel and its {@link #gemm} need: on the heap, or native.
   *
   * @param bytes at least
   * @param arena owns native memory; belongs to the task that computes
   */
  default Workspace workspace(long bytes, Arena arena) {
    return Workspace.ofBytes(bytes);
  }

  /**
   * Computes {@code Y}.
   *
   * @param expert prepared by this kernel
   * @param rows may be 0
   * @param x rows × H, row-major f32
   * @param y rows × H, row-major f32, must not overlap x
   * @param ws a {@link #workspace} with at least {@link #workspaceBytes} free
   */
  void forward(PreparedExpert expert, int rows, MemorySegment x, MemorySegment y, Workspace ws);
}

package org.sparkmoe.kernels.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.gemm.Gemm;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.Workspace;

/** Compares sampled rows of a result with the SCALAR backend, the specification. */
public final class LayerProof {
  /** f32 arithmetic with any order of summation. */
  public static final double F32 = 1e-5;

  /** Other libraries' f32: some approximate the activation's exponential. */
  public static final double PEER = 1e-4;

  /** Rows and weights rounded to bf16. */
  public static final double BF16 = 1e-2;

  private static final int SAMPLES = 4;

  private LayerProof() {}

  /** What may lie between a backend's result and SCALAR. */
  public static double tolerance(Backend backend) {
    return backend == Backend.ONEDNN_BF16 || backend == Backend.CUDA ? BF16 : F32;
  }

  /**
   * Checks some tokens of a layer's result, the first and the last among them: there slices and
   * tails go wrong.
   *
   * @param name of who computed it
   * @param x tokens × H f32
   * @param out tokens × H f32
   * @throws WrongResultException naming the token
   */
  public static void checkLayer(
      String name,
      RandomLayer weights,
      int tokens,
      MemorySegment x,
      MemorySegment out,
      double tolerance) {
    Shape shape = weights.shape();
    int samples = Math.min(SAMPLES, tokens);
    long rowBytes = DType.F32.bytes(shape.hidden());
    ExpertKernel kernel = ExpertKernel.of(Backend.SCALAR);
    ExpertStore store = ExpertStore.unbounded();
    try (Arena arena = Arena.ofConfined();
        PreparedLayer scalar = PreparedLayer.prepare(shape.spec(), weights, kernel, store)) {
      Workspace ws = scalar.kernel().workspace(scalar.workspaceBytes(1), arena);
      MemorySegment expected = arena.allocate(rowBytes);
      for (int sample = 0; sample < samples; sample++) {
        long token = (long) sample * (tokens - 1) / Math.max(1, samples - 1);
        scalar.forward(1, x.asSlice(token * rowBytes, rowBytes), expected, ws);
        MemorySegment found = out.asSlice(token * rowBytes, rowBytes);
        String what = "%s is wrong: token %d of %s".formatted(name, token, shape);
        compare(what, found, expected, shape.hidden(), tolerance);
      }
    }
  }

  /**
   * Checks one row of a product.
   *
   * @param what for the message
   * @param x K values, the row of X
   * @param w N × K
   * @param found N values, the row of {@code X Wᵀ}
   * @throws WrongResultException where the row is something else
   */
  public static void checkProduct(
      String what, MemorySegment x, Weight w, MemorySegment found, double tolerance) {
    ExpertKernel scalar = ExpertKernel.of(Backend.SCALAR);
    Gemm gemm = scalar.gemm();
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment expected = arena.allocate(DType.F32.bytes(w.rows()));
      Workspace ws = scalar.workspace(gemm.workspaceBytes(1, w.cols()), arena);
      gemm.multiply(1, x, gemm.pack(w, arena), null, expected, ws);
      compare(what, found, expected, w.rows(), tolerance);
    }
  }

  private static void compare(
      String what, MemorySegment found, MemorySegment expected, int values, double tolerance) {
    double difference = 0;
    double norm = 0;
    for (int i = 0; i < values; i++) {
      double e = DType.F32.get(expected, i);
      double d = DType.F32.get(found, i) - e;
      difference += d * d;
      norm += e * e;
    }
    double error = difference == 0 ? 0 : Math.sqrt(difference / norm);
    if (!(error <= tolerance)) {
      throw new WrongResultException(
          "%s is %.1e from SCALAR (relative L2, limit %.0e)".formatted(what, error, tolerance));
    }
  }
}

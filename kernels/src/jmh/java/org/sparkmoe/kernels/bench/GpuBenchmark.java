package org.sparkmoe.kernels.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.function.LongSupplier;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.cuda.Cuda;
import org.sparkmoe.kernels.cuda.Gpu;
import org.sparkmoe.kernels.cuda.GpuActivation;
import org.sparkmoe.kernels.cuda.GpuExpert;
import org.sparkmoe.kernels.cuda.GpuShape;
import org.sparkmoe.kernels.cuda.Lane;
import org.sparkmoe.kernels.experts.ExpertClock;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenPermutation;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Layers on a GPU, as {@code src/test/cuda/run-on-gpu.sh} starts it beside its peer. Arguments are
 * {@code shape:tokens}; prints CSV, medians: shape, tokens, ms of both products and the activation
 * between them for all rows at once (by events on the GPU), ms of the whole layer from and to
 * page-locked f32 memory (router on the CPU, copies, permutation, sum), TFLOP/s of the products.
 * Before anything is timed the result is compared with SCALAR; afterwards its bits must be the
 * same.
 */
final class GpuBenchmark {
  private static final int REPEATS = 20;
  private static final int LAYER_REPEATS = 7;
  private static final GpuActivation SILU = new GpuActivation(0, 0, 0, Float.POSITIVE_INFINITY);

  private final Gpu gpu = Cuda.gpu();
  private final ExpertKernel kernel = ExpertKernel.of(Backend.CUDA);
  private final Team team = Team.of(Runtime.getRuntime().availableProcessors());

  private GpuBenchmark() {}

  public static void main(String[] cases) {
    Cuda.refusal()
        .ifPresent(
            reason -> {
              throw new IllegalStateException(reason);
            });
    System.out.println("# " + Cuda.description());
    GpuBenchmark benchmark = new GpuBenchmark();
    try (benchmark.team) {
      for (String one : cases) {
        String[] parts = one.split(":", 2);
        benchmark.measure(Shape.named(parts[0]), Integer.parseInt(parts[1]));
      }
    }
  }

  private void measure(Shape shape, int tokens) {
    long bytes = DType.F32.bytes((long) tokens * shape.hidden());
    try (Arena arena = Arena.ofShared();
        RandomLayer weights = new RandomLayer(shape, DType.BF16, false);
        PreparedLayer layer =
            PreparedLayer.prepare(shape.spec(), weights, kernel, ExpertStore.unbounded())) {
      weights.route(RoutingKind.UNIFORM);
      MemorySegment x = gpu.pinned(bytes, arena);
      RandomValues.fill(x, DType.F32, 1, 1);
      MemorySegment out = gpu.pinned(bytes, arena);
      Workspace ws = kernel.workspace(layer.workspaceBytes(tokens, team), arena);
      layer.forward(tokens, x, out, ws, team, ExpertClock.NONE);
      LayerProof.checkLayer("cuda", weights, tokens, x, out, LayerProof.BF16);
      MemorySegment first = arena.allocate(bytes).copyFrom(out);
      double layerMillis =
          median(
              LAYER_REPEATS,
              () -> {
                long start = System.nanoTime();
                layer.forward(tokens, x, out, ws, team, ExpertClock.NONE);
                return System.nanoTime() - start;
              });
      if (first.mismatch(out) != -1) {
        throw new WrongResultException("the layer's bits changed from run to run: " + shape);
      }
      int[] ids = new int[tokens * shape.topK()];
      float[] topWeights = new float[ids.length];
      layer.route(tokens, x, ids, topWeights, ws, team);
      TokenRoutes routes = TokenRoutes.uniform(tokens, shape.topK(), ids, topWeights);
      double millis = products(weights, x, routes);
      System.out.printf(
          Locale.ROOT,
          "%s,%d,%.4f,%.4f,%.1f%n",
          shape.name(),
          tokens,
          millis,
          layerMillis,
          shape.flops(tokens) / millis / 1e9);
    }
  }

  private double products(RandomLayer weights, MemorySegment x, TokenRoutes routes) {
    Shape shape = weights.shape();
    GpuShape sizes = new GpuShape(DType.BF16, shape.hidden(), shape.intermediate(), true);
    TokenPermutation order = TokenPermutation.of(routes, ExpertMap.all(shape.experts()));
    int[] tokenOf = new int[order.rows()];
    Arrays.setAll(tokenOf, order::token);
    try (Arena arena = Arena.ofShared();
        Lane lane = gpu.lane()) {
      List<Lane.Piece> pieces = new ArrayList<>();
      for (int id = 0; id < shape.experts(); id++) {
        ExpertWeights expert = weights.expert(id);
        pieces.add(new Lane.Piece(upload(sizes, expert, arena), order.offset(id), order.rows(id)));
      }
      lane.load(sizes, routes.tokens(), x, tokenOf, tokenOf.length);
      for (int warm = 0; warm < 3; warm++) {
        lane.run(pieces, SILU);
      }
      return median(REPEATS, () -> lane.run(pieces, SILU));
    }
  }

  private GpuExpert upload(GpuShape sizes, ExpertWeights expert, Arena arena) {
    return GpuExpert.upload(
        gpu,
        sizes,
        (Matrix) expert.w1(),
        (Matrix) expert.w3OrNull(),
        (Matrix) expert.w2(),
        null,
        null,
        null,
        arena);
  }

  /** Milliseconds. */
  private static double median(int repeats, LongSupplier nanos) {
    long[] all = new long[repeats];
    for (int i = 0; i < repeats; i++) {
      all[i] = nanos.getAsLong();
    }
    Arrays.sort(all);
    return all[repeats / 2] * 1e-6;
  }
}

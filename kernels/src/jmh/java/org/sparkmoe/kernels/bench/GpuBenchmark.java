package org.sparkmoe.kernels.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Locale;
import java.util.function.LongSupplier;
import java.util.stream.IntStream;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.cuda.Cuda;
import org.sparkmoe.kernels.cuda.Gpu;
import org.sparkmoe.kernels.cuda.GpuActivation;
import org.sparkmoe.kernels.cuda.GpuExpert;
import org.sparkmoe.kernels.cuda.GpuShape;
import org.sparkmoe.kernels.cuda.Lane;
import org.sparkmoe.kernels.experts.Activation;
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
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Layers on a GPU, as {@code src/test/cuda/run-on-gpu.sh} starts it beside its peer. Arguments are
 * {@code shape:tokens}, for weights in bf16; prints CSV, medians: shape, tokens, ms of both
 * products and the activation between them for all rows at once (by events on the GPU), ms of the
 * whole layer from and to page-locked f32 memory (router on the CPU, copies, permutation, sum),
 * TFLOP/s of the products. With a third part, {@code shape:tokens:stored}, weights are stored as
 * that says, and of the times only that of the products is there. Before anything is timed the
 * result is compared with SCALAR; afterwards its bits must be the same.
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
        String[] parts = one.split(":", 3);
        Shape shape = Shape.named(parts[0]);
        int tokens = Integer.parseInt(parts[1]);
        if (parts.length == 2) {
          benchmark.measure(shape, tokens);
        } else {
          benchmark.measure(shape, tokens, Stored.valueOf(parts[2]));
        }
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
      List<ExpertWeights> experts =
          IntStream.range(0, shape.experts()).mapToObj(weights::expert).toList();
      double millis = products(shape, experts, x, routes);
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

  /** Experts that are alike, each of them in memory of its own; rows are dealt out evenly. */
  private void measure(Shape shape, int tokens, Stored stored) {
    try (Arena arena = Arena.ofShared()) {
      ExpertWeights expert =
          ExpertWeights.gated(
              stored.random(shape.intermediate(), shape.hidden(), arena, 1),
              stored.random(shape.intermediate(), shape.hidden(), arena, 2),
              stored.random(shape.hidden(), shape.intermediate(), arena, 3));
      MemorySegment x = gpu.pinned(DType.F32.bytes((long) tokens * shape.hidden()), arena);
      RandomValues.fill(x, DType.F32, 1, 1);
      check(expert, x, stored, arena);
      int[] ids = new int[tokens * shape.topK()];
      Arrays.setAll(ids, i -> i % shape.experts());
      TokenRoutes routes = TokenRoutes.uniform(tokens, shape.topK(), ids, new float[ids.length]);
      double millis = products(shape, Collections.nCopies(shape.experts(), expert), x, routes);
      System.out.printf(
          Locale.ROOT,
          "%s %s,%d,%.4f,,%.1f%n",
          shape.name(),
          stored,
          tokens,
          millis,
          shape.flops(tokens) / millis / 1e9);
    }
  }

  /** A few rows against SCALAR. */
  private void check(ExpertWeights expert, MemorySegment x, Stored stored, Arena arena) {
    int rows = (int) Math.min(3, x.byteSize() / DType.F32.bytes(expert.hidden()));
    float[][] results = new float[2][];
    for (int way = 0; way < 2; way++) {
      ExpertKernel runs = way == 0 ? kernel : ExpertKernel.of(Backend.SCALAR);
      Workspace ws =
          runs.workspace(runs.workspaceBytes(rows, expert.hidden(), expert.intermediate()), arena);
      MemorySegment y = arena.allocate(DType.F32.bytes((long) rows * expert.hidden()));
      runs.forward(runs.prepare(expert, Activation.SILU, arena), rows, x, y, ws);
      results[way] = y.toArray(DType.LE_FLOAT);
    }
    double off = 0;
    double norm = 0;
    for (int i = 0; i < results[1].length; i++) {
      off += Math.pow(results[0][i] - results[1][i], 2);
      norm += Math.pow(results[1][i], 2);
    }
    if (!(Math.sqrt(off / norm) <= LayerProof.BF16)) {
      throw new WrongResultException(
          "%s: relative error %.3g".formatted(stored, Math.sqrt(off / norm)));
    }
  }

  private double products(
      Shape shape, List<ExpertWeights> experts, MemorySegment x, TokenRoutes routes) {
    GpuShape sizes =
        new GpuShape(experts.getFirst().w1().format(), shape.hidden(), shape.intermediate(), true);
    TokenPermutation order = TokenPermutation.of(routes, ExpertMap.all(shape.experts()));
    int[] tokenOf = new int[order.rows()];
    Arrays.setAll(tokenOf, order::token);
    try (Arena arena = Arena.ofShared();
        Lane lane = gpu.lane()) {
      List<Lane.Piece> pieces = new ArrayList<>();
      for (int id = 0; id < shape.experts(); id++) {
        GpuExpert expert = upload(sizes, experts.get(id), arena);
        pieces.add(new Lane.Piece(expert, order.offset(id), order.rows(id)));
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
        gpu, sizes, expert.w1(), expert.w3OrNull(), expert.w2(), null, null, null, arena);
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

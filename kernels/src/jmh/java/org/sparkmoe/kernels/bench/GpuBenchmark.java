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
import org.sparkmoe.kernels.cuda.GpuRouter;
import org.sparkmoe.kernels.cuda.GpuRouting;
import org.sparkmoe.kernels.cuda.GpuRows;
import org.sparkmoe.kernels.cuda.GpuShape;
import org.sparkmoe.kernels.cuda.Lane;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.experts.ExpertClock;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.layer.ExpertFormats;
import org.sparkmoe.kernels.layer.LayerMemory;
import org.sparkmoe.kernels.layer.PreparedLayer;
import org.sparkmoe.kernels.permute.ExpertMap;
import org.sparkmoe.kernels.permute.TokenPermutation;
import org.sparkmoe.kernels.permute.TokenRoutes;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.store.ExpertStore;
import org.sparkmoe.kernels.team.Team;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * Layers on a GPU, as {@code src/test/cuda/run-on-gpu.sh} starts it beside its peer. Arguments are
 * {@code shape:tokens}, for weights in bf16; prints CSV, medians: shape, tokens, ms of both
 * products and the activation between them for all rows at once (by events on the GPU), ms of the
 * whole layer (router, copies, permutation, sum) from and to page-locked memory in f32, TFLOP/s of
 * the products, ms of the whole layer with page-locked memory in bf16, ms of the whole layer in one
 * batch in bf16 that stays on the GPU. With a third part, {@code shape:tokens:stored}, weights are
 * stored as that says, and of the times only that of the products is there; with a fourth, {@code
 * :fp8}, rows and intermediates are quantized to FP8 in groups of 128. Before anything is timed the
 * result is compared with SCALAR; afterwards its bits must be the same.
 */
final class GpuBenchmark {
  private static final String STREAMED = "streamed";
  private static final long WARM_NANOS = 500_000_000;
  private static final int REPEATS = 20;
  private static final int LAYER_REPEATS = 11;
  private static final ActivationCodec FP8 =
      ActivationCodec.of(ActivationScheme.fp8PerBlock(128, ScaleType.F32));
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
        String[] parts = one.split(":", 4);
        Shape shape = Shape.named(parts[0]);
        int tokens = Integer.parseInt(parts[1]);
        if (parts.length == 2) {
          benchmark.measure(shape, tokens);
        } else if (parts[2].equals(STREAMED)) {
          benchmark.measureStreamed(shape, tokens);
        } else {
          benchmark.measure(shape, tokens, Stored.valueOf(parts[2]), parts.length == 4);
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
      double wide = layer(layer, tokens, Activations.f32(x), Activations.f32(out), ws);
      Activations narrow = new Activations(gpu.pinned(bytes / 2, arena), DType.BF16);
      Activations.f32(x).convert(narrow, bytes / 4);
      Activations narrowOut = new Activations(gpu.pinned(bytes / 2, arena), DType.BF16);
      double half = layer(layer, tokens, narrow, narrowOut, ws);
      int[] ids = new int[tokens * shape.topK()];
      float[] topWeights = new float[ids.length];
      layer.route(tokens, Activations.f32(x), ids, topWeights, ws, team);
      TokenRoutes routes = TokenRoutes.uniform(tokens, shape.topK(), ids, topWeights);
      List<ExpertWeights> experts =
          IntStream.range(0, shape.experts()).mapToObj(weights::expert).toList();
      double millis = products(shape, experts, GpuRows.ROUNDED, x, routes);
      double resident = resident(weights, experts, tokens, narrow, narrowOut);
      System.out.printf(
          Locale.ROOT,
          "%s,%d,%.4f,%.4f,%.1f,%.4f,%.4f%n",
          shape.name(),
          tokens,
          millis,
          wide,
          shape.flops(tokens) / millis / 1e9,
          half,
          resident);
    }
  }

  /**
   * Milliseconds from router to sum of tokens that are on the GPU, in one batch whose result stays
   * there; it has to be {@code expected}, bit for bit.
   */
  private double resident(
      RandomLayer weights,
      List<ExpertWeights> experts,
      int tokens,
      Activations x,
      Activations expected) {
    Shape shape = weights.shape();
    GpuShape sizes =
        new GpuShape(DType.BF16, GpuRows.ROUNDED, shape.hidden(), shape.intermediate(), true);
    try (Arena arena = Arena.ofShared();
        Lane lane = gpu.lane()) {
      GpuRouter router = GpuRouter.upload(gpu, rule(shape), weights.router(), null, null, arena);
      List<GpuExpert> uploaded = experts.stream().map(e -> upload(sizes, e, arena)).toList();
      lane.load(shape.hidden(), tokens, x.data(), x.type());
      Runnable once =
          () -> {
            lane.route(router);
            lane.permute(shape.experts());
            List<Lane.Piece> pieces = pieces(uploaded, lane.rowsOfExperts(shape.experts()));
            lane.arrange(sizes);
            lane.start(pieces, SILU);
            lane.sum(x.type());
            lane.finish();
          };
      warm(once);
      MemorySegment out = gpu.pinned(x.data().byteSize(), arena);
      lane.combine(out, x.type());
      lane.finish();
      if (expected.data().mismatch(out) != -1) {
        throw new WrongResultException("one batch has other bits than several: " + shape);
      }
      return median(
          REPEATS,
          () -> {
            long start = System.nanoTime();
            once.run();
            return System.nanoTime() - start;
          });
    }
  }

  /** Softmax, renormalized, as {@link Shape#spec} has it. */
  private static GpuRouting rule(Shape shape) {
    return new GpuRouting(shape.experts(), shape.topK(), 0, 1, 1, 0, 3, 0, 0, 1);
  }

  private static List<Lane.Piece> pieces(List<GpuExpert> experts, int[] rows) {
    List<Lane.Piece> pieces = new ArrayList<>();
    int first = 0;
    for (int id = 0; id < rows.length; id++) {
      if (rows[id] > 0) {
        pieces.add(new Lane.Piece(experts.get(id), first, rows[id]));
      }
      first += rows[id];
    }
    return pieces;
  }

  /** Half of the experts have room; vectors in bf16. */
  private void measureStreamed(Shape shape, int tokens) {
    long count = (long) tokens * shape.hidden();
    try (Arena arena = Arena.ofShared();
        RandomLayer random = new RandomLayer(shape, DType.BF16, false)) {
      random.route(RoutingKind.UNIFORM);
      PinnedLayer weights = PinnedLayer.of(random, shape.experts(), gpu, arena);
      Activations wide = Activations.f32(arena.allocate(DType.F32.bytes(count)));
      RandomValues.fill(wide.data(), DType.F32, 1, 1);
      Activations x = new Activations(gpu.pinned(DType.BF16.bytes(count), arena), DType.BF16);
      wide.convert(x, count);
      Activations out = new Activations(gpu.pinned(DType.BF16.bytes(count), arena), DType.BF16);
      ExpertFormats formats = ExpertFormats.of(DType.BF16);
      LayerMemory memory = LayerMemory.of(shape.spec(), formats, formats, kernel);
      double whole;
      MemorySegment expected;
      try (PreparedLayer layer =
          PreparedLayer.prepare(shape.spec(), weights, kernel, ExpertStore.unbounded())) {
        whole = layer(layer, tokens, x, out, Workspace.ofBytes(0));
        expected = arena.allocate(out.data().byteSize()).copyFrom(out.data());
      }
      ExpertStore store = ExpertStore.ofBytes(memory.least(shape.experts() / 2));
      try (PreparedLayer layer = PreparedLayer.prepare(shape.spec(), weights, kernel, store)) {
        double streamed = layer(layer, tokens, x, out, Workspace.ofBytes(0));
        if (expected.mismatch(out.data()) != -1) {
          throw new WrongResultException("streaming changed the layer's bits: " + shape);
        }
        long before = store.statistics().packed();
        layer.forward(tokens, x, out, Workspace.ofBytes(0), team, ExpertClock.NONE);
        System.out.printf(
            Locale.ROOT,
            "%s streamed,%d,all there %.4f ms,half there %.4f ms,%d experts of %d bytes a run%n",
            shape.name(),
            tokens,
            whole,
            streamed,
            store.statistics().packed() - before,
            memory.expert());
      }
    }
  }

  /** Milliseconds of the whole layer; its bits must be the same each time. */
  private double layer(
      PreparedLayer layer, int tokens, Activations x, Activations out, Workspace ws) {
    Runnable once = () -> layer.forward(tokens, x, out, ws, team, ExpertClock.NONE);
    warm(once);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment first = arena.allocate(out.data().byteSize()).copyFrom(out.data());
      double millis =
          median(
              LAYER_REPEATS,
              () -> {
                long start = System.nanoTime();
                once.run();
                return System.nanoTime() - start;
              });
      if (first.mismatch(out.data()) != -1) {
        throw new WrongResultException("the layer's bits changed from run to run");
      }
      return millis;
    }
  }

  /** Experts that are alike, each of them in memory of its own; rows are dealt out evenly. */
  private void measure(Shape shape, int tokens, Stored stored, boolean fp8) {
    try (Arena arena = Arena.ofShared()) {
      ExpertWeights expert =
          ExpertWeights.gated(
              stored.random(shape.intermediate(), shape.hidden(), arena, 1),
              stored.random(shape.intermediate(), shape.hidden(), arena, 2),
              stored.random(shape.hidden(), shape.intermediate(), arena, 3));
      MemorySegment x = gpu.pinned(DType.F32.bytes((long) tokens * shape.hidden()), arena);
      RandomValues.fill(x, DType.F32, 1, 1);
      ActivationCodec codec = fp8 ? FP8 : ActivationCodec.NONE;
      codec.requantize(tokens, shape.hidden(), x);
      check(expert, x, stored, codec, arena);
      int[] ids = new int[tokens * shape.topK()];
      Arrays.setAll(ids, i -> i % shape.experts());
      TokenRoutes routes = TokenRoutes.uniform(tokens, shape.topK(), ids, new float[ids.length]);
      GpuRows rows = fp8 ? GpuRows.FP8 : GpuRows.ROUNDED;
      double millis =
          products(shape, Collections.nCopies(shape.experts(), expert), rows, x, routes);
      System.out.printf(
          Locale.ROOT,
          "%s %s%s,%d,%.4f,,%.1f%n",
          shape.name(),
          stored,
          fp8 ? " fp8" : "",
          tokens,
          millis,
          shape.flops(tokens) / millis / 1e9);
    }
  }

  /** A few rows against SCALAR. */
  private void check(
      ExpertWeights expert, MemorySegment x, Stored stored, ActivationCodec codec, Arena arena) {
    int rows = (int) Math.min(3, x.byteSize() / DType.F32.bytes(expert.hidden()));
    float[][] results = new float[2][];
    for (int way = 0; way < 2; way++) {
      ExpertKernel runs = way == 0 ? kernel : ExpertKernel.of(Backend.SCALAR);
      Workspace ws =
          runs.workspace(runs.workspaceBytes(rows, expert.hidden(), expert.intermediate()), arena);
      MemorySegment y = arena.allocate(DType.F32.bytes((long) rows * expert.hidden()));
      runs.forward(runs.prepare(expert, Activation.SILU, codec, codec, arena), rows, x, y, ws);
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
      Shape shape, List<ExpertWeights> experts, GpuRows rows, MemorySegment x, TokenRoutes routes) {
    GpuShape sizes =
        new GpuShape(
            experts.getFirst().w1().format(), rows, shape.hidden(), shape.intermediate(), true);
    TokenPermutation order = TokenPermutation.of(routes, ExpertMap.all(shape.experts()));
    try (Arena arena = Arena.ofShared();
        Lane lane = gpu.lane()) {
      List<Lane.Piece> pieces = new ArrayList<>();
      for (int id = 0; id < shape.experts(); id++) {
        GpuExpert expert = upload(sizes, experts.get(id), arena);
        pieces.add(new Lane.Piece(expert, order.offset(id), order.rows(id)));
      }
      lane.load(shape.hidden(), routes.tokens(), x, DType.F32);
      lane.routes(routes, routes.expertIds());
      lane.permute(shape.experts());
      lane.rowsOfExperts(shape.experts());
      lane.arrange(sizes);
      warm(() -> lane.run(pieces, SILU));
      return median(REPEATS, () -> lane.run(pieces, SILU));
    }
  }

  private GpuExpert upload(GpuShape sizes, ExpertWeights expert, Arena arena) {
    return GpuExpert.upload(
        gpu, sizes, expert.w1(), expert.w3OrNull(), expert.w2(), null, null, null, arena);
  }

  /** Between two short kernels the GPU would wait for code that is not compiled yet. */
  private static void warm(Runnable once) {
    long end = System.nanoTime() + WARM_NANOS;
    do {
      once.run();
    } while (System.nanoTime() < end);
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

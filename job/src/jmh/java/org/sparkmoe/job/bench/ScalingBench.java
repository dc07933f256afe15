package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.bench.RoutingKind;
import org.sparkmoe.kernels.bench.Shape;
import org.sparkmoe.kernels.tensor.DType;

/**
 * What our layer costs where one thing changes: weights in bf16, twice the tokens, twice the
 * experts, few rows per expert. Both sides of each ratio are measured in turn.
 */
final class ScalingBench {
  /** Rows per expert at which arithmetic, not the reading of weights, sets the time. */
  private static final int MANY_ROWS = 128;

  private static final int FEW_ROWS = 4;

  private final Settings settings;
  private final Report report;

  ScalingBench(Settings settings, Report report) {
    this.settings = settings;
    this.report = report;
  }

  void run(Shape shape) {
    report.section("What changes cost: " + shape);
    List<String> header = new ArrayList<>(List.of(""));
    List<List<String>> rows = new ArrayList<>();
    for (String name : names(shape)) {
      rows.add(new ArrayList<>(List.of(name)));
    }
    for (Backend backend : settings.backends()) {
      header.add(backend.name());
      List<String> figures = figures(shape, backend);
      for (int i = 0; i < figures.size(); i++) {
        rows.get(i).add(figures.get(i));
      }
    }
    report.table(header, rows);
  }

  private static List<String> names(Shape shape) {
    return List.of(
        "T %d: speed with bf16 weights over f32".formatted(tokens(shape, MANY_ROWS)),
        "bytes of bf16 weights over f32, packed",
        "T %d over T %d: time".formatted(tokens(shape, 2 * MANY_ROWS), tokens(shape, MANY_ROWS)),
        "%d experts over %d, f32: time".formatted(2 * shape.experts(), shape.experts()),
        "the same, less reading the added weights once",
        "T %d (%d rows per expert), f32: weights read, of the bandwidth"
            .formatted(tokens(shape, FEW_ROWS), FEW_ROWS),
        "T %d (%d rows per expert), bf16: weights read, of the bandwidth"
            .formatted(tokens(shape, FEW_ROWS), FEW_ROWS));
  }

  private List<String> figures(Shape shape, Backend backend) {
    List<String> figures = new ArrayList<>();
    int many = tokens(shape, MANY_ROWS);
    try (RandomLayer f32 = layer(shape, DType.F32);
        RandomLayer bf16 = layer(shape, DType.BF16);
        OurLayer wide = new OurLayer(f32, backend, settings.threads());
        OurLayer narrow = new OurLayer(bf16, backend, settings.threads());
        Arena arena = Arena.ofShared()) {
      Batch batch = Batch.of(f32, many, arena);
      Batch twice = Batch.of(f32, 2 * many, arena);
      Batch narrowBatch = Batch.of(bf16, many, arena);
      wide.prove(batch);
      wide.prove(twice);
      narrow.prove(narrowBatch);
      List<Timing> times =
          Rounds.of(
              List.of(() -> wide.run(batch), () -> narrow.run(narrowBatch), () -> wide.run(twice)),
              settings.seconds());
      figures.add(Figures.ratio(times.get(1).ratioTo(times.get(0))));
      figures.add(Figures.ratio((double) narrow.packedBytes() / wide.packedBytes()));
      figures.add(Figures.ratio(times.get(0).ratioTo(times.get(2))));
      figures.addAll(experts(shape, backend, wide, batch));
      figures.add(ofBandwidth(f32, wide, arena));
      figures.add(ofBandwidth(bf16, narrow, arena));
    }
    return figures;
  }

  private List<String> experts(Shape shape, Backend backend, OurLayer some, Batch batch) {
    Shape doubled = shape.withExperts(2 * shape.experts());
    try (RandomLayer weights = layer(doubled, DType.F32);
        OurLayer more = new OurLayer(weights, backend, settings.threads());
        Bandwidth bandwidth = new Bandwidth(settings.threads());
        Arena arena = Arena.ofShared()) {
      Batch same = Batch.of(weights, batch.tokens(), arena);
      more.prove(same);
      List<Timing> times =
          Rounds.of(
              List.of(() -> some.run(batch), () -> more.run(same), bandwidth::run),
              settings.seconds());
      double reading = (more.packedBytes() - some.packedBytes()) / bandwidth.rate(times.getLast());
      double ratio = times.get(0).ratioTo(times.get(1));
      return List.of(Figures.ratio(ratio), Figures.ratio(ratio - reading / times.get(0).median()));
    }
  }

  private String ofBandwidth(RandomLayer weights, OurLayer layer, Arena arena) {
    Batch batch = Batch.of(weights, tokens(weights.shape(), FEW_ROWS), arena);
    layer.prove(batch);
    try (Bandwidth bandwidth = new Bandwidth(settings.threads())) {
      List<Timing> times =
          Rounds.of(List.of(() -> layer.run(batch), bandwidth::run), settings.seconds());
      double bytes = (double) batch.active() * weights.expertBytes();
      return Figures.percent(bytes / times.getFirst().median() / bandwidth.rate(times.getLast()));
    }
  }

  private RandomLayer layer(Shape shape, DType dtype) {
    RandomLayer layer = new RandomLayer(shape, dtype, false);
    layer.route(RoutingKind.UNIFORM);
    return layer;
  }

  /** Tokens that give every expert {@code rows} rows on average. */
  private static int tokens(Shape shape, int rows) {
    return Math.ceilDiv(rows * shape.experts(), shape.topK());
  }
}

package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.bench.RoutingKind;
import org.sparkmoe.kernels.bench.Shape;
import org.sparkmoe.kernels.bench.Stored;

/**
 * Whole layers with quantized weights and f32 activations beside the same layers in f32 and bf16.
 * Where experts have few rows, fewer bytes should be faster; where they have many, unpacking should
 * cost little.
 */
final class QuantBench {
  /** Rows per expert, on average. */
  private static final int[] ROWS = {1, 2, 3, 4, 8, 64, 128};

  private final Settings settings;
  private final Report report;

  QuantBench(Settings settings, Report report) {
    this.settings = settings;
    this.report = report;
  }

  void run(Shape shape) {
    Optional<String> shortage = Machine.shortage(bytes(shape));
    if (shortage.isPresent()) {
      report.section(shape + ", quantized weights, skipped");
      report.lines(shortage.stream().toList());
      return;
    }
    List<RandomLayer> layers = new ArrayList<>();
    try {
      for (Stored stored : Stored.values()) {
        RandomLayer layer = new RandomLayer(shape, stored);
        layers.add(layer);
        layer.route(RoutingKind.UNIFORM);
      }
      for (Backend backend : settings.backends()) {
        run(shape, backend, layers);
      }
    } finally {
      layers.forEach(RandomLayer::close);
    }
  }

  /** All layers as stored, and once more as one backend packs them. */
  private static long bytes(Shape shape) {
    long values = shape.experts() * shape.expertValues();
    long bits = 0;
    for (Stored stored : Stored.values()) {
      bits += stored.bits();
    }
    return 2 * values * bits / Byte.SIZE;
  }

  private void run(Shape shape, Backend backend, List<RandomLayer> layers) {
    List<OurLayer> ours = new ArrayList<>();
    try (Arena arena = Arena.ofShared()) {
      for (RandomLayer layer : layers) {
        ours.add(new OurLayer(layer, backend, settings.threads()));
      }
      for (int rows : ROWS) {
        int tokens = Math.ceilDiv(rows * shape.experts(), shape.topK());
        cell(layers, ours, Batch.of(layers.getFirst(), tokens, arena));
      }
    } finally {
      ours.forEach(OurLayer::close);
    }
  }

  private void cell(List<RandomLayer> layers, List<OurLayer> ours, Batch batch) {
    report.section(
        "%s, T %d, quantized weights, %s"
            .formatted(layers.getFirst().shape(), batch.tokens(), ours.getFirst().name()));
    report.lines(
        List.of(
            "%d experts have tokens, %d of them 4 at most, the hottest %d"
                .formatted(batch.active(), batch.activeUpTo(4), batch.hottest())));
    ours.forEach(layer -> layer.prove(batch));
    List<Runnable> runs = new ArrayList<>();
    ours.forEach(layer -> runs.add(() -> layer.run(batch)));
    List<Timing> timings = Rounds.of(runs, settings.seconds());
    List<Stored> kinds = List.of(Stored.values());
    Timing f32 = timings.get(kinds.indexOf(Stored.F32));
    Timing bf16 = timings.get(kinds.indexOf(Stored.BF16));
    List<List<String>> rows = new ArrayList<>();
    for (int i = 0; i < kinds.size(); i++) {
      Timing timing = timings.get(i);
      double bytes = (double) batch.active() * layers.get(i).expertBytes();
      rows.add(
          List.of(
              kinds.get(i).name().toLowerCase(Locale.ROOT).replace('_', ' '),
              Figures.gibibytes(ours.get(i).packedBytes()),
              Figures.millis(timing.median()),
              Figures.percent(timing.spread()),
              Figures.rate(bytes / timing.median() / 1e9),
              Figures.ratio(timing.ratioTo(f32)),
              Figures.ratio(timing.ratioTo(bf16))));
    }
    report.table(List.of("weights", "packed", "ms", "±", "GB/s", "over f32", "over bf16"), rows);
  }
}

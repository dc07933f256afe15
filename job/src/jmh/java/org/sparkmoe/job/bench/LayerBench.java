package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.bench.RoutingKind;
import org.sparkmoe.kernels.bench.Shape;
import org.sparkmoe.kernels.tensor.DType;

/** The whole layer on every backend beside its peers, shape by shape. */
final class LayerBench {
  private final Settings settings;
  private final Report report;

  LayerBench(Settings settings, Report report) {
    this.settings = settings;
    this.report = report;
  }

  /** Measures one shape. */
  void run(Shape shape) {
    Optional<String> shortage = Machine.shortage(bytes(shape));
    if (shortage.isPresent()) {
      report.section(shape + ", skipped");
      report.lines(shortage.stream().toList());
      return;
    }
    try (RandomLayer weights = new RandomLayer(shape, settings.weights(), true)) {
      List<OurLayer> ours = new ArrayList<>();
      try {
        for (Backend backend : settings.backends()) {
          ours.add(new OurLayer(weights, backend, settings.threads()));
        }
        for (RoutingKind routing : settings.routings()) {
          weights.route(routing);
          for (int tokens : settings.tokens()) {
            cell(weights, ours, routing, tokens);
          }
        }
      } finally {
        ours.forEach(OurLayer::close);
      }
    }
  }

  /** Bytes of the weights: stored, widened for peers, and packed by each backend. */
  private long bytes(Shape shape) {
    long stored = shape.f32Bytes() / Float.BYTES * settings.weights().bytes();
    long wide = settings.weights() == DType.F32 ? 0 : shape.f32Bytes();
    return stored * (1 + settings.backends().size()) + wide;
  }

  private void cell(RandomLayer weights, List<OurLayer> ours, RoutingKind routing, int tokens) {
    Shape shape = weights.shape();
    try (Arena arena = Arena.ofShared()) {
      Batch batch = Batch.of(weights, tokens, arena);
      report.section(
          "%s, T %d, %s routing, %s weights"
              .formatted(shape, tokens, routing.option(), Figures.name(settings.weights())));
      report.lines(
          List.of(
              "%d of %d experts have tokens, the hottest %d"
                  .formatted(batch.active(), shape.experts(), batch.hottest())));
      ours.forEach(layer -> layer.prove(batch));
      Map<Peer, String> skipped = new LinkedHashMap<>();
      List<List<String>> rows = new ArrayList<>();
      List<double[]> ourSamples = new ArrayList<>();
      ours.forEach(layer -> ourSamples.add(new double[0]));
      for (Peer peer : settings.peers()) {
        Optional<String> refusal = peer.refusalNow(shape);
        if (refusal.isPresent()) {
          skipped.put(peer, refusal.get());
          continue;
        }
        try (Contender other = peer.open(weights, settings.threads())) {
          other.prove(batch);
          rows.add(measure(ours, other, batch, shape, ourSamples));
        }
      }
      if (rows.isEmpty()) {
        measureAlone(ours, batch, ourSamples);
      }
      List<List<String>> all = new ArrayList<>();
      for (int i = 0; i < ours.size(); i++) {
        all.add(
            row(
                ours.get(i).name(),
                new Timing(ourSamples.get(i)),
                batch,
                shape,
                settings.weights(),
                ours.size()));
      }
      all.addAll(rows);
      report.table(header(ours), all);
      report.lines(
          skipped.entrySet().stream()
              .map(e -> "not " + e.getKey().option() + ": " + e.getValue())
              .toList());
    }
  }

  private List<String> measure(
      List<OurLayer> ours, Contender other, Batch batch, Shape shape, List<double[]> ourSamples) {
    List<Runnable> runs = new ArrayList<>();
    ours.forEach(layer -> runs.add(() -> layer.run(batch)));
    runs.add(() -> other.run(batch));
    List<Timing> timings = Rounds.of(runs, settings.seconds());
    Timing theirs = timings.getLast();
    List<String> row = row(other.name(), theirs, batch, shape, DType.F32, 0);
    for (int i = 0; i < ours.size(); i++) {
      keep(ourSamples, i, timings.get(i));
      row.add(Figures.ratio(timings.get(i).ratioTo(theirs)));
    }
    return row;
  }

  private void measureAlone(List<OurLayer> ours, Batch batch, List<double[]> ourSamples) {
    List<Runnable> runs = new ArrayList<>();
    ours.forEach(layer -> runs.add(() -> layer.run(batch)));
    List<Timing> timings = Rounds.of(runs, settings.seconds());
    for (int i = 0; i < timings.size(); i++) {
      keep(ourSamples, i, timings.get(i));
    }
  }

  private static void keep(List<double[]> samples, int i, Timing timing) {
    double[] before = samples.get(i);
    double[] all = Arrays.copyOf(before, before.length + timing.samples().length);
    System.arraycopy(timing.samples(), 0, all, before.length, timing.samples().length);
    samples.set(i, all);
  }

  private static List<String> header(List<OurLayer> ours) {
    List<String> header =
        new ArrayList<>(List.of("", "ms", "±", "GFLOP/s", "weights GB/s", "tokens/s"));
    ours.forEach(layer -> header.add(layer.name() + " is faster by"));
    return header;
  }

  private static List<String> row(
      String name, Timing timing, Batch batch, Shape shape, DType dtype, int emptyRatios) {
    double seconds = timing.median();
    double bytes = (double) batch.active() * dtype.bytes(shape.expertValues());
    List<String> row =
        new ArrayList<>(
            List.of(
                name,
                Figures.millis(seconds),
                Figures.percent(timing.spread()),
                Figures.rate(shape.flops(batch.tokens()) / seconds / 1e9),
                Figures.rate(bytes / seconds / 1e9),
                Figures.count(batch.tokens() / seconds)));
    for (int i = 0; i < emptyRatios; i++) {
      row.add("");
    }
    return row;
  }
}

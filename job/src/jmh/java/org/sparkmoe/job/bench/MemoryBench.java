package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.bench.RoutingKind;
import org.sparkmoe.kernels.bench.Shape;

/**
 * What our layer adds to the memory that this process alone holds: once packed, and at most while
 * it runs. Heap and garbage not yet collected count, so a figure is an upper bound.
 */
final class MemoryBench {
  private static final int[] TOKENS = {1024, 8192};
  private static final int CALLS = 3;
  private static final long SAMPLE_MILLIS = 10;

  private final Settings settings;
  private final Report report;

  MemoryBench(Settings settings, Report report) {
    this.settings = settings;
    this.report = report;
  }

  void run(Shape shape) {
    report.section("Memory: %s, %s weights".formatted(shape, Figures.name(settings.weights())));
    if (Machine.anonymousBytes().isEmpty()) {
      report.lines(List.of("not measured: this system does not tell what a process holds"));
      return;
    }
    List<String> header = new ArrayList<>(List.of("", "stored", "packed adds"));
    for (int tokens : TOKENS) {
      header.add("running T %d adds".formatted(tokens));
    }
    List<List<String>> rows = new ArrayList<>();
    try (RandomLayer weights = new RandomLayer(shape, settings.weights(), false)) {
      weights.route(RoutingKind.UNIFORM);
      for (Backend backend : settings.backends()) {
        rows.add(row(weights, backend));
      }
    }
    report.table(header, rows);
  }

  private List<String> row(RandomLayer weights, Backend backend) {
    long before = held();
    List<String> row = new ArrayList<>(List.of(backend.name()));
    row.add(Figures.gibibytes(weights.storedBytes()));
    try (OurLayer layer = new OurLayer(weights, backend, settings.threads());
        Arena arena = Arena.ofShared()) {
      row.add(Figures.gibibytes(held() - before));
      for (int tokens : TOKENS) {
        Batch batch = Batch.of(weights, tokens, arena);
        long idle = held();
        row.add(Figures.gibibytes(peak(layer, batch) - idle));
      }
    }
    return row;
  }

  /** The most that was held while the layer ran. */
  private static long peak(OurLayer layer, Batch batch) {
    Thread run =
        Thread.ofPlatform()
            .start(
                () -> {
                  for (int i = 0; i < CALLS; i++) {
                    layer.run(batch);
                  }
                });
    long most = held();
    try {
      while (!run.join(Duration.ofMillis(SAMPLE_MILLIS))) {
        most = Math.max(most, held());
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
    layer.check(batch);
    return Math.max(most, held());
  }

  private static long held() {
    return Machine.anonymousBytes().orElseThrow();
  }
}

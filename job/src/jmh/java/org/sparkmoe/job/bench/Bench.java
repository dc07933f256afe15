package org.sparkmoe.job.bench;

import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.List;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.Probes;

/** Measures what was asked for, part by part. */
final class Bench {
  private final Settings settings;
  private final Report report;

  Bench(Settings settings, Report report) {
    this.settings = settings;
    this.report = report;
  }

  /**
   * Runs it.
   *
   * @param args the command line, for the page
   */
  void run(List<String> args) {
    report.title("moe bench");
    report.section("Machine");
    report.lines(machine(args));
    for (Part part : settings.parts()) {
      switch (part) {
        case LAYER -> settings.shapes().forEach(new LayerBench(settings, report)::run);
        case GEMM -> new GemmBench(settings, report).run();
        case SCALING -> settings.shapes().forEach(new ScalingBench(settings, report)::run);
        case QUANT -> settings.shapes().forEach(new QuantBench(settings, report)::run);
        case MEMORY -> settings.shapes().forEach(new MemoryBench(settings, report)::run);
        case JOB -> settings.shapes().forEach(new JobBench(settings, report)::run);
        case SQL -> new SqlBench(settings, report).run();
      }
    }
  }

  private List<String> machine(List<String> args) {
    List<String> lines = new ArrayList<>(Machine.lines());
    lines.add(
        "read bandwidth: %s GB/s by %d threads"
            .formatted(Figures.rate(bandwidth() / 1e9), settings.threads()));
    lines.add("OpenBLAS kernels: " + Peer.blas().coreName());
    lines.add("threads of everybody: " + settings.threads());
    Probes probes = Probes.gather(List.of(Backend.values()));
    for (Backend backend : Backend.values()) {
      probes
          .refusal(backend)
          .ifPresent(reason -> lines.add("not %s: %s".formatted(backend.option(), reason)));
    }
    lines.add("date: " + LocalDate.now(ZoneOffset.UTC));
    lines.add("command: job/bin/moe bench " + String.join(" ", args));
    return lines;
  }

  private double bandwidth() {
    try (Bandwidth bandwidth = new Bandwidth(settings.threads())) {
      return bandwidth.rate(Rounds.of(List.of(bandwidth::run), settings.seconds()).getFirst());
    }
  }
}

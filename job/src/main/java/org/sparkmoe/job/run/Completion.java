package org.sparkmoe.job.run;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;
import org.sparkmoe.datasets.delta.DeltaTables;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.LaneBalance;

/** The steps after the units: compare the counts, write the small files, make the run visible. */
final class Completion {
  private static final List<String> TABLES = List.of("outputs", "routes", "expert_stats", "errors");

  private final RunContext run;
  private final Prepared prepared;
  private final List<FinishedUnit> units;

  Completion(RunContext run, Prepared prepared, List<FinishedUnit> units) {
    this.run = run;
    this.prepared = prepared;
    this.units = units;
  }

  /**
   * Completes the run.
   *
   * @param attempts when drivers began to work on it
   * @param started when this one did, in nanoseconds of {@link System#nanoTime}
   * @param extra adds to the run folder
   */
  RunSummary complete(OutputFiles files, List<String> attempts, long started, RunExtra extra) {
    Routed routed = prepared.routed();
    reconcile(routed);
    run.monitor().part("");
    run.monitor().expect(run.title("statistics"), Stage.TABLES);
    ResultTables.writeExpertStats(
        run.spark(),
        run.directory().fresh("expert_stats"),
        prepared.layer(),
        prepared.plan(),
        prepared.tally(),
        kernelNanos());
    files.collect(units);
    if (run.planner().request().outputFormat() == JobRequest.OutputFormat.DELTA) {
      TABLES.forEach(table -> DeltaTables.convert(run.spark(), run.directory().table(table)));
    }
    RunSummary summary =
        new RunSummary(
            run.directory().path(),
            prepared.plan(),
            balance(),
            prepared.layer().codecs(),
            routed.rows(),
            routed.errors(),
            routed.reason(),
            prepared.tally().routes(),
            units.stream().mapToLong(FinishedUnit::sent).sum(),
            List.copyOf(units),
            attempts.size(),
            figures(routed),
            earlierSeconds(routed, attempts.size()) + (System.nanoTime() - started) / 1e9);
    run.directory()
        .write(
            RunDirectory.MANIFEST, Manifest.of(summary, prepared.state(), attempts, run.spark()));
    run.monitor().expect(run.title("report"), Stage.REPORT);
    extra.addTo(run.directory().folder());
    run.directory().commit(run.planner().request().overwrite());
    return summary;
  }

  private void reconcile(Routed routed) {
    try {
      Reconciliation.check(
          routed.rows(), routed.errors(), units, routed.routes(), prepared.layer().spec().topK());
    } catch (IllegalStateException e) {
      // Whoever goes on would find the same.
      run.directory().drop();
      throw e;
    }
  }

  private long[] kernelNanos() {
    long[] sums = new long[prepared.tally().experts()];
    for (FinishedUnit unit : units) {
      for (int expert = 0; expert < sums.length; expert++) {
        sums[expert] += unit.kernelNanos().get(expert);
      }
    }
    return sums;
  }

  private List<StageFigures> figures(Routed routed) {
    Stream<StageFigures> before =
        Stream.concat(
            routed.figures().stream(), units.stream().flatMap(unit -> unit.figures().stream()));
    return StageFigures.sum(Stream.concat(before, run.monitor().take().stream()));
  }

  private Optional<LaneBalance> balance() {
    return prepared.plan().dispatch().lanes().isPresent()
        ? Optional.of(LaneBalance.of(prepared.layer().placement(), prepared.tally().loads()))
        : Optional.empty();
  }

  /** What earlier drivers spent on what is kept of them. */
  private double earlierSeconds(Routed routed, int attempt) {
    return attempt == 1
        ? 0
        : routed.seconds()
            + units.stream()
                .filter(unit -> unit.attempt() < attempt)
                .mapToDouble(FinishedUnit::seconds)
                .sum();
  }
}

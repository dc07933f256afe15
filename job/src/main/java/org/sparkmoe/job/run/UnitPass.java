package org.sparkmoe.job.run;

import static org.apache.spark.sql.functions.col;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.util.LongAccumulator;
import org.sparkmoe.job.pipeline.LayerPipeline;
import org.sparkmoe.job.plan.UnitPlan;
import org.sparkmoe.udfs.executor.KernelTimes;
import org.sparkmoe.udfs.plan.LayerPlan;

/** Computes unit after unit, and keeps each as soon as it is written. */
final class UnitPass {
  private final RunContext run;
  private final Prepared prepared;
  private final UnitPlan units;
  private final OutputFiles files;
  private final int attempt;

  UnitPass(RunContext run, Prepared prepared, OutputFiles files, int attempt) {
    this.run = run;
    this.prepared = prepared;
    this.units = prepared.units();
    this.files = files;
    this.attempt = attempt;
  }

  /**
   * Computes what is not there yet.
   *
   * @param finished filled in the order of units, those of earlier drivers among them
   */
  void complete(List<FinishedUnit> finished) {
    finished.addAll(kept());
    for (int unit = finished.size(); unit < units.units(); unit++) {
      finished.add(compute(unit));
    }
  }

  /** The units that earlier drivers have finished. */
  private List<FinishedUnit> kept() {
    List<FinishedUnit> kept = new ArrayList<>();
    Optional<FinishedUnit> next = read(0);
    while (next.isPresent()) {
      files.require(next.get(), kept);
      kept.add(next.get());
      next = read(kept.size());
    }
    return kept;
  }

  private Optional<FinishedUnit> read(int unit) {
    return run.directory().state().read(FinishedUnit.file(unit), FinishedUnit.class);
  }

  private FinishedUnit compute(int unit) {
    run.directory().requireOwned();
    long started = System.nanoTime();
    run.monitor()
        .part(units.units() == 1 ? "" : "unit %d of %d".formatted(unit + 1, units.units()));
    KernelTimes times = new KernelTimes(prepared.tally().experts());
    run.spark().sparkContext().register(times, KernelTimes.NAME);
    LongAccumulator sent = run.spark().sparkContext().longAccumulator("tokens sent to lanes");
    CountedTable written =
        CountedTable.write(
            prepared.pipeline().outputs(outputs(unit, times, sent)),
            col("error"),
            files.fresh(unit));
    FinishedUnit finished =
        new FinishedUnit(
            unit,
            units.first(unit),
            units.end(unit),
            written.rows(),
            written.marked(),
            sent.value(),
            Routed.boxed(times.nanos()),
            files.written(unit),
            run.monitor().take(),
            (System.nanoTime() - started) / 1e9,
            attempt);
    run.directory().requireOwned();
    run.directory().state().write(FinishedUnit.file(unit), finished);
    return finished;
  }

  private Dataset<Row> outputs(int unit, KernelTimes times, LongAccumulator sent) {
    // A single unit reads as Spark cuts best now.
    LayerPipeline pipeline =
        units.units() == 1
            ? prepared.pipeline()
            : prepared.pipeline().over(prepared.input().part(units.first(unit), units.end(unit)));
    LayerPlan layer = prepared.layer();
    if (prepared.isReplicated()) {
      run.monitor().expect(run.title("experts, replicated"), Stage.EXPERTS);
      return pipeline.replicated(layer, times);
    }
    run.monitor()
        .expect(
            run.title(
                "dispatch to %d lanes, experts, combine".formatted(layer.placement().lanes())),
            Stage.DISPATCH,
            Stage.EXPERTS,
            Stage.COMBINE);
    int combineTasks = LayerPipeline.combineTasks(layer, units.tokens(prepared.routed().rows()));
    Dataset<Row> outputs =
        pipeline.expertParallel(layer, OptionalInt.of(combineTasks), times, sent);
    return prepared.routed().errors() == 0 ? outputs : outputs.unionByName(pipeline.errors());
  }
}

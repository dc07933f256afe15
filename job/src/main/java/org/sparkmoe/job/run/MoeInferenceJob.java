package org.sparkmoe.job.run;

import static org.apache.spark.sql.functions.col;

import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.LongAccumulator;
import org.sparkmoe.datasets.delta.DeltaTables;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.pipeline.DuplicateIds;
import org.sparkmoe.job.pipeline.LayerPipeline;
import org.sparkmoe.job.pipeline.Measuring;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.LaneBalance;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.quant.LayerPeaks;
import org.sparkmoe.udfs.executor.KernelTimes;
import org.sparkmoe.udfs.gating.RouteTally;
import org.sparkmoe.udfs.peaks.ActivationPeaks;
import org.sparkmoe.udfs.plan.LayerPlan;

/**
 * One layer over one table of tokens: read → route → dispatch → experts → combine → write.
 *
 * <p>Tokens are read twice. The first pass routes them, which gives the {@code routes} table and
 * exact counts to plan with; the second computes. Routing costs little beside the experts, holding
 * every vector between the passes would cost much. Where ids may repeat, they are looked at alone
 * before; where rows are bad, they are read once more for the {@code errors} table; where one scale
 * is for the intermediates of all tokens, a pass through dispatch and experts measures them first.
 */
public final class MoeInferenceJob {
  private static final List<String> TABLES = List.of("outputs", "routes", "expert_stats", "errors");

  private final SparkSession spark;
  private final Planner planner;
  private final TokenTable table;
  private final Progress progress;

  /**
   * A job.
   *
   * @param planner of the request
   * @param table its tokens
   */
  public MoeInferenceJob(SparkSession spark, Planner planner, TokenTable table, Progress progress) {
    this.spark = spark;
    this.planner = planner;
    this.table = table;
    this.progress = progress;
  }

  /** Runs it and commits the run folder. */
  public RunSummary run() {
    return run(folder -> {});
  }

  /**
   * Runs it and commits the run folder.
   *
   * @param extra adds to the folder when its tables and its manifest are written
   */
  public RunSummary run(RunExtra extra) {
    long started = System.nanoTime();
    String name = "layer %d".formatted(planner.layer().index());
    try (RunDirectory directory =
            RunDirectory.open(
                planner.request().output(), spark.sparkContext().hadoopConfiguration());
        StageMonitor monitor = new StageMonitor(spark.sparkContext(), planner.runId(), progress)) {
      monitor.expect(name + " · route", Stage.ROUTE);
      LayerPipeline pipeline =
          LayerPipeline.of(
              planner, table, table.uniqueIds() ? new long[0] : DuplicateIds.of(table.rows()));
      RouteTally tally = new RouteTally(planner.layer().spec().experts());
      FirstPass first = route(pipeline, tally, directory.table("routes"));
      monitor.expect(name + " · errors", Stage.TABLES);
      ErrorTable errors = ErrorTable.write(pipeline, tally.errors(), directory.table("errors"));

      JobPlan plan = planner.plan(tally.rows(), pipeline.rows().rdd().getNumPartitions());
      ExpertPlacement placement = placement(plan, tally);
      LayerPeaks inner = inner(pipeline, plan, placement, first.peaks(), monitor);
      LayerCodecs codecs = planner.schemes().codecs(first.peaks().max(inner));
      LayerPlan layer = pipeline.plan(placement, codecs);
      LongAccumulator sent = spark.sparkContext().longAccumulator("tokens sent to lanes");
      KernelTimes times = new KernelTimes(tally.experts());
      spark.sparkContext().register(times, "kernel ns by expert");
      CountedTable outputs =
          CountedTable.write(
              pipeline.outputs(compute(pipeline, plan, layer, tally, monitor, times, sent)),
              col("error"),
              directory.table("outputs"));
      Reconciliation.check(
          tally.rows(), tally.errors(), outputs, first.routes().rows(), layer.spec().topK());

      monitor.expect(name + " · statistics", Stage.TABLES);
      ResultTables.writeExpertStats(spark, directory, layer, plan, tally, times.value());
      RunSummary summary =
          new RunSummary(
              directory.path(),
              plan,
              balance(plan, placement, tally),
              codecs,
              tally.rows(),
              tally.errors(),
              errors.commonestReason(),
              tally.routes(),
              sent.value(),
              monitor.figures(),
              (System.nanoTime() - started) / 1e9);
      if (planner.request().outputFormat() == JobRequest.OutputFormat.DELTA) {
        TABLES.forEach(table -> DeltaTables.convert(spark, directory.table(table)));
      }
      directory.write(RunDirectory.MANIFEST, Manifest.of(summary, spark));
      monitor.expect(name + " · report", Stage.REPORT);
      extra.addTo(directory.folder());
      directory.commit(planner.request().overwrite());
      return summary;
    }
  }

  private ExpertPlacement placement(JobPlan plan, RouteTally tally) {
    OptionalInt lanes = plan.dispatch().lanes();
    return lanes.isPresent()
        ? planner.placement(lanes.getAsInt(), tally.loads())
        : planner.oneLane();
  }

  private static Optional<LaneBalance> balance(
      JobPlan plan, ExpertPlacement placement, RouteTally tally) {
    return plan.dispatch().lanes().isPresent()
        ? Optional.of(LaneBalance.of(placement, tally.loads()))
        : Optional.empty();
  }

  /**
   * What the first pass found.
   *
   * @param routes the table that it wrote
   * @param peaks of the inputs, where a scale for all of them is needed
   */
  private record FirstPass(CountedTable routes, LayerPeaks peaks) {}

  /**
   * The first pass: writes the {@code routes} table, counts, and measures the inputs where a scale
   * for all of them is needed.
   */
  private FirstPass route(LayerPipeline pipeline, RouteTally tally, String path) {
    spark.sparkContext().register(tally, "routes by expert");
    ActivationPeaks peaks = Measuring.registered(spark.sparkContext());
    CountedTable routes = CountedTable.write(pipeline.routes(tally, peaks), path);
    return new FirstPass(routes, peaks.value());
  }

  /** What the intermediates come to, where a scale for all of them is needed. */
  private LayerPeaks inner(
      LayerPipeline pipeline,
      JobPlan plan,
      ExpertPlacement placement,
      LayerPeaks inputs,
      StageMonitor monitor) {
    if (planner.schemes().needsInnerPeaks()) {
      monitor.expect(
          "layer %d · measure intermediates".formatted(plan.layer().index()), Stage.MEASURE);
    }
    return pipeline.intermediates(plan.dispatch().chosen().mode(), placement, inputs);
  }

  private static Dataset<Row> compute(
      LayerPipeline pipeline,
      JobPlan plan,
      LayerPlan layer,
      RouteTally tally,
      StageMonitor monitor,
      KernelTimes times,
      LongAccumulator sent) {
    String name = "layer %d".formatted(plan.layer().index());
    if (plan.dispatch().chosen().mode() == DispatchMode.REPLICATED) {
      monitor.expect(name + " · experts, replicated", Stage.EXPERTS);
      return pipeline.replicated(layer, times);
    }
    monitor.expect(
        "%s · dispatch to %d lanes, experts, combine".formatted(name, layer.placement().lanes()),
        Stage.DISPATCH,
        Stage.EXPERTS,
        Stage.COMBINE);
    int combineTasks = LayerPipeline.combineTasks(layer, tally.rows());
    Dataset<Row> outputs =
        pipeline.expertParallel(layer, OptionalInt.of(combineTasks), times, sent);
    return tally.errors() == 0 ? outputs : outputs.unionByName(pipeline.errors());
  }
}

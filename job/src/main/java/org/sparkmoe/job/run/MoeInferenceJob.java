package org.sparkmoe.job.run;

import static org.apache.spark.sql.functions.col;

import java.util.Optional;
import java.util.OptionalInt;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.LongAccumulator;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.job.plan.LaneBalance;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.quant.LayerPeaks;
import org.sparkmoe.udfs.combine.CombineFunction;
import org.sparkmoe.udfs.combine.PartialRow;
import org.sparkmoe.udfs.dispatch.DispatchBlock;
import org.sparkmoe.udfs.dispatch.DispatchFunction;
import org.sparkmoe.udfs.dispatch.ErrorRowsFunction;
import org.sparkmoe.udfs.executor.KernelTimes;
import org.sparkmoe.udfs.experts.ExpertFunction;
import org.sparkmoe.udfs.gating.RouteFunction;
import org.sparkmoe.udfs.gating.RouteTally;
import org.sparkmoe.udfs.peaks.ActivationPeaks;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.replicated.ReplicatedFunction;
import org.sparkmoe.udfs.tokens.TokenFormat;

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
  /** Bytes of partial results that one combine task sorts and sums. */
  private static final long COMBINE_TASK_BYTES = 64L << 20;

  private static final int MOST_COMBINE_TASKS = 4096;

  private final SparkSession spark;
  private final Planner planner;
  private final TokenTable table;
  private final TokenRows tokens;
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
    this.tokens = new TokenRows(table);
    this.progress = progress;
  }

  /** Runs it and commits the run folder. */
  public RunSummary run() {
    long started = System.nanoTime();
    Dataset<Row> rows = tokens.normalized();
    String name = "layer %d".formatted(planner.layer().index());
    try (RunDirectory directory =
            RunDirectory.open(
                planner.request().output(), spark.sparkContext().hadoopConfiguration());
        StageMonitor monitor = new StageMonitor(spark.sparkContext(), planner.runId(), progress)) {
      monitor.expect(name + " · route", Stage.ROUTE);
      TokenFormat format = format(table.uniqueIds() ? new long[0] : DuplicateIds.of(rows));
      RouteTally tally = new RouteTally(planner.layer().spec().experts());
      FirstPass first = route(rows, format, tally, directory.table("routes"));
      monitor.expect(name + " · errors", Stage.TABLES);
      ErrorTable errors = ErrorTable.write(rows, format, tally.errors(), directory.table("errors"));

      JobPlan plan = planner.plan(tally.rows(), rows.rdd().getNumPartitions());
      ExpertPlacement placement = placement(plan, tally);
      LayerPeaks inner = inner(rows, plan, placement, format, first.peaks(), monitor);
      LayerCodecs codecs = planner.schemes().codecs(first.peaks().max(inner));
      LayerPlan layer = planner.layerPlan(format, tokens.dtype(), placement, codecs);
      LongAccumulator sent = spark.sparkContext().longAccumulator("tokens sent to lanes");
      KernelTimes times = new KernelTimes(tally.experts());
      spark.sparkContext().register(times, "kernel ns by expert");
      CountedTable outputs =
          CountedTable.write(
              tokens.outputs(compute(rows, plan, layer, tally, monitor, times, sent)),
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
      directory.write(RunDirectory.MANIFEST, Manifest.of(summary, spark));
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
  private FirstPass route(Dataset<Row> rows, TokenFormat format, RouteTally tally, String path) {
    spark.sparkContext().register(tally, "routes by expert");
    boolean measures = planner.schemes().needsAllTokens();
    ActivationPeaks peaks = Measuring.registered(spark.sparkContext());
    LayerPlan gating =
        planner.layerPlan(
            format,
            tokens.dtype(),
            planner.oneLane(),
            measures ? LayerCodecs.NONE : planner.schemes().codecs());
    CountedTable routes =
        CountedTable.write(
            rows.mapPartitions(
                new RouteFunction(gating, tally, measures ? peaks : null),
                Encoders.row(RouteFunction.SCHEMA)),
            path);
    return new FirstPass(routes, peaks.value());
  }

  /** What the intermediates come to, where a scale for all of them is needed. */
  private LayerPeaks inner(
      Dataset<Row> rows,
      JobPlan plan,
      ExpertPlacement placement,
      TokenFormat format,
      LayerPeaks inputs,
      StageMonitor monitor) {
    if (!planner.schemes().needsInnerPeaks()) {
      return LayerPeaks.NONE;
    }
    monitor.expect(
        "layer %d · measure intermediates".formatted(plan.layer().index()), Stage.MEASURE);
    LayerPlan measuring =
        planner.layerPlan(
            format, tokens.dtype(), placement, planner.schemes().measuringCodecs(inputs));
    if (plan.dispatch().chosen().mode() == DispatchMode.REPLICATED) {
      return Measuring.replicated(rows, measuring);
    }
    LongAccumulator sent = spark.sparkContext().longAccumulator("tokens sent, measuring");
    return Measuring.expertParallel(dispatched(rows, measuring, sent), measuring);
  }

  private Dataset<Row> compute(
      Dataset<Row> rows,
      JobPlan plan,
      LayerPlan layer,
      RouteTally tally,
      StageMonitor monitor,
      KernelTimes times,
      LongAccumulator sent) {
    String name = "layer %d".formatted(plan.layer().index());
    if (plan.dispatch().chosen().mode() == DispatchMode.REPLICATED) {
      monitor.expect(name + " · experts, replicated", Stage.EXPERTS);
      return replicated(rows, layer, times);
    }
    monitor.expect(
        "%s · dispatch to %d lanes, experts, combine".formatted(name, layer.placement().lanes()),
        Stage.DISPATCH,
        Stage.EXPERTS,
        Stage.COMBINE);
    return expertParallel(rows, layer, tally, times, sent);
  }

  private static Dataset<Row> replicated(Dataset<Row> rows, LayerPlan plan, KernelTimes times) {
    return rows.mapPartitions(
        new ReplicatedFunction(plan, times), Encoders.row(plan.tokens().outputSchema()));
  }

  /** The blocks of all tokens, each in the partition of its lane. */
  private static Dataset<Row> dispatched(Dataset<Row> rows, LayerPlan plan, LongAccumulator sent) {
    return rows.mapPartitions(
            new DispatchFunction(plan, sent), Encoders.row(DispatchBlock.schema(plan.tokens())))
        .repartitionById(plan.placement().lanes(), col(DispatchBlock.LANE));
  }

  private static Dataset<Row> expertParallel(
      Dataset<Row> rows,
      LayerPlan plan,
      RouteTally tally,
      KernelTimes times,
      LongAccumulator sent) {
    TokenFormat format = plan.tokens();
    Dataset<Row> outputs =
        dispatched(rows, plan, sent)
            .mapPartitions(new ExpertFunction(plan, times), Encoders.row(PartialRow.schema(format)))
            .repartition(combineTasks(plan, tally.rows()), col("token_id"))
            .sortWithinPartitions("token_id")
            .mapPartitions(new CombineFunction(plan), Encoders.row(format.outputSchema()));
    return tally.errors() == 0
        ? outputs
        : outputs.unionByName(
            rows.mapPartitions(new ErrorRowsFunction(format), Encoders.row(format.outputSchema())));
  }

  /** Depends on the data alone, so that the same run gives the same files on any cluster. */
  private static int combineTasks(LayerPlan plan, long rows) {
    int topK = plan.spec().topK();
    int partials =
        plan.reduction().reducesInLanes() ? Math.min(topK, plan.placement().lanes()) : topK;
    long perToken = (partials + 1L) * plan.spec().hidden() * Float.BYTES;
    return Math.clamp(Math.ceilDiv(rows * perToken, COMBINE_TASK_BYTES), 1, MOST_COMBINE_TASKS);
  }

  private TokenFormat format(long[] duplicates) {
    Broadcast<long[]> known =
        duplicates.length == 0
            ? null
            : JavaSparkContext.fromSparkContext(spark.sparkContext()).broadcast(duplicates);
    return new TokenFormat(
        planner.layer().spec().hidden(), tokens.dtype(), tokens.keptOrNull(), known);
  }
}

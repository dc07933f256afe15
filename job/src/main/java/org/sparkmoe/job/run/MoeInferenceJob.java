package org.sparkmoe.job.run;

import static org.apache.spark.sql.functions.col;

import java.util.OptionalInt;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SaveMode;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.udfs.combine.CombineFunction;
import org.sparkmoe.udfs.combine.PartialRow;
import org.sparkmoe.udfs.dispatch.DispatchBlock;
import org.sparkmoe.udfs.dispatch.DispatchFunction;
import org.sparkmoe.udfs.dispatch.ErrorRowsFunction;
import org.sparkmoe.udfs.executor.KernelTimes;
import org.sparkmoe.udfs.experts.ExpertFunction;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.replicated.ReplicatedFunction;
import org.sparkmoe.udfs.tokens.TokenFormat;

/**
 * One layer over one table of tokens: read → route → dispatch → experts → combine → write.
 *
 * <p>Tokens are read twice. The first pass routes them, which gives the {@code routes} and {@code
 * errors} tables and exact counts to plan with; the second computes. Routing costs little beside
 * the experts, holding every vector between the passes would cost much.
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
      LayerPlan gating = planner.layerPlan(format(null), tokens.dtype(), OptionalInt.empty());
      try (RoutedTables routed = RoutedTables.gate(rows, gating, table.uniqueIds())) {
        monitor.expect(name + " · routes and errors", Stage.TABLES);
        write(routed.routes(), directory.table("routes"));
        write(routed.errorRows(), directory.table("errors"));
        RoutedTables.ExpertLoad[] loads = routed.loads(planner.layer().spec().experts());

        JobPlan plan = planner.plan(routed.rows(), rows.rdd().getNumPartitions());
        LayerPlan layer =
            planner.layerPlan(format(routed.duplicates()), tokens.dtype(), plan.dispatch().lanes());
        KernelTimes times = new KernelTimes(loads.length);
        spark.sparkContext().register(times, "kernel ns by expert");
        write(
            tokens.outputs(compute(rows, plan, layer, routed, monitor, times)),
            directory.table("outputs"));

        monitor.expect(name + " · statistics", Stage.TABLES);
        ResultTables.writeExpertStats(spark, directory, layer, plan, loads, times.value());
        RunSummary summary =
            new RunSummary(
                directory.path(),
                plan,
                routed.rows(),
                routed.errors(),
                routed.commonestReason(),
                (routed.rows() - routed.errors()) * planner.layer().spec().topK(),
                monitor.figures(),
                (System.nanoTime() - started) / 1e9);
        directory.write(RunDirectory.MANIFEST, Manifest.of(summary, spark));
        directory.commit(planner.request().overwrite());
        return summary;
      }
    }
  }

  private Dataset<Row> compute(
      Dataset<Row> rows,
      JobPlan plan,
      LayerPlan layer,
      RoutedTables routed,
      StageMonitor monitor,
      KernelTimes times) {
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
    return expertParallel(rows, layer, routed, times);
  }

  private static Dataset<Row> replicated(Dataset<Row> rows, LayerPlan plan, KernelTimes times) {
    return rows.mapPartitions(
        new ReplicatedFunction(plan, times), Encoders.row(plan.tokens().outputSchema()));
  }

  private static Dataset<Row> expertParallel(
      Dataset<Row> rows, LayerPlan plan, RoutedTables routed, KernelTimes times) {
    TokenFormat format = plan.tokens();
    Dataset<Row> outputs =
        rows.mapPartitions(new DispatchFunction(plan), Encoders.row(DispatchBlock.schema(format)))
            .repartitionById(plan.placement().lanes(), col(DispatchBlock.LANE))
            .mapPartitions(new ExpertFunction(plan, times), Encoders.row(PartialRow.schema(format)))
            .repartition(combineTasks(plan, routed.rows()), col("token_id"))
            .sortWithinPartitions("token_id")
            .mapPartitions(new CombineFunction(plan), Encoders.row(format.outputSchema()));
    return routed.errors() == 0
        ? outputs
        : outputs.unionByName(
            rows.mapPartitions(new ErrorRowsFunction(format), Encoders.row(format.outputSchema())));
  }

  /** Depends on the data alone, so that the same run gives the same files on any cluster. */
  private static int combineTasks(LayerPlan plan, long rows) {
    long perToken = (plan.spec().topK() + 1L) * plan.spec().hidden() * Float.BYTES;
    return Math.clamp(Math.ceilDiv(rows * perToken, COMBINE_TASK_BYTES), 1, MOST_COMBINE_TASKS);
  }

  private TokenFormat format(long[] duplicatesOrNull) {
    Broadcast<long[]> duplicates =
        duplicatesOrNull == null || duplicatesOrNull.length == 0
            ? null
            : JavaSparkContext.fromSparkContext(spark.sparkContext()).broadcast(duplicatesOrNull);
    return new TokenFormat(
        planner.layer().spec().hidden(), tokens.dtype(), tokens.keptOrNull(), duplicates);
  }

  private static void write(Dataset<Row> rows, String path) {
    rows.write().mode(SaveMode.ErrorIfExists).parquet(path);
  }
}

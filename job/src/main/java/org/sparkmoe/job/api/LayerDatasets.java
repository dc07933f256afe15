package org.sparkmoe.job.api;

import java.util.OptionalInt;
import org.apache.spark.SparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.util.LongAccumulator;
import org.sparkmoe.datasets.tokens.DatasetTokens;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.pipeline.DuplicateIds;
import org.sparkmoe.job.pipeline.LayerPipeline;
import org.sparkmoe.job.pipeline.Measuring;
import org.sparkmoe.job.plan.Cost;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.kernels.permute.ExpertPlacement;
import org.sparkmoe.kernels.quant.LayerPeaks;
import org.sparkmoe.udfs.executor.KernelTimes;
import org.sparkmoe.udfs.gating.RouteTally;
import org.sparkmoe.udfs.peaks.ActivationPeaks;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;

/** A layer over the rows of a caller, with as few passes as its options allow. */
final class LayerDatasets {
  private final SparkContext context;
  private final Planner planner;
  private final LayerPipeline pipeline;
  private final DispatchMode mode;
  private final int lanes;
  private final RouteTally tally;
  private final ActivationPeaks peaks;

  private LayerDatasets(
      SparkContext context, Planner planner, LayerPipeline pipeline, DispatchMode mode, int lanes) {
    this.context = context;
    this.planner = planner;
    this.pipeline = pipeline;
    this.mode = mode;
    this.lanes = lanes;
    this.tally = new RouteTally(planner.layer().spec().experts());
    this.peaks = Measuring.registered(context);
    context.register(tally, "routes by expert");
  }

  static LayerDatasets of(JobRequest request, boolean uniqueTokenIds, Dataset<Row> rows) {
    SparkSession spark = rows.sparkSession();
    MoeFunctionCatalog.register(spark);
    TokenTable table = DatasetTokens.of(rows, request.tokens());
    Planner planner = Planner.of(request, spark.sparkContext());
    table.requireWidth(planner.layer().spec().hidden());
    // Nobody counts tokens here: of the plan, only what does not depend on their number is used.
    JobPlan plan = planner.plan(1, 1, table.encoding().dtype());
    Cost replicated = candidate(plan, DispatchMode.REPLICATED);
    DispatchMode mode =
        request
            .dispatch()
            .orElse(
                plan.memory().fits(replicated.weightBytes())
                    ? DispatchMode.REPLICATED
                    : DispatchMode.EP);
    long[] duplicates =
        mode == DispatchMode.REPLICATED || uniqueTokenIds
            ? new long[0]
            : DuplicateIds.of(table.rows());
    return new LayerDatasets(
        spark.sparkContext(),
        planner,
        LayerPipeline.of(planner, table, duplicates),
        mode,
        candidate(plan, DispatchMode.EP).lanes());
  }

  private static Cost candidate(JobPlan plan, DispatchMode mode) {
    return plan.dispatch().candidates().stream()
        .filter(cost -> cost.mode() == mode)
        .findFirst()
        .orElseThrow();
  }

  Dataset<Row> routes() {
    return pipeline.routes(tally, peaks);
  }

  Dataset<Row> blocks() {
    return pipeline.blocks(plan(measured()), sent());
  }

  Dataset<Row> outputs() {
    boolean measured = measured();
    LayerPlan plan = plan(measured);
    KernelTimes times = new KernelTimes(tally.experts());
    context.register(times, "kernel ns by expert");
    if (mode == DispatchMode.REPLICATED) {
      return pipeline.outputs(pipeline.replicated(plan, times));
    }
    OptionalInt tasks =
        measured
            ? OptionalInt.of(LayerPipeline.combineTasks(plan, tally.rows()))
            : OptionalInt.empty();
    Dataset<Row> scored = pipeline.expertParallel(plan, tasks, times, sent());
    boolean allScored = measured && tally.errors() == 0;
    return pipeline.outputs(allScored ? scored : scored.unionByName(pipeline.errors()));
  }

  /** The routing pass, where somebody needs what it counts. */
  private boolean measured() {
    boolean balances =
        mode == DispatchMode.EP && planner.request().placement() == JobRequest.Placement.BALANCED;
    boolean measures = balances || planner.schemes().needsAllTokens();
    if (measures) {
      routes().write().format("noop").mode("overwrite").save();
    }
    return measures;
  }

  private LayerPlan plan(boolean measured) {
    ExpertPlacement placement =
        mode == DispatchMode.EP ? planner.placement(lanes, tally.loads()) : planner.oneLane();
    LayerPeaks inputs = measured ? peaks.value() : LayerPeaks.NONE;
    LayerPeaks inner = pipeline.intermediates(mode, placement, inputs);
    return pipeline.plan(placement, planner.schemes().codecs(inputs.max(inner)));
  }

  private LongAccumulator sent() {
    return context.longAccumulator("tokens sent to lanes");
  }
}

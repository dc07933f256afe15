package org.sparkmoe.job.bench;

import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.lit;

import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.UUID;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.datasets.tokens.TokenSource;
import org.sparkmoe.job.api.Moe;
import org.sparkmoe.job.pipeline.LayerPipeline;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.kernels.backend.BackendSelector;
import org.sparkmoe.kernels.bench.Shape;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.udfs.combine.CombineFunction;
import org.sparkmoe.udfs.gating.RouteFunction;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.plan.Reduction;

/** What is measured. */
final class SqlCases {
  private static final String ROUTES =
      "SELECT token_id, topk_slot, route.expert_id, route.topk_weight FROM"
          + " (SELECT token_id, posexplode(%s) AS (topk_slot, route) FROM %s)";

  private SqlCases() {}

  static List<SqlCase> of(
      SparkSession spark, JobFiles router, Shape wide, JobFiles combine, Shape narrow) {
    SqlTables tokens = SqlTables.of(spark, router);
    return List.of(
        gate(spark, tokens, router),
        topk(spark, tokens, wide),
        codec(spark, tokens, wide),
        combine(spark, SqlTables.of(spark, combine), combine, narrow));
  }

  private static SqlCase gate(SparkSession spark, SqlTables tokens, JobFiles router) {
    String model = router.model().toString();
    return new SqlCase(
        "moe_gate, H 2048, E 64, k 8, beside the routing pass",
        rows -> tokens.tokens(rows, "hidden"),
        rows -> Moe.layer(model, 0).dispatch("replicated").routes(tokens.tokens(rows, "hidden")),
        rows ->
            spark.sql(
                ROUTES.formatted(
                    "moe.gate(hidden, '%s', 0)".formatted(model),
                    view(tokens.tokens(rows, "hidden")))));
  }

  private static SqlCase topk(SparkSession spark, SqlTables tokens, Shape shape) {
    String bytes = "substring(hidden, 1, %d)".formatted(shape.experts() * Float.BYTES);
    String binary = bytes + " AS logits";
    String array = "moe.decode(%s, 'f32') AS logits".formatted(bytes);
    return new SqlCase(
        "moe_topk, E 64, k 8, beside batches through the router",
        rows -> tokens.tokens(rows, array),
        rows ->
            tokens
                .tokens(rows, binary)
                .mapPartitions(
                    new RouteBatches(shape.spec().routing(), shape.experts()),
                    Encoders.row(RouteFunction.SCHEMA)),
        rows ->
            spark.sql(
                ROUTES.formatted(
                    "moe.topk(logits, 'softmax k=8 renormalize')",
                    view(tokens.tokens(rows, array)))));
  }

  private static SqlCase codec(SparkSession spark, SqlTables tokens, Shape shape) {
    String half = "moe.encode(moe.decode(hidden, 'f32'), 'bf16') AS hidden";
    return new SqlCase(
        "moe_encode(moe_decode(bf16), f32), H 2048, beside the token reader",
        rows -> tokens.tokens(rows, half),
        rows ->
            tokens
                .tokens(rows, half)
                .mapPartitions(
                    new WideningBatches(shape.hidden()), Encoders.row(WideningBatches.SCHEMA)),
        rows ->
            spark.sql(
                "SELECT token_id, moe.encode(moe.decode(hidden, 'bf16'), 'f32') AS hidden FROM "
                    + view(tokens.tokens(rows, half))));
  }

  private static SqlCase combine(
      SparkSession spark, SqlTables tokens, JobFiles files, Shape shape) {
    LayerPlan plan = plan(spark, files);
    int topK = shape.topK();
    return new SqlCase(
        "moe_combine, H 256, k 8, beside the combine step",
        rows -> tokens.slots(rows, topK).select("token_id", "experts", "hidden"),
        rows ->
            tokens
                .slots(rows, topK)
                .select(
                    col("token_id"),
                    col("experts").as("topk_slots"),
                    col("experts").as("expert_ids"),
                    col("hidden").as("partials"),
                    lit(null).cast("binary").as("shared"))
                .repartition(LayerPipeline.combineTasks(plan, rows / topK), col("token_id"))
                .sortWithinPartitions("token_id")
                .mapPartitions(
                    new CombineFunction(plan), Encoders.row(plan.tokens().outputSchema()))
                .select("token_id", "output"),
        rows ->
            spark.sql(
                """
                SELECT token_id,
                  moe.encode(moe.combine(moe.decode(hidden, 'f32'), 1f, expert_id), 'f32') AS output
                FROM %s GROUP BY token_id
                """
                    .formatted(view(tokens.slots(rows, topK)))));
  }

  private static LayerPlan plan(SparkSession spark, JobFiles files) {
    JobRequest request =
        new JobRequest(
            files.model().toString(),
            0,
            TokenOptions.of(files.input()),
            files.run("none").toString(),
            JobRequest.OutputFormat.PARQUET,
            BackendSelector.Request.auto(),
            Optional.of(DispatchMode.EP),
            OptionalInt.of(1),
            JobRequest.Placement.LINEAR,
            OptionalInt.empty(),
            Reduction.EXPERT_ORDER,
            JobRequest.ActivationQuant.AUTO,
            OptionalLong.empty(),
            true,
            OptionalLong.empty());
    Planner planner = Planner.of(request, spark.sparkContext());
    return LayerPipeline.of(planner, TokenSource.open(spark, request.tokens()), new long[0])
        .plan(planner.oneLane(), LayerCodecs.NONE);
  }

  /** The name of a view of {@code table}. */
  private static String view(Dataset<Row> table) {
    String name = "bench_" + UUID.randomUUID().toString().replace('-', '_');
    table.createOrReplaceTempView(name);
    return name;
  }
}

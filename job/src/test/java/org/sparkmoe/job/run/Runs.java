package org.sparkmoe.job.run;

import java.nio.file.Path;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.TreeMap;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.datasets.tokens.TokenSource;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.BackendSelector;
import org.sparkmoe.udfs.plan.Reduction;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;

/** Runs the job on fixtures, inside the tests' Spark. */
final class Runs {
  private Runs() {}

  /** A way of dispatching: {@code lanes} 0 stands for replicated. */
  record Way(Backend backend, int lanes) {
    @Override
    public String toString() {
      return backend.option() + (lanes == 0 ? " replicated" : " ep " + lanes);
    }
  }

  static JobRequest request(Fixtures.Block block, TokenOptions tokens, Path output, Way way) {
    return request(block, tokens, output, way, OptionalLong.empty());
  }

  /** As above, with so many bytes for the weights of an executor. */
  static JobRequest request(
      Fixtures.Block block, TokenOptions tokens, Path output, Way way, OptionalLong weightMemory) {
    return request(
        Fixtures.folder(block.family()),
        block.layer(),
        tokens,
        output,
        way,
        JobRequest.ActivationQuant.AUTO,
        weightMemory);
  }

  /** As above, of any checkpoint. */
  static JobRequest request(
      Path model,
      int layer,
      TokenOptions tokens,
      Path output,
      Way way,
      JobRequest.ActivationQuant quant,
      OptionalLong weightMemory) {
    return new JobRequest(
        model.toString(),
        layer,
        tokens,
        output.toString(),
        JobRequest.OutputFormat.PARQUET,
        BackendSelector.Request.only(way.backend()),
        Optional.of(way.lanes() == 0 ? DispatchMode.REPLICATED : DispatchMode.EP),
        way.lanes() == 0 ? OptionalInt.empty() : OptionalInt.of(way.lanes()),
        JobRequest.Placement.LINEAR,
        OptionalInt.empty(),
        Reduction.EXPERT_ORDER,
        quant,
        weightMemory,
        true,
        OptionalLong.empty());
  }

  static RunSummary run(SparkSession spark, JobRequest request) {
    return run(spark, Planner.of(request, spark.sparkContext()));
  }

  static RunSummary run(SparkSession spark, Planner planner) {
    MoeFunctionCatalog.register(spark);
    JobRequest request = planner.request();
    return new MoeInferenceJob(
            spark,
            planner,
            TokenSource.open(spark, request.tokens()),
            new Progress(System.err, false))
        .run();
  }

  /** The block's input, as {@code token_id, hidden BINARY}. */
  static Dataset<Row> input(SparkSession spark, Fixtures.Block block) {
    return spark.read().format("moe-safetensors").load(inputTensor(block));
  }

  static String inputTensor(Fixtures.Block block) {
    return Fixtures.folder(block.family()).resolve("reference.safetensors")
        + "#"
        + block.module()
        + ".input";
  }

  /** The outputs of a run by token id; null where a row failed. */
  static SortedMap<Long, byte[]> outputs(SparkSession spark, Path run) {
    SortedMap<Long, byte[]> outputs = new TreeMap<>();
    for (Row row : table(spark, run, "outputs").select("token_id", "output").collectAsList()) {
      outputs.put(row.getLong(0), row.getAs(1));
    }
    return outputs;
  }

  static Dataset<Row> table(SparkSession spark, Path run, String name) {
    return spark.read().parquet(run.resolve(name).toString());
  }
}

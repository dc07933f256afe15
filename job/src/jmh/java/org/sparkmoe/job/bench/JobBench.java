package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.datasets.tokens.TokenSource;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.job.run.MoeInferenceJob;
import org.sparkmoe.job.run.Progress;
import org.sparkmoe.job.run.RunSummary;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.BackendSelector;
import org.sparkmoe.kernels.bench.LayerProof;
import org.sparkmoe.kernels.bench.RandomLayer;
import org.sparkmoe.kernels.bench.RoutingKind;
import org.sparkmoe.kernels.bench.Shape;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;

/**
 * The whole job, from reading tokens to the commit of its tables, beside the same layer over the
 * same tokens in memory.
 */
final class JobBench {
  /** Tokens that the kernels alone take at a time: what the job's tasks take. */
  private static final int BATCH = 1024;

  private static final int LANES = 2;
  private static final int SAMPLES = 4;

  private final Settings settings;
  private final Report report;

  JobBench(Settings settings, Report report) {
    this.settings = settings;
    this.report = report;
  }

  void run(Shape shape) {
    try (RandomLayer weights = new RandomLayer(shape, settings.weights(), false);
        Arena arena = Arena.ofShared()) {
      weights.route(RoutingKind.UNIFORM);
      Batch batch = Batch.of(weights, settings.jobTokens(), arena);
      report.section(
          "The Spark job beside its kernels: %s, %s tokens, %s weights"
              .formatted(
                  shape, Figures.count(settings.jobTokens()), Figures.name(settings.weights())));
      List<List<String>> rows = new ArrayList<>();
      SparkSession spark = session();
      try (JobFiles files = JobFiles.write(weights, batch)) {
        for (Backend backend : settings.backends()) {
          double alone = kernelsAlone(weights, backend, batch);
          rows.add(row(backend + " kernels alone", alone, alone));
          for (int lanes : new int[] {0, LANES}) {
            rows.addAll(job(spark, files, weights, backend, lanes, batch, alone));
          }
        }
      } finally {
        spark.stop();
      }
      report.table(List.of("", "s", "tokens/s", "of the kernels alone"), rows);
    }
  }

  /** Seconds of all tokens, experts packed beforehand. */
  private double kernelsAlone(RandomLayer weights, Backend backend, Batch batch) {
    long rowBytes = DType.F32.bytes(weights.shape().hidden());
    List<Batch> batches = new ArrayList<>();
    for (int from = 0; from < batch.tokens(); from += BATCH) {
      int count = Math.min(BATCH, batch.tokens() - from);
      batches.add(
          new Batch(
              count,
              batch.x().asSlice(from * rowBytes, count * rowBytes),
              batch.out().asSlice(from * rowBytes, count * rowBytes),
              batch.rows()));
    }
    try (OurLayer layer = new OurLayer(weights, backend, settings.threads())) {
      batches.forEach(layer::run);
      long started = System.nanoTime();
      batches.forEach(layer::run);
      double seconds = (System.nanoTime() - started) / 1e9;
      layer.check(batch);
      return seconds;
    }
  }

  /** The first run of a session reads and packs the experts; the second has compiled code too. */
  private List<List<String>> job(
      SparkSession spark,
      JobFiles files,
      RandomLayer weights,
      Backend backend,
      int lanes,
      Batch batch,
      double alone) {
    String name = "%s job, %s".formatted(backend, lanes == 0 ? "replicated" : "ep " + lanes);
    List<List<String>> rows = new ArrayList<>();
    for (String run : List.of("first", "second")) {
      JobRequest request =
          new JobRequest(
              files.model().toString(),
              0,
              TokenOptions.of(files.input()),
              files.run("%s-%d-%s".formatted(backend, lanes, run)).toString(),
              BackendSelector.Request.only(backend),
              Optional.of(lanes == 0 ? DispatchMode.REPLICATED : DispatchMode.EP),
              lanes == 0 ? OptionalInt.empty() : OptionalInt.of(lanes),
              JobRequest.Placement.LINEAR,
              OptionalLong.empty(),
              true,
              OptionalLong.of(0));
      RunSummary summary =
          new MoeInferenceJob(
                  spark,
                  Planner.of(request, spark.sparkContext()),
                  TokenSource.open(spark, request.tokens()),
                  new Progress(System.err, false))
              .run();
      prove(spark, summary, weights, backend, batch);
      rows.add(row(name + ", " + run + " run", summary.seconds(), alone));
    }
    return rows;
  }

  /** Compares sampled rows of {@code outputs/} with SCALAR. */
  private static void prove(
      SparkSession spark, RunSummary summary, RandomLayer weights, Backend backend, Batch batch) {
    int hidden = weights.shape().hidden();
    long rowBytes = DType.F32.bytes(hidden);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment x = arena.allocate(SAMPLES * rowBytes, 64);
      MemorySegment out = arena.allocate(SAMPLES * rowBytes, 64);
      for (int sample = 0; sample < SAMPLES; sample++) {
        long token = (long) sample * (batch.tokens() - 1) / (SAMPLES - 1);
        Row found =
            spark
                .read()
                .parquet(summary.output() + "/outputs")
                .where("token_id = " + token)
                .select("output")
                .first();
        MemorySegment.copy(batch.x(), token * rowBytes, x, sample * rowBytes, rowBytes);
        byte[] bytes = found.getAs(0);
        MemorySegment.copy(MemorySegment.ofArray(bytes), 0, out, sample * rowBytes, rowBytes);
      }
      LayerProof.checkLayer(
          "the job on " + backend, weights, SAMPLES, x, out, LayerProof.tolerance(backend));
    }
  }

  private SparkSession session() {
    SparkSession spark =
        SparkSession.builder()
            .appName("Spark MoE bench")
            .master("local[%d]".formatted(settings.threads()))
            .config("spark.ui.enabled", "false")
            .config("spark.ui.showConsoleProgress", "false")
            .config("spark.driver.bindAddress", "127.0.0.1")
            .config("spark.driver.host", "127.0.0.1")
            .getOrCreate();
    MoeFunctionCatalog.register(spark);
    return spark;
  }

  private List<String> row(String name, double seconds, double alone) {
    return List.of(
        name,
        Figures.rate(seconds),
        Figures.count(settings.jobTokens() / seconds),
        Figures.ratio(alone / seconds));
  }
}

package org.sparkmoe.job.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.stream.Collectors;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.checkpoint.Checkpoint;
import org.sparkmoe.datasets.checkpoint.LayerTensors;
import org.sparkmoe.datasets.checkpoint.MoeLayer;
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
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.plan.Reduction;

/**
 * The whole job, from reading tokens to the commit of its tables, beside the same layer over the
 * same tokens in memory.
 */
final class JobBench {
  /** Tokens that the kernels alone take at a time: what the job's tasks take. */
  private static final int BATCH = 1024;

  /**
   * A way of dispatch.
   *
   * @param lanes 0 for the replicated form
   */
  private record Way(String name, int lanes, Reduction reduction) {
    static final List<Way> ALL =
        List.of(
            new Way("replicated", 0, Reduction.EXPERT_ORDER),
            new Way("ep 2", 2, Reduction.EXPERT_ORDER),
            new Way("ep 2 lane-order", 2, Reduction.LANE_ORDER));
  }

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
      batch.round(settings.jobVectors(), shape.hidden());
      report.section(
          "The Spark job beside its kernels: %s, %s tokens in %s, %s weights"
              .formatted(
                  shape,
                  Figures.count(settings.jobTokens()),
                  Figures.name(settings.jobVectors()),
                  Figures.name(settings.weights())));
      List<List<String>> rows = new ArrayList<>();
      SparkSession spark = BenchSession.start(settings);
      try (JobFiles files = JobFiles.write(weights, batch, settings.jobVectors())) {
        for (Backend backend : settings.backends()) {
          Alone alone = alone(weights, files, backend, batch);
          rows.add(row(backend + " kernels alone", alone.whole(), alone, ""));
          rows.add(
              row(backend + " kernels alone, experts packed before", alone.packed(), alone, ""));
          for (Way way : Way.ALL) {
            rows.addAll(job(spark, files, weights, backend, way, batch, alone));
          }
        }
      } finally {
        spark.stop();
      }
      report.table(
          List.of(
              "",
              "s",
              "tokens/s",
              "of the kernels alone",
              "of them, packed before",
              "stages s (kernels, one thread)"),
          rows);
    }
  }

  /**
   * Seconds of all tokens without Spark.
   *
   * @param whole with the weights read from the checkpoint's files and packed
   * @param packed with experts that are packed already
   */
  private record Alone(double whole, double packed) {}

  /** The second of two rounds each, when the code is compiled. */
  private Alone alone(RandomLayer weights, JobFiles files, Backend backend, Batch batch) {
    List<Batch> batches = pieces(weights, batch);
    double packed;
    try (OurLayer layer = new OurLayer(weights, backend, settings.threads())) {
      batches.forEach(layer::run);
      packed = seconds(() -> batches.forEach(layer::run));
      layer.check(batch);
    }
    double whole = 0;
    for (int round = 0; round < 2; round++) {
      whole =
          seconds(
              () -> {
                Configuration conf = new Configuration(false);
                MoeLayer stored = Checkpoint.open(files.model().toString(), conf).layer(0);
                try (LayerTensors tensors = stored.open(conf);
                    OurLayer layer =
                        OurLayer.reading(tensors, weights, backend, settings.threads())) {
                  batches.forEach(layer::run);
                }
              });
    }
    return new Alone(whole, packed);
  }

  private static double seconds(Runnable work) {
    long started = System.nanoTime();
    work.run();
    return (System.nanoTime() - started) / 1e9;
  }

  private static List<Batch> pieces(RandomLayer weights, Batch batch) {
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
    return batches;
  }

  /** The first run of a session reads and packs the experts; the second has compiled code too. */
  private List<List<String>> job(
      SparkSession spark,
      JobFiles files,
      RandomLayer weights,
      Backend backend,
      Way way,
      Batch batch,
      Alone alone) {
    int lanes = way.lanes();
    String name = "%s job, %s".formatted(backend, way.name());
    List<List<String>> rows = new ArrayList<>();
    for (String run : List.of("first", "second")) {
      JobRequest request =
          new JobRequest(
              files.model().toString(),
              0,
              TokenOptions.of(files.input()),
              files
                  .run("%s-%s-%s".formatted(backend, way.name().replace(' ', '-'), run))
                  .toString(),
              JobRequest.OutputFormat.PARQUET,
              BackendSelector.Request.only(backend),
              Optional.of(lanes == 0 ? DispatchMode.REPLICATED : DispatchMode.EP),
              lanes == 0 ? OptionalInt.empty() : OptionalInt.of(lanes),
              JobRequest.Placement.LINEAR,
              OptionalInt.empty(),
              way.reduction(),
              JobRequest.ActivationQuant.AUTO,
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
      rows.add(row(name + ", " + run + " run", summary.seconds(), alone, stages(summary)));
    }
    return rows;
  }

  /** Compares sampled rows of {@code outputs/} with SCALAR. */
  private void prove(
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
        new Activations(MemorySegment.ofArray(bytes), settings.jobVectors())
            .convert(Activations.f32(out.asSlice(sample * rowBytes, rowBytes)), hidden);
      }
      double tolerance =
          settings.jobVectors() == DType.F32 ? LayerProof.tolerance(backend) : LayerProof.BF16;
      LayerProof.checkLayer("the job on " + backend, weights, SAMPLES, x, out, tolerance);
    }
  }

  /** Seconds of each step, and of the kernels within it. */
  private static String stages(RunSummary summary) {
    return summary.stages().stream()
        .map(
            figures ->
                "%s %.1f%s"
                    .formatted(
                        figures.stage(),
                        figures.seconds(),
                        figures.kernels().nanos() == 0
                            ? ""
                            : " (%.1f)".formatted(figures.kernels().nanos() / 1e9)))
        .collect(Collectors.joining(", "));
  }

  private List<String> row(String name, double seconds, Alone alone, String stages) {
    return List.of(
        name,
        Figures.rate(seconds),
        Figures.count(settings.jobTokens() / seconds),
        Figures.ratio(alone.whole() / seconds),
        Figures.ratio(alone.packed() / seconds),
        stages);
  }
}

package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.sparkmoe.datasets.tokens.DataFile;
import org.sparkmoe.datasets.tokens.DataFiles;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.datasets.tokens.TokenSource;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.job.resume.Fingerprint;
import org.sparkmoe.job.resume.Resumption;
import org.sparkmoe.job.resume.Resumption.Decision;
import org.sparkmoe.kernels.backend.BackendSelector;
import org.sparkmoe.udfs.plan.Reduction;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;

/** Runs that fail when a token is read for the n-th time, and what comes after them. */
public final class Interrupted {
  /** Tasks run in this JVM, so they count in one place. */
  private static final ConcurrentHashMap<Long, AtomicInteger> READS = new ConcurrentHashMap<>();

  private static volatile long fatalToken;
  private static volatile int fatalRead;

  private Interrupted() {}

  /** A request that is replicated and leaves everything else to its defaults. */
  public static JobRequest request(
      String model,
      int layer,
      TokenOptions tokens,
      String output,
      BackendSelector.Request backend) {
    return new JobRequest(
        model,
        layer,
        tokens,
        output,
        JobRequest.OutputFormat.PARQUET,
        backend,
        Optional.of(DispatchMode.REPLICATED),
        OptionalInt.empty(),
        JobRequest.Placement.BALANCED,
        OptionalInt.empty(),
        Reduction.EXPERT_ORDER,
        JobRequest.ActivationQuant.AUTO,
        OptionalLong.empty(),
        false,
        OptionalLong.empty());
  }

  /**
   * Runs {@code request} until token {@code id} is read for the {@code read}-th time: the first is
   * for its routes, the second for its experts.
   */
  public static UnfinishedRunException run(
      SparkSession spark, JobRequest request, long id, int read) {
    return catchThrowableOfType(
        UnfinishedRunException.class, () -> job(spark, request, id, read).run());
  }

  static MoeInferenceJob job(SparkSession spark, JobRequest request, long id, int read) {
    MoeFunctionCatalog.register(spark);
    READS.clear();
    fatalToken = id;
    fatalRead = read;
    UDF1<Long, Long> fragile = Interrupted::read;
    spark
        .udf()
        .register("fragile", functions.udf(fragile, DataTypes.LongType).asNondeterministic());
    TokenTable table = TokenSource.open(spark, request.tokens());
    TokenTable failing =
        new TokenTable(
            table.rows().withColumn("token_id", functions.expr("fragile(token_id)")),
            table.format(),
            table.encoding(),
            table.keptColumns(),
            true,
            table.width(),
            table.path());
    return new MoeInferenceJob(
        spark, Planner.of(request, spark.sparkContext()), failing, new Progress(System.err, false));
  }

  /** What {@code --resume} comes to for {@code request}. */
  static Decision decide(SparkSession spark, JobRequest request) {
    Configuration hadoop = spark.sparkContext().hadoopConfiguration();
    try {
      TokenTable table = TokenSource.open(spark, request.tokens());
      List<DataFile> files = DataFiles.of(table.path(), table.format(), hadoop);
      Planner planner = Planner.of(request, spark.sparkContext());
      return Resumption.decide(
          new Path(request.output()).getFileSystem(hadoop),
          request,
          Fingerprint.of(request, planner.layer(), files),
          files);
    } catch (IOException e) {
      throw new UncheckedIOException(e);
    }
  }

  /** Goes on with the unfinished run of {@code request}. */
  static RunSummary resume(SparkSession spark, JobRequest request) {
    return resume(spark, request, (Decision.GoOn) decide(spark, request));
  }

  static RunSummary resume(SparkSession spark, JobRequest request, Decision.GoOn found) {
    return new MoeInferenceJob(
            spark,
            Planner.of(found.pinned(request), spark.sparkContext()),
            TokenSource.open(spark, request.tokens()),
            new Progress(System.err, false))
        .resume(found, folder -> {});
  }

  private static Long read(Long id) {
    if (id != null
        && id == fatalToken
        && READS.computeIfAbsent(id, _ -> new AtomicInteger()).incrementAndGet() == fatalRead) {
      throw new IllegalStateException("the disk is on fire");
    }
    return id;
  }
}

package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.cli.Cli.Outcome;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.run.Interrupted;
import org.sparkmoe.kernels.backend.BackendSelector;

/** Model, tokens and run in a bucket. */
@ExtendWith(LocalSpark.class)
final class S3Test {
  private static final String FAMILY = "qwen2_moe";
  private static final String TENSOR = "model.layers.1.mlp.input";
  private static final String ROOT = "s3a://moe";

  @TempDir private static java.nio.file.Path folder;

  private static S3Server server;
  private static FileSystem files;

  @BeforeAll
  static void start(SparkSession spark) throws IOException {
    server = S3Server.start(folder);
    Configuration hadoop = spark.sparkContext().hadoopConfiguration();
    server.bucket("moe", hadoop);
    hadoop.set("spark.moe.cache.dir", folder.resolve("cache").toString());
    files = new Path(ROOT + "/").getFileSystem(hadoop);
    files.copyFromLocalFile(
        new Path(Fixtures.folder(FAMILY).toString()), new Path(ROOT + "/model"));
    spark
        .read()
        .format("moe-safetensors")
        .load(Fixtures.folder(FAMILY).resolve("reference.safetensors") + "#" + TENSOR)
        .repartition(3)
        .write()
        .parquet(ROOT + "/tokens");
  }

  @AfterAll
  static void stop(SparkSession spark) throws IOException {
    Configuration hadoop = spark.sparkContext().hadoopConfiguration();
    hadoop.unset("spark.moe.cache.dir");
    List<String> ours = new ArrayList<>();
    hadoop.forEach(
        setting -> {
          if (setting.getKey().startsWith("fs.s3a.bucket.")) {
            ours.add(setting.getKey());
          }
        });
    ours.forEach(hadoop::unset);
    files.close();
    server.close();
  }

  private static Outcome run(String model, String input, String output, String... more) {
    List<String> args =
        new ArrayList<>(
            List.of("run", "--model", model, "--layer", "1", "--backend", "scalar", "--input"));
    args.addAll(List.of(input, "--output", output));
    args.addAll(List.of(more));
    return Cli.execute(Map.of(), args);
  }

  private static Outcome inBucket(String output, String... more) {
    return run(ROOT + "/model", ROOT + "/tokens", ROOT + output, more);
  }

  private static List<Row> outputs(SparkSession spark, String run) {
    return spark.read().parquet(run + "/outputs").orderBy("token_id").collectAsList();
  }

  private static List<Row> local(SparkSession spark) {
    String model = Fixtures.folder(FAMILY).toString();
    String run = folder.resolve("local").toString();
    run(model, model + "/reference.safetensors#" + TENSOR, run, "--overwrite").isDone();
    return outputs(spark, run);
  }

  private static List<String> names(String folder) throws IOException {
    return Stream.of(files.listStatus(new Path(ROOT + folder)))
        .map(FileStatus::getPath)
        .map(Path::getName)
        .toList();
  }

  @Test
  void aRunInABucketHasTheRowsOfALocalOne(SparkSession spark) throws IOException {
    List<Row> expected = local(spark);

    inBucket("/a/ep", "--dispatch", "ep", "--lanes", "3").isDone();
    assertThat(outputs(spark, ROOT + "/a/ep")).isEqualTo(expected).hasSize(60);
    assertThat(spark.read().parquet(ROOT + "/a/ep/routes").count()).isEqualTo(240);
    assertThat(names("/a")).containsExactly("ep");
    assertThat(names("/a/ep"))
        .containsExactlyInAnyOrder(
            "errors", "expert_stats", "manifest.json", "outputs", "report.html", "routes");

    inBucket("/a/ep").isRefused("exists; add --overwrite");
    String tensor = ROOT + "/model/reference.safetensors#" + TENSOR;
    run(ROOT + "/model", tensor, ROOT + "/a/ep", "--dispatch", "replicated", "--overwrite")
        .isDone();
    assertThat(outputs(spark, ROOT + "/a/ep")).isEqualTo(expected);
    assertThat(names("/a")).containsExactly("ep");
  }

  @Test
  void anInterruptedRunIsGoneOnWith(SparkSession spark) throws IOException {
    JobRequest request =
        Interrupted.request(
            ROOT + "/model",
            1,
            TokenOptions.of(ROOT + "/tokens"),
            ROOT + "/b/run",
            BackendSelector.Request.parse("scalar"));
    assertThat(Interrupted.run(spark, request, 5, 2)).isNotNull();
    assertThat(names("/b")).singleElement().asString().startsWith(".run.staging-");

    assertThat(inBucket("/b/run", "--resume").isDone().out())
        .contains("resume   " + ROOT + "/b/.run.staging-", "in attempt 2");
    assertThat(outputs(spark, ROOT + "/b/run")).isEqualTo(local(spark));
    assertThat(names("/b")).containsExactly("run");
    assertThat(inBucket("/b/run", "--resume").isDone().out()).contains("was finished before");
  }

  @Test
  void layersInABucket(SparkSession spark) throws IOException {
    List<String> args =
        List.of(
            "run",
            "--model",
            ROOT + "/model",
            "--layers",
            "0-1",
            "--backend",
            "scalar",
            "--input",
            ROOT + "/model/reference.safetensors#model.layers.{layer}.mlp.input",
            "--output",
            ROOT + "/layers",
            "--resume");
    Cli.execute(Map.of(), args).isDone();
    assertThat(names("/layers")).containsExactlyInAnyOrder("layer=0", "layer=1", "manifest.json");
    assertThat(outputs(spark, ROOT + "/layers/layer=1")).isEqualTo(local(spark));
    assertThat(Cli.execute(Map.of(), args).isDone().out()).contains("was finished before");
  }

  @Test
  void bucketsThatAreNotThereOrClosed(SparkSession spark) {
    Configuration hadoop = spark.sparkContext().hadoopConfiguration();
    server.connect("nowhere", hadoop);
    server.bucket("closed", hadoop);
    server.connect("closed", "somebody", "else", hadoop);
    Map<String, String> buckets =
        Map.of("nowhere", "bucket does not exist", "closed", "Status Code: 403");
    buckets.forEach(
        (bucket, why) -> {
          for (int place = 0; place < 3; place++) {
            String[] paths = {ROOT + "/model", ROOT + "/tokens", ROOT + "/c/run"};
            paths[place] = "s3a://" + bucket + "/it";
            refused(run(paths[0], paths[1], paths[2]), paths[place], why);
          }
        });
    refused(run(ROOT + "/none", ROOT + "/tokens", ROOT + "/c/run"), ROOT + "/none", "no folder");
    refused(run(ROOT + "/model", ROOT + "/none", ROOT + "/c/run"), ROOT + "/none", "exist");
  }

  /** In one line; what the AWS SDK says has names of its exceptions in it. */
  private static void refused(Outcome outcome, String... words) {
    assertThat(outcome.code()).as(outcome.err()).isEqualTo(ExitCode.WRONG_INPUT);
    assertThat(outcome.err().lines()).as(outcome.err()).hasSize(1);
    assertThat(outcome.err()).startsWith("moe: ").contains(words);
  }
}

package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatExceptionOfType;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.delta.DeltaTables;
import org.sparkmoe.datasets.tokens.LocalSpark;

/** Delta tables as input and output. */
@ExtendWith(LocalSpark.class)
@Tag("delta")
final class DeltaTest {
  private static final Path MODEL = Fixtures.folder("qwen2_moe");

  @TempDir private static Path folder;
  private static String tokens;

  @BeforeAll
  static void write(SparkSession spark) {
    // The state of a table is a table of its own, of 50 partitions where nothing says otherwise.
    spark.conf().set("spark.databricks.delta.snapshotPartitions", "1");
    Dataset<Row> rows =
        spark
            .read()
            .format("moe-safetensors")
            .load(MODEL.resolve("reference.safetensors") + "#model.layers.1.mlp.input");
    tokens = folder.resolve("tokens").toString();
    rows.repartition(3).write().format("delta").save(tokens);
  }

  private static List<String> run(String input, Path output, String... more) {
    List<String> args =
        new ArrayList<>(
            List.of(
                "run",
                "--model",
                MODEL.toString(),
                "--layer",
                "1",
                "--backend",
                "scalar",
                "--no-report"));
    args.addAll(List.of("--input", input, "--output", output.toString()));
    args.addAll(List.of(more));
    return args;
  }

  @Test
  void tablesAreDeltaTables(SparkSession spark) {
    Path run = folder.resolve("run");
    Cli.execute(Map.of(), run(tokens, run, "--dispatch", "ep", "--output-format", "delta"))
        .isDone();

    assertThat(run.resolve("manifest.json")).content().contains("\"output-format\" : \"delta\"");
    for (String name : List.of("outputs", "routes", "expert_stats", "errors")) {
      Dataset<Row> table = spark.read().format("delta").load(run.resolve(name).toString());
      Dataset<Row> parquet = spark.read().parquet(run.resolve(name).toString());
      assertThat(table.schema().simpleString()).isEqualTo(parquet.schema().simpleString());
      assertThat(table.collectAsList())
          .containsExactlyInAnyOrderElementsOf(parquet.collectAsList());
    }
    assertThat(spark.read().format("delta").load(run.resolve("outputs").toString()).count())
        .isEqualTo(60);
  }

  @Test
  void namesThePackageThatIsMissing(SparkSession spark) {
    Thread thread = Thread.currentThread();
    ClassLoader before = thread.getContextClassLoader();
    thread.setContextClassLoader(ClassLoader.getPlatformClassLoader());
    try {
      assertThat(DeltaTables.settings("")).isEmpty();
      assertThatExceptionOfType(InputException.class)
          .isThrownBy(() -> DeltaTables.require(spark, "input /lake"))
          .withMessage(
              "input /lake needs Delta Lake, whose classes are missing; add --packages"
                  + " io.delta:delta-spark_4.2_2.13:4.4.0 to the options of Spark, before the"
                  + " command");
    } finally {
      thread.setContextClassLoader(before);
    }
  }

  @Test
  void refusesAFormatThatItDoesNotWrite() {
    Cli.execute(Map.of(), run(tokens, folder.resolve("none"), "--output-format", "orc"))
        .isRefused("--output-format orc is unknown; choose parquet or delta");
  }

  /** What a table no longer has may still lie in its folder. */
  @Test
  void deletedRowsStayDeleted(SparkSession spark) {
    String changed = folder.resolve("changed").toString();
    spark.read().format("delta").load(tokens).write().format("delta").save(changed);
    spark.sql("DELETE FROM delta.`" + changed + "` WHERE token_id < 50");
    Path run = folder.resolve("after");

    Cli.execute(Map.of(), run(changed, run, "--dispatch", "replicated")).isDone();

    assertThat(spark.read().parquet(run.resolve("outputs").toString()).count()).isEqualTo(10);
    assertThat(spark.read().parquet(changed).count()).isGreaterThan(10);
    assertThat(Files.exists(run.resolve("outputs/_delta_log"))).isFalse();
  }
}

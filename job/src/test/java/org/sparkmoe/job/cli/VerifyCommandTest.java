package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.datasets.tensor.TensorFixture;
import org.sparkmoe.datasets.tensor.TensorFixture.Tensor;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.cli.Cli.Outcome;

/** {@code moe verify} on small tables that stand for runs. */
@ExtendWith(LocalSpark.class)
final class VerifyCommandTest {
  @TempDir private static Path folder;

  private static String reference;

  @BeforeAll
  static void makeRuns(SparkSession spark) {
    Path file = folder.resolve("reference.safetensors");
    TensorFixture.write(file, new Tensor("y", "F32", new long[] {5, 2}, expected()));
    reference = file + "#y";
    run(spark, "exact", "5", "array(f, f + 0.5F)");
    run(spark, "close", "5", "IF(id = 3, array(f, f + 0.50001F), array(f, f + 0.5F))");
    run(
        spark,
        "off",
        "5",
        "IF(id = 3, array(f, f + 1.5F), IF(id = 1, array(f, CAST('NaN' AS FLOAT)), array(f, f +"
            + " 0.5F)))");
    run(spark, "short", "3", "array(f, f + 0.5F)");
    run(spark, "long", "7", "array(f, f + 0.5F)");
    run(spark, "failed", "5", "IF(id = 2, NULL, array(f, f + 0.5F))");
    run(spark, "nothing", "5", "IF(id >= 0, NULL, array(f))");
    run(spark, "wide", "5", "array(f, f, f)");
    run(spark, "elsewhere", "5", "array(f, f + 0.5F)", "id + 100");
  }

  private static byte[] expected() {
    ByteBuffer bytes = ByteBuffer.allocate(40).order(ByteOrder.LITTLE_ENDIAN);
    for (int row = 1; row <= 5; row++) {
      bytes.putFloat(row).putFloat(row + 0.5f);
    }
    return bytes.array();
  }

  private static void run(SparkSession spark, String name, String rows, String output) {
    run(spark, name, rows, output, "id");
  }

  private static void run(
      SparkSession spark, String name, String rows, String output, String tokenId) {
    spark
        .sql(
            "SELECT %s AS token_id, %s AS output, CAST(NULL AS STRING) AS error FROM (SELECT id, CAST(id + 1 AS FLOAT) f FROM range(%s))"
                .formatted(tokenId, output, rows))
        .repartition(2)
        .write()
        .parquet(folder.resolve(name).resolve("outputs").toString());
  }

  private static Outcome verify(String run, String reference, String... more) {
    String[] args = new String[5 + more.length];
    args[0] = "verify";
    args[1] = "--run";
    args[2] = folder.resolve(run).toString();
    args[3] = "--reference";
    args[4] = reference;
    System.arraycopy(more, 0, args, 5, more.length);
    return Cli.execute(args);
  }

  @Test
  void equalRowsAgree() {
    assertThat(verify("exact", reference, "--tolerance", "0").isDone().out())
        .contains("5 tokens, 5 of them equal in every value, 0 farther than 0e+00")
        .endsWith("they agree\n");
  }

  @Test
  void closeRowsAgreeWithinTheTolerance() {
    assertThat(verify("close", reference).isDone().out())
        .contains("5 tokens, 4 of them equal in every value, 0 farther than 2e-05");

    Outcome strict = verify("close", reference, "--tolerance", "1e-6");
    assertThat(strict.code()).isEqualTo(3);
    assertThat(strict.out()).contains("1 farther than 1e-06").endsWith("they differ\n");
  }

  @Test
  void theWorstRowsComeFirst() {
    Outcome outcome = verify("off", reference, "--worst", "2");

    assertThat(outcome.code()).isEqualTo(3);
    assertThat(outcome.err()).isEmpty();
    assertThat(outcome.out().lines().filter(line -> line.matches(" +\\d+ .*")))
        .satisfiesExactly(
            line -> assertThat(line).matches(" +1 +Infinity +Infinity +1 +NaN +2\\.5000"),
            line -> assertThat(line).matches(" +3 +1\\.7e-01 +1\\.0e\\+00 +1 +5\\.5000 +4\\.5000"));
  }

  @ParameterizedTest
  @CsvSource({
    "short, 2 tokens of the reference without an output, 0",
    "failed, 1 token of the reference without an output, 0",
    "long, 2 tokens of the run without a reference, 3",
    "elsewhere, nothing to compare, 3",
    "nothing, nothing to compare, 3",
  })
  void whatOneSideLacksIsADifference(String run, String words, int codeOfSubset) {
    Outcome outcome = verify(run, reference);

    assertThat(outcome.code()).isEqualTo(3);
    assertThat(outcome.out()).contains(words);
    assertThat(verify(run, reference, "--subset").code()).isEqualTo(codeOfSubset);
  }

  @Test
  void aRunCanBeTheReference() {
    assertThat(verify("exact", folder.resolve("close").toString()).isDone().out())
        .contains("outputs, ARRAY<FLOAT>", "they agree");
  }

  @ParameterizedTest
  @CsvSource({
    "wide, 5, has 3 values in the run and 2 in the reference",
    "missing, 5, missing does not exist; give the --output of a run",
    "'', 5, is no run folder: it has no outputs/",
    "exact, 0, --worst 0 must be at least 1"
  })
  void whatCannotBeComparedIsRefused(String run, String worst, String words) {
    verify(run, reference, "--worst", worst).isRefused(words);
  }

  @Test
  void aToleranceIsANumberFromZero() {
    verify("exact", reference, "--tolerance", "-1")
        .isRefused("--tolerance -1.0 must be at least 0");
    verify("exact", reference, "--tolerance", "NaN").isRefused("--tolerance NaN must be");
  }

  @Test
  void aMissingReferenceIsRefused() {
    verify("exact", folder.resolve("no.safetensors") + "#y").isRefused("no.safetensors");
    verify("exact", reference + "z").isRefused("yz");
  }
}

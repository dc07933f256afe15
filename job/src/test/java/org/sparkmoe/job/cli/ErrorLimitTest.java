package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.cli.Cli.Outcome;

/** How many rows may fail before a scheduler hears of it. */
@ExtendWith(LocalSpark.class)
final class ErrorLimitTest {
  private static final int BAD = 2;

  @TempDir private static Path inputs;
  @TempDir private Path folder;

  /** {@code some} has 2 bad rows of 6, {@code all} has the bad ones only. */
  @BeforeAll
  static void makeTokens(SparkSession spark) {
    spark
        .range(6)
        .selectExpr(
            "id AS token_id", "IF(id < 2, NULL, array_repeat(CAST(0.1 AS FLOAT), 64)) AS hidden")
        .coalesce(1)
        .createOrReplaceTempView("some_tokens");
    spark.table("some_tokens").write().parquet(inputs.resolve("some").toString());
    spark
        .table("some_tokens")
        .filter("token_id < 2")
        .write()
        .parquet(inputs.resolve("all").toString());
  }

  private Outcome run(String input, String maxErrors) {
    Path output = folder.resolve("run");
    Outcome outcome =
        Cli.execute(
            Map.of(),
            Cli.with(
                List.of(
                    "run",
                    "--overwrite",
                    "--model",
                    Fixtures.folder("olmoe").toString(),
                    "--layer",
                    "0",
                    "--input",
                    inputs.resolve(input).toString(),
                    "--output",
                    output.toString()),
                "--max-errors",
                maxErrors));
    // Whatever the code, the run is complete.
    assertThat(output.resolve("manifest.json")).exists();
    if (outcome.code() == ExitCode.DONE) {
      assertThat(outcome.err()).isEmpty();
    } else {
      assertThat(outcome.err().lines())
          .singleElement()
          .asString()
          .startsWith("moe: 2 rows could not be scored, ")
          .contains(maxErrors == null ? "all of them" : "--max-errors allows " + maxErrors);
    }
    assertThat(outcome.out())
        .contains("2 errors")
        .contains("2 of %d rows could not be scored".formatted(input.equals("all") ? 2 : 6));
    return outcome;
  }

  @Test
  void someErrorsAreNoFailureUnlessSaidSo() {
    assertThat(run("some", null).code()).isEqualTo(ExitCode.DONE);
    assertThat(run("some", "" + BAD).code()).isEqualTo(ExitCode.DONE);
    assertThat(run("some", "1").code()).isEqualTo(ExitCode.TOO_MANY_ERRORS);
    assertThat(run("some", "0").code()).isEqualTo(ExitCode.TOO_MANY_ERRORS);
    assertThat(Files.exists(folder.resolve("run/outputs/_SUCCESS"))).isTrue();
  }

  @Test
  void noScoredRowAtAllIsAFailureUnlessSaidSo() {
    assertThat(run("all", null).code()).isEqualTo(ExitCode.TOO_MANY_ERRORS);
    assertThat(run("all", "" + BAD).code()).isEqualTo(ExitCode.DONE);
  }
}

package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.run.Interrupted;
import org.sparkmoe.kernels.backend.BackendSelector;

/** {@code --resume} as a scheduler gives it: always. */
@ExtendWith(LocalSpark.class)
final class ResumeCommandTest {
  @TempDir private Path folder;
  private Path run;
  private String model;
  private String input;

  @BeforeEach
  void name() {
    run = folder.resolve("run");
    model = Fixtures.folder("olmoe").toString();
    input = model + "/reference.safetensors#model.layers.1.mlp.input";
  }

  private List<String> command(String... more) {
    List<String> args =
        new ArrayList<>(
            List.of(
                "run",
                "--no-report",
                "--model",
                model,
                "--layer",
                "1",
                "--input",
                input,
                "--output"));
    args.add(run.toString());
    args.addAll(List.of("--dispatch", "replicated"));
    args.addAll(List.of(more));
    return args;
  }

  /** A run of the same request that failed after its routes. */
  private void interrupt(SparkSession spark) {
    JobRequest request =
        Interrupted.request(
            model, 1, TokenOptions.of(input), run.toString(), BackendSelector.Request.auto());
    assertThat(Interrupted.run(spark, request, 5, 2)).isNotNull();
  }

  @Test
  void onceAndAgain() throws IOException {
    assertThat(Cli.execute(Map.of(), command("--resume")).isDone().out())
        .doesNotContain("resume ", "note ");
    FileTime written = Files.getLastModifiedTime(run.resolve("manifest.json"));

    assertThat(Cli.execute(Map.of(), command("--resume")).isDone().out())
        .contains("results  " + run, "was finished before");
    assertThat(Cli.execute(Map.of(), command("--resume", "--overwrite")).isDone().out())
        .contains("was finished before");
    assertThat(Files.getLastModifiedTime(run.resolve("manifest.json"))).isEqualTo(written);

    Cli.execute(Map.of(), command("--resume", "--limit", "7"))
        .isRefused("holds another run", "--limit was none, now it is 7", "--overwrite");
    Cli.execute(Map.of(), command()).isRefused("exists", "--overwrite");
    assertThat(Files.getLastModifiedTime(run.resolve("manifest.json"))).isEqualTo(written);
    assertThat(
            Cli.execute(Map.of(), command("--resume", "--overwrite", "--limit", "7"))
                .isDone()
                .out())
        .contains("7 tokens");
  }

  @Test
  void aRunOfANameIsComputedOnce() throws IOException {
    Cli.execute(Map.of(), command("--run-id", "day 1")).isDone();
    FileTime written = Files.getLastModifiedTime(run.resolve("manifest.json"));
    assertThat(run.resolve("manifest.json")).content().contains("\"run_id\" : \"day 1\"");

    for (String more : List.of("--verbose", "--overwrite", "--resume")) {
      assertThat(Cli.execute(Map.of(), command("--run-id", "day 1", more)).isDone().out())
          .contains("results  " + run, "was finished before");
    }
    Cli.execute(Map.of(), command("--run-id", "day 1", "--limit", "7"))
        .isRefused("holds another run", "--limit was none, now it is 7", "--overwrite");
    Cli.execute(Map.of(), command("--run-id", "day 2"))
        .isRefused("holds another run", "it is --run-id day 1, this one is day 2", "--overwrite");
    Cli.execute(Map.of(), command()).isRefused("exists", "--overwrite");
    assertThat(Files.getLastModifiedTime(run.resolve("manifest.json"))).isEqualTo(written);

    assertThat(
            Cli.execute(Map.of(), command("--run-id", "day 2", "--overwrite", "--limit", "7"))
                .isDone()
                .out())
        .contains("7 tokens");
    Cli.execute(Map.of(), command("--run-id", " ")).isRefused("--run-id must be one line");
    List<String> layers = Cli.with(command("--run-id", "a"), "--layer", null);
    layers.addAll(List.of("--layers", "1"));
    Cli.execute(Map.of(), Cli.with(layers, "--input", "x{layer}"))
        .isRefused("--run-id a is of one run", "--layers 1");
  }

  @Test
  void anUnfinishedRunIsGoneOnWith(SparkSession spark) throws IOException {
    interrupt(spark);

    Cli.execute(Map.of(), command("--resume", "--limit", "7"))
        .isRefused("unfinished run in", "--limit was none, now it is 7");
    assertThat(Cli.execute(Map.of(), command("--resume")).isDone().out())
        .contains("resume   ", "as the run was started", "in attempt 2")
        .contains("results  " + run);
    try (Stream<Path> left = Files.list(folder)) {
      assertThat(left).containsExactly(run);
    }
  }

  @Test
  void aPlainRunLetsItAlone(SparkSession spark) throws IOException {
    interrupt(spark);

    assertThat(Cli.execute(Map.of(), command()).isDone().out())
        .contains("note     an unfinished run for this output is in ", "--resume goes on with it");
    try (Stream<Path> left = Files.list(folder)) {
      assertThat(left).hasSize(2);
    }
    assertThat(Cli.execute(Map.of(), command("--resume")).isDone().out())
        .contains("was finished before");
  }

  @ParameterizedTest
  @ValueSource(strings = {"0", "-1", "many", "1.5"})
  void unitsHaveTokens(String value) {
    Cli.execute(Map.of(), command("--unit-tokens", value)).isRefused("--unit-tokens", value);
    assertThat(folder).isEmptyDirectory();
  }

  @Test
  void aManifestThatIsNoneIsAnotherRun() throws IOException {
    Files.createDirectory(run);
    for (String text : List.of("", "{", "[]", "{}", "{\"fingerprint\": 1, \"chosen\": {}}")) {
      Files.writeString(run.resolve("manifest.json"), text);
      Cli.execute(Map.of(), command("--resume")).isRefused("another run", "its manifest");
    }
  }
}

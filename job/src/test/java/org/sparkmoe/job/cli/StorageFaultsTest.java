package org.sparkmoe.job.cli;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.cli.Cli.Outcome;

/** Disks that fill up, folders that nobody may write to, files that vanish: told in one line. */
@ExtendWith(LocalSpark.class)
final class StorageFaultsTest {
  private static final Path MODEL = Fixtures.folder("qwen2_moe");

  @TempDir private static Path inputs;
  @TempDir private Path folder;

  @BeforeAll
  static void write(SparkSession spark) {
    FaultyFileSystem.register(spark.sparkContext().hadoopConfiguration());
    spark
        .read()
        .format("moe-safetensors")
        .load(MODEL.resolve("reference.safetensors") + "#model.layers.1.mlp.input")
        .repartition(3)
        .write()
        .parquet(inputs.resolve("tokens").toString());
  }

  @BeforeEach
  @AfterEach
  void heal() {
    FaultyFileSystem.heal();
  }

  private Outcome run(String... more) {
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
    args.addAll(List.of("--input", "faulty:" + inputs.resolve("tokens")));
    args.addAll(List.of("--output", "faulty:" + folder.resolve("run")));
    args.addAll(List.of(more));
    return Cli.execute(Map.of(), args);
  }

  /**
   * Failed, in a line that says {@code what}, another about the stack trace, and one about what is
   * kept, if anything: then it is hidden.
   */
  private void fails(Outcome outcome, int code, String what) throws IOException {
    assertThat(outcome.code()).as(outcome.toString()).isEqualTo(code);
    assertThat(outcome.err()).startsWith("moe: " + what);
    try (Stream<Path> left = Files.list(folder)) {
      List<String> names = left.map(path -> path.getFileName().toString()).toList();
      assertThat(names).allMatch(name -> name.startsWith(".run.staging-"));
      int lines = code == ExitCode.FAILED ? (names.isEmpty() ? 2 : 3) : 1;
      assertThat(outcome.err().lines()).as(outcome.err()).hasSize(lines);
    }
  }

  @Test
  void aDiskThatFillsUp() throws IOException {
    FaultyFileSystem.leave(1_000);
    fails(run("--dispatch", "replicated"), ExitCode.FAILED, "there is no space left (No space");
    FaultyFileSystem.leave(9_000);
    fails(run("--dispatch", "ep"), ExitCode.FAILED, "there is no space left (No space");
    FaultyFileSystem.heal();
    run().isDone();
  }

  @Test
  void aFolderThatNobodyMayWriteTo() throws IOException {
    FaultyFileSystem.deny(path -> true);
    fails(run(), ExitCode.WRONG_INPUT, "output faulty:");
    FaultyFileSystem.deny(path -> path.toString().contains("outputs"));
    fails(run(), ExitCode.FAILED, "access was refused (");
    FaultyFileSystem.deny(path -> path.getName().equals("run"));
    fails(run(), ExitCode.FAILED, "access was refused (");
  }

  /** Whether the first pass over the tokens is done. */
  private boolean routed() {
    try (Stream<Path> all = Files.walk(folder)) {
      return all.anyMatch(file -> file.endsWith("routes/_SUCCESS"));
    } catch (IOException | UncheckedIOException e) {
      return false;
    }
  }

  @Test
  void inputThatVanishes() throws IOException {
    FaultyFileSystem.lose(path -> path.getName().startsWith("part-00001") && routed());
    fails(run("--dispatch", "ep"), ExitCode.FAILED, "a file vanished while the job ran (");
  }

  private List<Row> outputs(SparkSession spark) {
    return spark
        .read()
        .parquet(folder.resolve("run/outputs").toString())
        .orderBy("token_id")
        .collectAsList();
  }

  /** Where a rename of a folder copies, and so can end in the middle, the manifest comes last. */
  @Test
  void aRunThatIsInterruptedOnTheWayToItsPlace(SparkSession spark) throws IOException {
    run("--dispatch", "replicated").isDone();
    List<Row> expected = outputs(spark);
    Path run = folder.resolve("run");

    FaultyFileSystem.deny(path -> path.toString().endsWith("/run/manifest.json"));
    Outcome failed = run("--dispatch", "replicated", "--overwrite");
    assertThat(failed.code()).isEqualTo(ExitCode.FAILED);
    assertThat(failed.err()).startsWith("moe: access was refused (").contains("--resume goes on");
    assertThat(run.resolve("outputs")).exists();
    assertThat(run.resolve("manifest.json")).doesNotExist();
    FaultyFileSystem.heal();
    run("--overwrite").isRefused("interrupted while it was put there: --resume completes it");

    Path staging = staging();
    halfMove(run.resolve("outputs"), staging.resolve("outputs"));
    assertThat(run("--resume").isDone().out())
        .contains("resume   ", staging.toString(), "now it is in its place");
    assertThat(outputs(spark)).isEqualTo(expected).hasSize(60);
    try (Stream<Path> left = Files.list(folder)) {
      assertThat(left).containsExactly(run);
    }
    assertThat(run("--resume").isDone().out()).contains("was finished before");
  }

  private Path staging() throws IOException {
    try (Stream<Path> left = Files.list(folder)) {
      return left.filter(path -> path.getFileName().toString().startsWith(".run.staging-"))
          .findFirst()
          .orElseThrow();
    }
  }

  /** Of the files of a table, one has not been moved yet, and one is copied and not deleted yet. */
  private static void halfMove(Path moved, Path staged) throws IOException {
    List<Path> parts;
    try (Stream<Path> files = Files.list(moved)) {
      parts = files.filter(file -> file.getFileName().toString().startsWith("part-")).toList();
    }
    Files.createDirectory(staged);
    Files.move(parts.get(0), staged.resolve(parts.get(0).getFileName()));
    Files.copy(parts.get(1), staged.resolve(parts.get(1).getFileName()));
  }
}

package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.catchThrowable;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.Arrays;
import java.util.List;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.JobRequest.Units;
import org.sparkmoe.job.resume.Lease;
import org.sparkmoe.job.resume.Resumption.Decision;
import org.sparkmoe.job.resume.StateFolder;
import org.sparkmoe.job.run.Runs.Way;
import org.sparkmoe.kernels.backend.Backend;

/** A run of six units that is interrupted, and gone on with: the same rows as of one in one go. */
@ExtendWith(LocalSpark.class)
final class ResumeTest {
  private static final Fixtures.Block BLOCK =
      Fixtures.blocks().stream()
          .filter(block -> block.family().equals("qwen2_moe"))
          .findFirst()
          .orElseThrow();

  private static final int UNITS = 6;
  private static final Units SMALL = new Units(OptionalLong.of(10), true);

  /** Every file is a partition of its own, none is cut. */
  private static final String SPLIT = "spark.sql.files.maxPartitionBytes";

  @TempDir private static Path inputs;

  private static Path tokens;
  private static String splitBefore;
  private static SortedMap<Long, String> expected;

  /** A token of each unit: Spark does not take files in order. */
  private static List<Long> tokenOf;

  @TempDir private Path folder;
  private Path run;

  @BeforeAll
  static void prepare(SparkSession spark) throws IOException {
    splitBefore = spark.conf().get(SPLIT);
    spark.conf().set(SPLIT, "1m");
    tokens = inputs.resolve("tokens");
    Runs.input(spark, BLOCK)
        .selectExpr(
            "token_id",
            // what cannot be scored, in the first and in the last unit
            "IF(token_id IN (1, 59), NULL, hidden) AS hidden")
        .repartitionByRange(UNITS, org.apache.spark.sql.functions.col("token_id"))
        .write()
        .parquet(tokens.toString());
    Path whole = inputs.resolve("whole");
    RunSummary summary =
        Runs.run(spark, request(whole, 0).withUnits(new Units(OptionalLong.empty(), false)));
    assertThat(summary.units()).hasSize(1);
    assertThat(summary.errors()).isEqualTo(2);
    expected = rows(spark, whole);
    Path cut = inputs.resolve("cut");
    assertThat(Runs.run(spark, request(cut, 0)).units()).hasSize(UNITS);
    tokenOf =
        parts(cut.resolve("outputs")).stream()
            .map(part -> spark.read().parquet(part.toString()).where("error IS NULL"))
            .map(part -> part.selectExpr("min(token_id)").first().getLong(0))
            .toList();
    assertThat(tokenOf).hasSize(UNITS);
    assertThat(rows(spark, cut)).isEqualTo(expected);
  }

  @AfterAll
  static void restore(SparkSession spark) {
    spark.conf().set(SPLIT, splitBefore);
  }

  @BeforeEach
  void name() {
    run = folder.resolve("run");
  }

  @ParameterizedTest
  @ValueSource(ints = {0, 3})
  void unitsGiveTheSameRows(int lanes, SparkSession spark) throws IOException {
    RunSummary summary = Runs.run(spark, request(run, lanes));

    assertThat(summary.units()).hasSize(UNITS).allMatch(unit -> unit.attempt() == 1);
    assertThat(summary.units().stream().mapToLong(FinishedUnit::rows).sum()).isEqualTo(60);
    assertThat(rows(spark, run)).isEqualTo(expected);
    assertNothingBeside();
    assertThat(run.resolve("outputs/_SUCCESS")).exists();
    assertThat(run.resolve(".resume")).doesNotExist();
    List<Path> parts = parts();
    for (int i = 0; i < parts.size(); i++) {
      assertThat(parts.get(i).getFileName().toString()).startsWith("part-0000%d-".formatted(i));
    }
    JsonNode manifest = manifest();
    assertThat(manifest.get("units")).hasSize(UNITS);
    assertThat(manifest.get("attempts")).hasSize(1);
  }

  @ParameterizedTest
  @CsvSource({"0, 0", "0, 3", "3, 5"})
  void aFailedUnitIsAllThatIsRepeated(int lanes, int unit, SparkSession spark) throws IOException {
    UnfinishedRunException failure =
        Interrupted.run(spark, request(run, lanes), tokenOf.get(unit), 3);

    assertThat(failure).hasStackTraceContaining("the disk is on fire");
    assertThat(failure.remedy())
        .contains("%d of %d units are kept in".formatted(unit, UNITS), staging().toString())
        .contains("--resume");
    assertThat(run).doesNotExist();
    assertThat(staging().resolve(".resume/heartbeat")).doesNotExist();

    RunSummary summary = Interrupted.resume(spark, request(run, lanes));

    assertThat(summary.attempts()).isEqualTo(2);
    assertThat(summary.units().stream().map(FinishedUnit::attempt).toList())
        .as("attempts by unit")
        .isEqualTo(
            Stream.iterate(0, i -> i < UNITS, i -> i + 1).map(i -> i < unit ? 1 : 2).toList());
    assertThat(rows(spark, run)).isEqualTo(expected);
    assertThat(summary.errors()).isEqualTo(2);
    assertThat(Runs.table(spark, run, "errors").count()).isEqualTo(2);
    assertThat(Runs.table(spark, run, "routes").count()).isEqualTo(58 * 4);
    assertThat(manifest().get("attempts")).hasSize(2);
    assertNothingBeside();
    assertThat(Interrupted.decide(spark, request(run, lanes)))
        .isInstanceOfSatisfying(
            Decision.Finished.class,
            done -> {
              assertThat(done.counts().rows()).isEqualTo(60);
              assertThat(done.counts().errors()).isEqualTo(2);
            });
  }

  @Test
  void aFailedRoutingPassLeavesNothing(SparkSession spark) throws IOException {
    MoeInferenceJob job = Interrupted.job(spark, request(run, 0), 35, 1);

    assertThatThrownBy(job::run)
        .isNotInstanceOf(UnfinishedRunException.class)
        .hasStackTraceContaining("the disk is on fire");
    assertThat(folder).isEmptyDirectory();
    assertThat(Interrupted.decide(spark, request(run, 0))).isEqualTo(new Decision.Afresh());
  }

  @Test
  void itCanFailAgainAndAgain(SparkSession spark) throws IOException {
    interrupted(spark, 1);
    for (int attempt = 2; attempt <= 3; attempt++) {
      Decision.GoOn found = (Decision.GoOn) Interrupted.decide(spark, request(run, 3));
      MoeInferenceJob job =
          Interrupted.job(spark, found.pinned(request(run, 3)), tokenOf.get(attempt + 2), 1);
      assertThatThrownBy(() -> job.resume(found, folder -> {}))
          .isInstanceOf(UnfinishedRunException.class);
    }
    assertThat(
            Interrupted.resume(spark, request(run, 3)).units().stream()
                .map(FinishedUnit::attempt)
                .toList())
        .containsExactly(1, 2, 2, 2, 3, 4);
    assertThat(rows(spark, run)).isEqualTo(expected);
  }

  /** As a driver leaves it that is killed after it has moved the files of the first units. */
  @Test
  void filesThatWereMovedAlreadyStay(SparkSession spark) throws IOException {
    interrupted(spark, 5);
    Path outputs = Files.createDirectory(staging().resolve("outputs"));
    Files.createDirectory(staging().resolve("expert_stats"));
    Files.writeString(staging().resolve("manifest.json"), "{");
    try (Stream<Path> files = Files.list(staging().resolve("units/00000"))) {
      for (Path file :
          files.filter(file -> file.getFileName().toString().startsWith("part-0000")).toList()) {
        Files.move(file, outputs.resolve(file.getFileName()));
      }
    }

    Interrupted.resume(spark, request(run, 3));

    assertThat(rows(spark, run)).isEqualTo(expected);
  }

  @Test
  void anotherClusterCutsInTheSamePlaces(SparkSession spark) throws IOException {
    interrupted(spark, 3);
    spark.conf().set("spark.sql.files.minPartitionNum", "1");
    spark.conf().set("spark.sql.files.openCostInBytes", "1");
    spark.conf().set(SPLIT, "128m");
    try {
      RunSummary summary = Interrupted.resume(spark, request(run, 3));
      assertThat(summary.units()).filteredOn(unit -> unit.attempt() == 1).hasSize(3);
      assertThat(spark.conf().get(SPLIT)).isEqualTo("128m");
    } finally {
      spark.conf().unset("spark.sql.files.minPartitionNum");
      spark.conf().unset("spark.sql.files.openCostInBytes");
      spark.conf().set(SPLIT, "1m");
    }
    assertThat(rows(spark, run)).isEqualTo(expected);
  }

  @Test
  void whatDiffersOrLivesIsNamed(SparkSession spark) throws IOException {
    interrupted(spark, 3);

    refuses(spark, request(run, 0), "--dispatch was ep, now it is replicated");
    refuses(spark, request(run, 2), "--lanes was 3, now it is 2");
    refuses(
        spark,
        request(run, 3).withUnits(new Units(OptionalLong.of(20), true)),
        "--unit-tokens was 10, now it is 20");
    refuses(
        spark,
        Runs.request(
                BLOCK,
                TokenOptions.of(tokens.toString()).withLimit(50),
                run,
                new Way(Backend.VECTOR, 3))
            .withUnits(SMALL),
        "--limit was none, now it is 50");
    Path other = inputs.resolve("other");
    Runs.input(spark, BLOCK).coalesce(1).write().parquet(other.toString());
    refuses(
        spark,
        Runs.request(BLOCK, TokenOptions.of(other.toString()), run, new Way(Backend.VECTOR, 3))
            .withUnits(SMALL),
        "input file ",
        "was not there before");
    Path file = parts(tokens).getFirst();
    FileTime before = Files.getLastModifiedTime(file);
    Files.setLastModifiedTime(file, FileTime.fromMillis(before.toMillis() - 5000));
    try {
      refuses(spark, request(run, 3), "input file ", file.getFileName().toString(), "has changed");
    } finally {
      Files.setLastModifiedTime(file, before);
    }
    StateFolder state =
        StateFolder.of(
            FileSystem.getLocal(new Configuration()),
            new org.apache.hadoop.fs.Path(staging().toString()));
    try (Lease _ = Lease.take(FileSystem.getLocal(new Configuration()), state)) {
      refuses(spark, request(run, 3), "seems to be at work", "end it, or come again in", " s");
    }
    // what was left open may stay open
    assertThat(
            Interrupted.resume(
                    spark, request(run, 3).withUnits(new Units(OptionalLong.empty(), true)))
                .attempts())
        .isEqualTo(2);
    assertThat(rows(spark, run)).isEqualTo(expected);
  }

  @Test
  void ofTwoThatGoOnOneWins(SparkSession spark) throws Exception {
    interrupted(spark, 5);
    JobRequest request = request(run, 3);
    Decision.GoOn found = (Decision.GoOn) Interrupted.decide(spark, request);
    int won = 0;
    try (ExecutorService threads = Executors.newFixedThreadPool(2)) {
      Callable<RunSummary> resumer = () -> Interrupted.resume(spark, request, found);
      List<Future<RunSummary>> ends = threads.invokeAll(List.of(resumer, resumer));
      for (Future<RunSummary> end : ends) {
        try {
          assertThat(end.get().attempts()).isEqualTo(2);
          won++;
        } catch (ExecutionException e) {
          assertThat(e.getCause())
              .isInstanceOf(InputException.class)
              .hasMessageContaining("another --resume has taken it");
        }
      }
    }
    assertThat(won).isOne();
    assertThat(rows(spark, run)).isEqualTo(expected);
    assertNothingBeside();
  }

  @Test
  void damagedStateIsOneLine(SparkSession spark) throws IOException {
    interrupted(spark, 3);

    damaged(spark, "state.json", "", "No content");
    damaged(spark, "state.json", "{", "end-of-input");
    damaged(spark, "state.json", "{\"format\": 1}", "Missing creator property");
    damaged(spark, "routed.json", "[]", "Cannot deserialize");
    damaged(spark, "unit-00001.json", "{\"unit\": \"x\"}", "Cannot deserialize");
    Path part = parts(staging().resolve("units/00001")).getFirst();
    Files.delete(part);
    refuses(spark, part.getFileName().toString(), "is missing or damaged");
    assertThat(run).doesNotExist();
  }

  private void damaged(SparkSession spark, String name, String text, String why)
      throws IOException {
    Path file = staging().resolve(".resume/" + name);
    String before = Files.readString(file);
    Files.deleteIfExists(staging().resolve(".resume/." + name + ".crc"));
    Files.writeString(file, text);
    refuses(spark, name, why, "or run without --resume");
    // the run was taken over, and is kept under another name
    Files.writeString(staging().resolve(".resume/" + name), before);
  }

  private void refuses(SparkSession spark, String... words) {
    Throwable thrown =
        catchThrowable(() -> Interrupted.resume(spark, request(run, 3).withOverwrite(false)));
    assertThat(thrown).isInstanceOf(InputException.class);
    assertThat(thrown.getMessage()).contains(words);
    assertThat(thrown.getMessage().lines()).hasSize(1);
  }

  /** The second read of a token is for the errors, the third in its unit. */
  private void interrupted(SparkSession spark, int unit) {
    assertThat(Interrupted.run(spark, request(run, 3), tokenOf.get(unit), 3)).isNotNull();
  }

  private static void refuses(SparkSession spark, JobRequest request, String... words) {
    Throwable thrown =
        catchThrowable(() -> Interrupted.decide(spark, request.withOverwrite(false)));
    assertThat(thrown).isInstanceOf(InputException.class);
    assertThat(thrown.getMessage()).contains(words);
    assertThat(thrown.getMessage().lines()).hasSize(1);
  }

  private static JobRequest request(Path run, int lanes) {
    return Runs.request(
            BLOCK, TokenOptions.of(tokens.toString()), run, new Way(Backend.VECTOR, lanes))
        .withUnits(SMALL);
  }

  private Path staging() throws IOException {
    try (Stream<Path> beside = Files.list(folder)) {
      return beside
          .filter(path -> path.getFileName().toString().startsWith(".run.staging-"))
          .findFirst()
          .orElseThrow();
    }
  }

  private void assertNothingBeside() throws IOException {
    try (Stream<Path> left = Files.list(folder)) {
      assertThat(left).containsExactly(run);
    }
    try (Stream<Path> left = Files.list(run)) {
      assertThat(left.map(path -> path.getFileName().toString()))
          .filteredOn(name -> !name.endsWith(".crc"))
          .containsExactlyInAnyOrder(
              "outputs", "routes", "errors", "expert_stats", "manifest.json");
    }
  }

  private JsonNode manifest() throws IOException {
    return new ObjectMapper().readTree(run.resolve("manifest.json").toFile());
  }

  private List<Path> parts() throws IOException {
    return parts(run.resolve("outputs"));
  }

  private static List<Path> parts(Path table) throws IOException {
    try (Stream<Path> files = Files.list(table)) {
      return files
          .filter(file -> file.getFileName().toString().startsWith("part-"))
          .sorted()
          .toList();
    }
  }

  private static SortedMap<Long, String> rows(SparkSession spark, Path run) {
    SortedMap<Long, String> rows = new TreeMap<>();
    for (Row row : Runs.table(spark, run, "outputs").collectAsList()) {
      String before = rows.put(row.getLong(0), Arrays.toString(row.<byte[]>getAs(1)) + row.get(2));
      assertThat(before).as("token %d twice", row.getLong(0)).isNull();
    }
    return rows;
  }
}

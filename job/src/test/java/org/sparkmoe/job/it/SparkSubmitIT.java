package org.sparkmoe.job.it;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.MemorySegment;
import java.nio.channels.FileChannel;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.CleanupMode;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.checkpoint.ReferenceRoutes;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.job.it.SparkSubmitRunner.Result;
import org.sparkmoe.job.it.SparkSubmitRunner.Running;
import org.sparkmoe.kernels.testing.Rows;

/**
 * The job under spark-submit: driver, master, workers and executors are processes of their own, and
 * our classes reach them in the application jar only.
 */
@ExtendWith(LocalSpark.class)
class SparkSubmitIT {
  private static final Fixtures.Block BLOCK =
      Fixtures.blocks().stream()
          .filter(block -> block.family().equals("olmoe"))
          .findFirst()
          .orElseThrow();

  private static final String MODEL = Fixtures.folder(BLOCK.family()).toString();
  private static final String TENSOR =
      Fixtures.folder(BLOCK.family()).resolve("reference.safetensors")
          + "#"
          + BLOCK.module()
          + ".input";
  private static final double TOLERANCE = 2e-5;

  @TempDir(cleanup = CleanupMode.ON_SUCCESS)
  static Path folder;

  private static StandaloneCluster cluster;
  private static Path tokens;
  private static Path oneThread;

  @BeforeAll
  static void start(SparkSession spark) throws Exception {
    cluster = StandaloneCluster.start(folder.resolve("cluster"));
    tokens = folder.resolve("tokens");
    input(spark).repartition(3).write().parquet(tokens.toString());
    oneThread = folder.resolve("one-thread");
    assertDone(SparkSubmitRunner.on("local[1]").run(ep(tokens.toString(), oneThread)));
  }

  @AfterAll
  static void stop() {
    if (cluster != null) {
      cluster.close();
    }
  }

  @Test
  void agreesWithTransformers(SparkSession spark) {
    ByteArrayOutputStream outputs = new ByteArrayOutputStream();
    outputs(spark, oneThread).values().forEach(outputs::writeBytes);
    try (SafetensorsFile reference = Fixtures.reference(BLOCK.family())) {
      Rows.assertClose(
          Rows.floats(MemorySegment.ofArray(outputs.toByteArray())),
          ReferenceRoutes.floats(reference, BLOCK.module() + ".output"),
          64,
          TOLERANCE,
          BLOCK);
    }
  }

  @Test
  void twoThreadsWriteTheSameFiles(SparkSession spark) throws Exception {
    Path run = folder.resolve("two-threads");
    assertDone(SparkSubmitRunner.on("local[2]").run(ep(tokens.toString(), run)));
    assertThat(parts(spark, run)).isEqualTo(parts(spark, oneThread));
  }

  @Test
  void takesSettingsAndReadsTensorsOnExecutors(SparkSession spark) throws Exception {
    Path run = folder.resolve("settings");
    Result result =
        SparkSubmitRunner.on(cluster.url())
            .conf("spark.moe.model", MODEL)
            .conf("spark.moe.layer", Integer.toString(BLOCK.layer()))
            .conf("spark.moe.dispatch", "replicated")
            .conf("spark.moe.lanes", "4")
            .run("run", "--input", TENSOR, "--output", run.toString(), "--dispatch", "ep");
    assertDone(result);
    assertThat(Files.readString(run.resolve("manifest.json")))
        .contains("\"mode\" : \"ep\"", "\"lanes\" : 4");
    assertSameOutputs(spark, run);
  }

  @Test
  void survivesTheLossOfAnExecutor(SparkSession spark) throws Exception {
    Path run = folder.resolve("killed");
    try (Running running = SparkSubmitRunner.on(cluster.url()).start(ep(tokens.toString(), run))) {
      awaitRoutes(running);
      List<ProcessHandle> executors = cluster.executors();
      assertThat(executors).as("executors at work").isNotEmpty();
      executors.getFirst().destroyForcibly();
      assertThat(running.process().isAlive()).as("killed during the run").isTrue();
      assertDone(running.await());
    }
    assertThat(parts(spark, run)).isEqualTo(parts(spark, oneThread));
  }

  /** Executors killed, shuffle files lost or cut short, and every task tried twice at a time. */
  @Test
  void disturbancesDoNotShow(SparkSession spark) throws Exception {
    Path run = folder.resolve("disturbed");
    Path local = Files.createDirectory(folder.resolve("local"));
    int lost = 0;
    boolean killed = false;
    try (Running running =
        SparkSubmitRunner.on("local-cluster[2,1,1024]")
            .conf("spark.local.dir", local.toString())
            .conf("spark.speculation", "true")
            .conf("spark.speculation.multiplier", "1")
            .conf("spark.speculation.quantile", "0.1")
            .conf("spark.speculation.minTaskRuntime", "1ms")
            .conf("spark.stage.maxConsecutiveAttempts", "20")
            .conf("spark.sql.files.maxPartitionBytes", "1m")
            .start(units(tokens, run))) {
      while (running.process().isAlive()) {
        Set<Path> units = finishedUnits("disturbed");
        if (!killed && !units.isEmpty()) {
          killed =
              running
                  .process()
                  .descendants()
                  .filter(StandaloneCluster::isExecutor)
                  .findFirst()
                  .map(ProcessHandle::destroyForcibly)
                  .orElse(false);
        }
        if (lost < 4) {
          lost += lose(local, lost % 2 == 0);
        }
        Thread.sleep(50);
      }
      assertDone(running.await());
    }
    assertThat(killed).as("an executor was killed").isTrue();
    assertThat(lost).as("shuffle files lost").isPositive();
    assertThat(Files.readString(run.resolve("manifest.json"))).contains("\"attempts\" : [");
    assertSameOutputs(spark, run);
  }

  /** The driver is killed between units; one of another cluster goes on. */
  @Test
  void aKilledDriverIsGoneOnWith(SparkSession spark) throws Exception {
    Path run = folder.resolve("resumed");
    List<String> command = new ArrayList<>(List.of(units(tokens, run)));
    Set<Path> finished;
    try (Running running =
        SparkSubmitRunner.on("local[2]")
            .conf("spark.sql.files.maxPartitionBytes", "1m")
            .start(command.toArray(String[]::new))) {
      finished = finishedUnits("resumed");
      while (finished.isEmpty()) {
        assertThat(running.process().isAlive()).as("still running").isTrue();
        Thread.sleep(20);
        finished = finishedUnits("resumed");
      }
    }
    assertThat(run).doesNotExist();
    command.add("--resume");
    Result result = SparkSubmitRunner.on("local[1]").run(command.toArray(String[]::new));
    if (result.stderr().contains("seems to be at work")) {
      // The system has not told yet that the driver is dead: a minute later it is taken for that.
      Thread.sleep(61_000);
      result = SparkSubmitRunner.on("local[1]").run(command.toArray(String[]::new));
    }
    assertDone(result);
    assertThat(result.stdout()).contains("resume   ", "ep, 4 lanes: as the run was started");
    JsonNode units =
        new ObjectMapper().readTree(run.resolve("manifest.json").toFile()).get("units");
    assertThat(units).hasSize(3);
    int before = 0;
    for (JsonNode unit : units) {
      before += unit.get("attempt").asInt() == 1 ? 1 : 0;
    }
    assertThat(before).as("units of the killed driver").isGreaterThanOrEqualTo(finished.size());
    assertSameOutputs(spark, run);
  }

  /** A run of three units, a file each. */
  private static String[] units(Path input, Path output) {
    return Stream.concat(
            Arrays.stream(ep(input.toString(), output)), Stream.of("--unit-tokens", "1"))
        .toArray(String[]::new);
  }

  /** Of the run with output {@code name}, while it is staged. */
  private static Set<Path> finishedUnits(String name) throws IOException {
    var pattern =
        FileSystems.getDefault()
            .getPathMatcher("glob:**/." + name + ".staging-*/.resume/unit-?????.json");
    try (Stream<Path> found = Files.walk(folder, 3)) {
      return found.filter(pattern::matches).collect(Collectors.toSet());
    } catch (UncheckedIOException e) {
      // A file went away under the walk.
      return Set.of();
    }
  }

  /** Deletes a shuffle file of executors, or cuts it short. */
  private static int lose(Path local, boolean whole) throws IOException {
    try (Stream<Path> found = Files.walk(local)) {
      for (Path file :
          found
              .filter(path -> path.getFileName().toString().matches("shuffle_.*\\.data"))
              .toList()) {
        if (whole ? Files.deleteIfExists(file) : cut(file)) {
          return 1;
        }
      }
    } catch (UncheckedIOException | NoSuchFileException e) {
      // A file went away under the walk.
    }
    return 0;
  }

  private static boolean cut(Path file) throws IOException {
    try (FileChannel channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
      channel.truncate(channel.size() / 2);
      return true;
    }
  }

  @ParameterizedTest
  @CsvSource({
    "local[1], --modle, x, '--modle'",
    "standalone, --input, /no/such/input, /no/such/input"
  })
  void wrongInputIsTwoAndOneLine(String master, String option, String value, String message)
      throws Exception {
    Path run = folder.resolve("refused");
    List<String> arguments = new ArrayList<>(List.of(ep(tokens.toString(), run)));
    int given = arguments.indexOf(option);
    if (given < 0) {
      arguments.addAll(List.of(option, value));
    } else {
      arguments.set(given + 1, value);
    }
    String url = master.equals("standalone") ? cluster.url() : master;
    Result result = SparkSubmitRunner.on(url).run(arguments.toArray(String[]::new));
    assertThat(result.exitCode()).as(result.stderr()).isEqualTo(2);
    assertThat(result.stderr().lines().filter(line -> line.startsWith("moe:")))
        .singleElement()
        .asString()
        .contains(message);
    // Spark logs the channels of executors that are still fetching the jar.
    assertThat(
            result.stderr().lines().filter(l -> l.startsWith("\tat ") && !l.contains("io.netty")))
        .isEmpty();
    assertThat(run).doesNotExist();
  }

  @Test
  void moreErrorsThanAllowedAreThree(SparkSession spark) throws Exception {
    Path damaged = folder.resolve("damaged");
    input(spark)
        .selectExpr("token_id", "IF(token_id < 2, NULL, hidden) AS hidden")
        .write()
        .parquet(damaged.toString());
    Path run = folder.resolve("errors");
    Result result =
        SparkSubmitRunner.on(cluster.url())
            .conf("spark.moe.max-errors", "1")
            .run(ep(damaged.toString(), run));
    assertThat(result.exitCode()).as(result.stderr()).isEqualTo(3);
    assertThat(spark.read().parquet(run.resolve("errors").toString()).count()).isEqualTo(2);
    SortedMap<Long, byte[]> expected = outputs(spark, oneThread);
    outputs(spark, run)
        .forEach((id, output) -> assertThat(output).isEqualTo(id < 2 ? null : expected.get(id)));
  }

  private static Dataset<Row> input(SparkSession spark) {
    return spark.read().format("moe-safetensors").load(TENSOR);
  }

  private static String[] ep(String input, Path output) {
    return new String[] {
      "run",
      "--model",
      MODEL,
      "--layer",
      Integer.toString(BLOCK.layer()),
      "--input",
      input,
      "--output",
      output.toString(),
      "--dispatch",
      "ep",
      "--lanes",
      "4",
      "--no-report"
    };
  }

  /**
   * Waits until the first pass is over: then an executor's loss costs it held routes and blocks.
   */
  private static void awaitRoutes(Running running) throws Exception {
    var routes = FileSystems.getDefault().getPathMatcher("glob:**/.killed.staging-*/routes");
    while (true) {
      assertThat(running.process().isAlive()).as("still running").isTrue();
      try (Stream<Path> found = Files.walk(folder, 2)) {
        if (found.anyMatch(routes::matches)) {
          return;
        }
      } catch (UncheckedIOException e) {
        // A file went away under the walk.
      }
      Thread.sleep(20);
    }
  }

  private static void assertDone(Result result) {
    assertThat(result.exitCode()).as(result.stderr()).isZero();
  }

  private static void assertSameOutputs(SparkSession spark, Path run) {
    SortedMap<Long, byte[]> expected = outputs(spark, oneThread);
    SortedMap<Long, byte[]> actual = outputs(spark, run);
    assertThat(actual.keySet()).isEqualTo(expected.keySet());
    actual.forEach(
        (id, output) -> assertThat(output).as("token %d", id).isEqualTo(expected.get(id)));
  }

  private static SortedMap<Long, byte[]> outputs(SparkSession spark, Path run) {
    SortedMap<Long, byte[]> outputs = new TreeMap<>();
    Dataset<Row> table = spark.read().parquet(run.resolve("outputs").toString());
    for (Row row : table.select("token_id", "output").collectAsList()) {
      outputs.put(row.getLong(0), row.getAs(1));
    }
    return outputs;
  }

  /**
   * Number of each file of {@code outputs} to its size and its rows in order. Not its bytes:
   * Parquet's footer lists the encodings of a column in an order that differs between JVMs.
   */
  private static Map<String, String> parts(SparkSession spark, Path run) throws IOException {
    Map<String, String> parts = new TreeMap<>();
    try (Stream<Path> files = Files.list(run.resolve("outputs"))) {
      for (Path file : files.toList()) {
        String name = file.getFileName().toString();
        if (name.startsWith("part-")) {
          List<String> rows =
              spark.read().parquet(file.toString()).coalesce(1).collectAsList().stream()
                  .map(row -> row.get(0) + Arrays.toString(row.<byte[]>getAs(1)) + row.get(2))
                  .toList();
          parts.put(name.substring(0, 10), Files.size(file) + " bytes " + rows);
        }
      }
    }
    return parts;
  }
}

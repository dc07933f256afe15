package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.TreeMap;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.api.java.UDF1;
import org.apache.spark.sql.functions;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.Metadata;
import org.apache.spark.sql.types.MetadataBuilder;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.api.parallel.Isolated;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.InputFailures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.datasets.tokens.TokenSource;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;
import org.sparkmoe.job.run.Runs.Way;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.BackendSelector;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.plan.Reduction;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;

/** What a run leaves behind: every table, the manifest, and nothing else. */
@Isolated("looks at what all of the session has cached")
@ExtendWith(LocalSpark.class)
final class ResultTablesTest {
  private static final Fixtures.Block BLOCK = new Fixtures.Block("olmoe", 1, "model.layers.1.mlp");
  private static final int EXPERTS = 16;
  private static final int TOP_K = 4;

  /** Few, so that some experts get none. */
  private static final int TOKENS = 3;

  private static final Way EP = new Way(Backend.SCALAR, 3);
  private static final Way REPLICATED = new Way(Backend.VECTOR, 0);

  @TempDir private static Path inputs;
  @TempDir private Path folder;

  @BeforeAll
  static void makeTokens(SparkSession spark) {
    MoeFunctionCatalog.register(spark);
    Dataset<Row> f32 = Runs.input(spark, BLOCK).filter("token_id < " + TOKENS).coalesce(1);
    Dataset<Row> arrays = f32.selectExpr("token_id", "moe.decode(hidden, 'f32') AS hidden");
    arrays.write().parquet(inputs.resolve("arrays").toString());
    arrays
        .selectExpr("token_id", "moe.encode(hidden, 'bf16') AS hidden")
        .write()
        .parquet(inputs.resolve("bf16").toString());
  }

  private static TokenOptions arrays() {
    return TokenOptions.of(inputs.resolve("arrays").toString());
  }

  private static TokenOptions bf16() {
    return TokenOptions.of(inputs.resolve("bf16").toString()).withHiddenDtype(DType.BF16);
  }

  private static StructType schema(SparkSession spark, Path run, String table) {
    return Runs.table(spark, run, table).schema();
  }

  private static Metadata moeDtype(StructType schema) {
    Metadata all = schema.apply("output").metadata();
    return all.contains("moe.dtype")
        ? new MetadataBuilder().putString("moe.dtype", all.getString("moe.dtype")).build()
        : Metadata.empty();
  }

  @Test
  void expertParallelTables(SparkSession spark) throws IOException {
    Path run = folder.resolve("run");
    RunSummary summary = Runs.run(spark, Runs.request(BLOCK, bf16(), run, EP));

    StructType outputs = schema(spark, run, "outputs");
    assertThat(outputs.simpleString())
        .isEqualTo("struct<token_id:bigint,output:binary,error:string>");
    assertThat(moeDtype(outputs).getString("moe.dtype")).isEqualTo("bf16");
    assertThat(Runs.outputs(spark, run))
        .hasSize(TOKENS)
        .allSatisfy((id, output) -> assertThat(output).hasSize(2 * 64));
    assertRoutes(spark, run);
    assertExpertStats(spark, run, true);
    assertThat(schema(spark, run, "errors").simpleString())
        .isEqualTo("struct<token_id:bigint,stage:string,reason:string>");
    assertThat(Runs.table(spark, run, "errors").count()).isZero();
    assertManifest(run, summary, "ep");
    assertFiles(run);
  }

  @Test
  void replicatedTables(SparkSession spark) throws IOException {
    Path run = folder.resolve("run");
    RunSummary summary = Runs.run(spark, Runs.request(BLOCK, arrays(), run, REPLICATED));

    assertThat(schema(spark, run, "outputs").simpleString())
        .isEqualTo("struct<token_id:bigint,output:array<float>,error:string>");
    assertThat(
            Runs.table(spark, run, "outputs")
                .filter(
                    "size(output) = 64 AND error IS NULL AND NOT exists(output, x -> x IS NULL)")
                .count())
        .isEqualTo(TOKENS);
    assertRoutes(spark, run);
    assertExpertStats(spark, run, false);
    assertManifest(run, summary, "replicated");
    assertFiles(run);
  }

  private static void assertRoutes(SparkSession spark, Path run) {
    Dataset<Row> routes = Runs.table(spark, run, "routes");
    assertThat(routes.schema().simpleString())
        .isEqualTo("struct<token_id:bigint,topk_slot:int,expert_id:int,topk_weight:float>");
    Map<Long, List<Row>> byToken = new TreeMap<>();
    routes
        .orderBy("token_id", "topk_slot")
        .collectAsList()
        .forEach(r -> byToken.computeIfAbsent(r.getLong(0), absent -> new ArrayList<>()).add(r));
    assertThat(byToken).hasSize(TOKENS);
    byToken.forEach(
        (token, slots) -> {
          assertThat(slots).extracting(row -> row.getInt(1)).containsExactly(0, 1, 2, 3);
          assertThat(slots)
              .extracting(row -> row.getInt(2))
              .doesNotHaveDuplicates()
              .allMatch(expert -> expert >= 0 && expert < EXPERTS);
          // best first, and not normalized in this family
          assertThat(slots)
              .extracting(row -> row.getFloat(3))
              .isSortedAccordingTo(java.util.Comparator.reverseOrder())
              .allMatch(weight -> weight > 0 && weight < 1);
        });
  }

  private static void assertExpertStats(SparkSession spark, Path run, boolean ep) {
    Map<Integer, Long> tokens = new HashMap<>();
    Map<Integer, Double> mass = new HashMap<>();
    for (Row route : Runs.table(spark, run, "routes").collectAsList()) {
      tokens.merge(route.getInt(2), 1L, Long::sum);
      mass.merge(route.getInt(2), (double) route.getFloat(3), Double::sum);
    }
    List<Row> stats = Runs.table(spark, run, "expert_stats").orderBy("expert_id").collectAsList();
    assertThat(stats.getFirst().schema().simpleString())
        .isEqualTo(
            "struct<expert_id:int,lane:int,copies:int,tokens:bigint,share:double,weight_mass:double,kernel_ms:double>");
    assertThat(stats).hasSize(EXPERTS);
    double shares = 0;
    for (int expert = 0; expert < EXPERTS; expert++) {
      Row row = stats.get(expert);
      long expected = tokens.getOrDefault(expert, 0L);
      assertThat(row.getInt(0)).isEqualTo(expert);
      // linear placement of 16 experts on 3 lanes
      assertThat(row.get(1)).isEqualTo(ep ? (Object) (expert < 6 ? 0 : expert < 11 ? 1 : 2) : null);
      assertThat(row.get(2)).isEqualTo(ep ? 1 : null);
      assertThat(row.getLong(3)).isEqualTo(expected);
      assertThat(row.getDouble(4)).isEqualTo((double) expected / (TOKENS * TOP_K));
      assertThat(row.getDouble(5)).isCloseTo(mass.getOrDefault(expert, 0.0), within(1e-8));
      assertThat(row.getDouble(6) > 0).as("kernel_ms of expert %d", expert).isEqualTo(expected > 0);
      shares += row.getDouble(4);
    }
    assertThat(shares).isCloseTo(1, within(1e-12));
    assertThat(tokens.size()).as("some experts are unused").isLessThan(EXPERTS);
  }

  private static void assertManifest(Path run, RunSummary summary, String mode) throws IOException {
    JsonNode manifest = new ObjectMapper().readTree(run.resolve("manifest.json").toFile());
    assertThat(manifest.at("/written").asText()).matches("\\d{4}-\\d\\d-\\d\\dT.*Z");
    assertThat(manifest.at("/versions/spark").asText()).startsWith("4.");
    assertThat(manifest.at("/versions/java").asText()).isEqualTo(Runtime.version().toString());
    assertThat(manifest.at("/versions/spark-moe").asText()).isNotBlank();
    assertThat(manifest.at("/model/checkpoint").asText()).contains("olmoe");
    assertThat(manifest.at("/model/family").asText()).isEqualTo("olmoe");
    assertThat(manifest.at("/model/layer").asInt()).isEqualTo(1);
    assertThat(manifest.at("/model/module").asText()).isEqualTo(BLOCK.module());
    assertThat(manifest.at("/model/fingerprint").asText()).matches("[0-9a-f]{64}");
    assertThat(manifest.at("/model/shape").toString())
        .isEqualTo("{\"hidden\":64,\"experts\":16,\"expert_width\":48,\"top_k\":4}");
    assertThat(manifest.at("/options/input").asText())
        .isEqualTo(summary.plan().request().tokens().path());
    assertThat(manifest.at("/options/dispatch").asText()).isEqualTo(mode);
    assertThat(manifest.at("/options/placement").asText()).isEqualTo("linear");
    assertThat(manifest.at("/backend/chosen").asText())
        .isEqualTo(summary.plan().backend().backend().option());
    assertThat(manifest.at("/dispatch/mode").asText()).isEqualTo(mode);
    assertThat(manifest.at("/dispatch/lanes").asInt()).isEqualTo(mode.equals("ep") ? 3 : 0);
    assertThat(manifest.at("/dispatch/estimates")).hasSize(2);
    if (mode.equals("ep")) {
      for (String loads : List.of("/lanes/loads", "/lanes/loads_linear")) {
        double sum = 0;
        for (JsonNode load : manifest.at(loads)) {
          sum += load.asDouble();
        }
        assertThat(manifest.at(loads)).as(loads).hasSize(3);
        assertThat(sum).as(loads).isEqualTo(TOKENS * TOP_K);
      }
    }
    assertThat(manifest.at("/counts/rows").asLong()).isEqualTo(TOKENS);
    assertThat(manifest.at("/counts/tokens").asLong()).isEqualTo(TOKENS);
    assertThat(manifest.at("/counts/errors").asLong()).isZero();
    assertThat(manifest.at("/counts/routes").asLong()).isEqualTo(TOKENS * TOP_K);
    List<String> stages = new ArrayList<>();
    manifest.at("/stages").forEach(stage -> stages.add(stage.at("/stage").asText()));
    assertThat(stages)
        .containsExactlyElementsOf(
            mode.equals("ep")
                ? List.of("route", "tables", "dispatch", "experts", "combine")
                : List.of("route", "tables", "experts"));
    assertThat(manifest.at("/seconds").asDouble()).isPositive();
    JsonNode experts = manifest.at("/stages").get(stages.indexOf("experts"));
    assertThat(experts.at("/kernel_rows").asLong()).isEqualTo(TOKENS * TOP_K);
    assertThat(experts.at("/padded_rows").asLong()).isNotNegative();
    assertThat(experts.at("/padding").asDouble())
        .isEqualTo(experts.at("/padded_rows").asDouble() / (TOKENS * TOP_K));
    assertThat(experts.at("/kernel_ms").asDouble()).isPositive();
    assertThat(experts.at("/gflops").asDouble()).isPositive();
    String reading = mode.equals("ep") ? "dispatch" : "experts";
    assertThat(manifest.at("/stages").get(stages.indexOf(reading)).at("/tokens").asLong())
        .isEqualTo(TOKENS);
    assertThat(summary.output()).isEqualTo(run.toString());
  }

  private void assertFiles(Path run) throws IOException {
    assertThat(visible(run))
        .containsExactlyInAnyOrder("outputs", "routes", "expert_stats", "errors", "manifest.json");
    for (String table : List.of("outputs", "routes", "expert_stats", "errors")) {
      assertThat(run.resolve(table).resolve("_SUCCESS")).exists();
    }
    assertOnly(run);
  }

  private static List<String> visible(Path run) throws IOException {
    try (Stream<Path> files = Files.list(run)) {
      return files.map(f -> f.getFileName().toString()).filter(f -> !f.startsWith(".")).toList();
    }
  }

  /** No staging folder, no earlier run beside. */
  private void assertOnly(Path run) throws IOException {
    try (Stream<Path> files = Files.list(folder)) {
      assertThat(files).containsExactly(run);
    }
  }

  /** As a chain of layers goes: the next run reads the column and finds its dtype by itself. */
  @ParameterizedTest
  @ValueSource(booleans = {true, false})
  void outputsAreInputs(boolean binary, SparkSession spark) {
    Path first = folder.resolve("first");
    Runs.run(spark, Runs.request(BLOCK, binary ? bf16() : arrays(), first, EP));
    TokenOptions chained =
        TokenOptions.of(first.resolve("outputs").toString()).withColumns("token_id", "output");
    Path second = folder.resolve("second");

    RunSummary summary = Runs.run(spark, Runs.request(BLOCK, chained, second, REPLICATED));

    assertThat(summary.errors()).isZero();
    assertThat(summary.tokens()).isEqualTo(TOKENS);
    assertThat(schema(spark, second, "outputs")).isEqualTo(schema(spark, first, "outputs"));
    if (binary) {
      assertThat(Runs.outputs(spark, second))
          .allSatisfy((id, output) -> assertThat(output).hasSize(2 * 64));
    }
  }

  @Test
  void overwriteReplacesTheWholeRun(SparkSession spark) throws IOException {
    Path run = folder.resolve("run");
    Runs.run(spark, Runs.request(BLOCK, bf16(), run, EP));
    Files.writeString(run.resolve("stray.txt"), "of the first run");

    Runs.run(spark, Runs.request(BLOCK, arrays(), run, REPLICATED));

    assertFiles(run);
    assertThat(schema(spark, run, "outputs").simpleString()).contains("array<float>");
  }

  @Test
  void anExtraSeesTheWholeRunBeforeItAppears(SparkSession spark) throws IOException {
    Path run = folder.resolve("run");
    Planner planner =
        Planner.of(Runs.request(BLOCK, arrays(), run, REPLICATED), spark.sparkContext());

    job(spark, planner, TokenSource.open(spark, arrays()))
        .run(
            staging -> {
              Path there = Path.of(staging.replaceFirst("^file:", ""));
              assertThat(run).doesNotExist();
              assertThat(Runs.table(spark, there, "expert_stats").count()).isEqualTo(EXPERTS);
              assertThat(there.resolve("manifest.json")).exists();
              try {
                Files.writeString(there.resolve("extra.txt"), "more");
              } catch (IOException e) {
                throw new UncheckedIOException(e);
              }
            });

    assertThat(run.resolve("extra.txt")).hasContent("more");
    assertOnly(run);
  }

  @Test
  void anEmptyFolderBecomesTheRun(SparkSession spark) throws IOException {
    Path run = Files.createDirectory(folder.resolve("run"));
    RunDirectory.check(run.toString(), new Configuration(), false);

    Runs.run(spark, Runs.request(BLOCK, arrays(), run, REPLICATED));

    assertFiles(run);
  }

  @Test
  void weightsThatVanishLeaveTheEarlierRun(SparkSession spark) throws IOException {
    Path model = Files.createDirectory(inputs.resolve("model"));
    Fixtures.copy(BLOCK.family(), model);
    Path run = folder.resolve("run");
    Runs.run(spark, Runs.request(BLOCK, arrays(), run, REPLICATED));
    Map<String, Long> before = times(run);
    JobRequest request =
        new JobRequest(
            model.toString(),
            BLOCK.layer(),
            arrays(),
            run.toString(),
            JobRequest.OutputFormat.PARQUET,
            BackendSelector.Request.only(Backend.SCALAR),
            Optional.of(DispatchMode.EP),
            OptionalInt.of(3),
            JobRequest.Placement.LINEAR,
            OptionalInt.empty(),
            Reduction.EXPERT_ORDER,
            JobRequest.ActivationQuant.AUTO,
            OptionalLong.empty(),
            true,
            OptionalLong.empty());
    Planner planner = Planner.of(request, spark.sparkContext());
    Files.delete(model.resolve("model.safetensors"));

    MoeInferenceJob job = job(spark, planner, TokenSource.open(spark, arrays()));

    assertThatThrownBy(job::run)
        .satisfies(
            thrown ->
                assertThat(InputFailures.find(thrown))
                    .map(InputException::getMessage)
                    .hasValueSatisfying(text -> assertThat(text).contains("model.safetensors")));
    assertThat(times(run)).isEqualTo(before);
    assertOnly(run);
    assertNothingCached(spark);
  }

  private static void assertNothingCached(SparkSession spark) {
    assertThat(JavaSparkContext.fromSparkContext(spark.sparkContext()).getPersistentRDDs())
        .isEmpty();
  }

  /** Fails after ids and routes, when some tables are already written. */
  @ParameterizedTest
  @ValueSource(ints = {0, 3})
  void aTaskThatThrowsLeavesTheEarlierRun(int lanes, SparkSession spark) throws IOException {
    Path run = folder.resolve("run");
    Runs.run(spark, Runs.request(BLOCK, arrays(), run, REPLICATED));
    Map<String, Long> before = times(run);
    AtomicInteger calls = CALLS;
    calls.set(0);
    UDF1<Long, Long> fragile =
        id -> {
          if (CALLS.incrementAndGet() > 2 * TOKENS + 1) {
            throw new IllegalStateException("the disk is on fire");
          }
          return id;
        };
    spark
        .udf()
        .register("fragile", functions.udf(fragile, DataTypes.LongType).asNondeterministic());
    TokenTable table = TokenSource.open(spark, arrays());
    TokenTable failing =
        new TokenTable(
            table.rows().selectExpr("fragile(token_id) AS token_id", "hidden"),
            table.format(),
            table.encoding(),
            table.keptColumns(),
            false,
            table.width(),
            table.path());
    JobRequest request = Runs.request(BLOCK, arrays(), run, new Way(Backend.SCALAR, lanes));

    MoeInferenceJob job = job(spark, Planner.of(request, spark.sparkContext()), failing);

    assertThatThrownBy(job::run).hasStackTraceContaining("the disk is on fire");
    assertThat(calls.get()).isGreaterThan(2 * TOKENS);
    assertThat(times(run)).isEqualTo(before);
    try (Stream<Path> beside = Files.list(folder)) {
      assertThat(beside.filter(path -> !path.equals(run)))
          .as("what is finished, for --resume")
          .singleElement()
          .satisfies(kept -> assertThat(kept.resolve(".resume/state.json")).exists());
    }
    assertNothingCached(spark);
  }

  /** Tasks run in this JVM, so they count in one place. */
  private static final AtomicInteger CALLS = new AtomicInteger();

  private static MoeInferenceJob job(SparkSession spark, Planner planner, TokenTable table) {
    return new MoeInferenceJob(spark, planner, table, new Progress(System.err, false));
  }

  private static Map<String, Long> times(Path run) throws IOException {
    Map<String, Long> times = new TreeMap<>();
    try (Stream<Path> files = Files.walk(run)) {
      for (Path file : files.toList()) {
        times.put(file.toString(), Files.getLastModifiedTime(file).toMillis());
      }
    }
    return times;
  }
}

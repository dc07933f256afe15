package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataType;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.safetensors.SafetensorsFile;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.run.Runs.Way;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.testing.Rows;
import org.sparkmoe.udfs.tokens.Vectors;

/** Rows that cannot be scored: each is told once, and the others do not notice. */
@ExtendWith(LocalSpark.class)
final class BadRowsTest {
  private static final Fixtures.Block BLOCK =
      new Fixtures.Block("qwen2_moe", 1, "model.layers.1.mlp");
  private static final int WIDTH = 64;
  private static final int GOOD = 20;
  private static final int TOP_K = 4;
  private static final float[] VALUES = values();

  private static final StructType META =
      new StructType()
          .add("doc", DataTypes.StringType)
          .add("spans", DataTypes.createArrayType(DataTypes.IntegerType))
          .add("at", DataTypes.TimestampType);

  @TempDir private Path folder;

  /** How the hidden column holds its vectors. */
  enum Form {
    ARRAY {
      @Override
      DataType type() {
        return DataTypes.createArrayType(DataTypes.FloatType);
      }

      @Override
      Object of(float... values) {
        return IntStream.range(0, values.length).mapToObj(i -> values[i]).toList();
      }
    },
    BINARY {
      @Override
      DataType type() {
        return DataTypes.BinaryType;
      }

      @Override
      Object of(float... values) {
        return Vectors.encode(values, 0, values.length);
      }
    };

    abstract DataType type();

    abstract Object of(float... values);
  }

  /** A row and why it is bad; null where it is good. */
  private record Token(Long id, Object hidden, String reason) {
    private Row row() {
      String text = "of " + id;
      Row meta =
          id == null || id % 3 == 0
              ? null
              : RowFactory.create(
                  text,
                  List.of(id.intValue(), 7),
                  java.sql.Timestamp.from(
                      java.time.Instant.ofEpochSecond(1_700_000_000L + id % 1000)));
      return RowFactory.create(id, hidden, meta, text);
    }
  }

  private static float[] values() {
    try (SafetensorsFile reference = Fixtures.reference(BLOCK.family())) {
      return Rows.floats(reference.data(BLOCK.module() + ".input").asSlice(0, 4L * GOOD * WIDTH));
    }
  }

  private static float[] vector(long id) {
    int from = (int) id % GOOD * WIDTH;
    return Arrays.copyOfRange(VALUES, from, from + WIDTH);
  }

  private static List<Token> good(Form form) {
    return IntStream.range(0, GOOD)
        .mapToObj(id -> new Token((long) id, form.of(vector(id)), null))
        .toList();
  }

  private static List<Token> bad(Form form) {
    List<Token> tokens = new ArrayList<>();
    tokens.add(new Token(100L, null, "hidden is null"));
    tokens.add(new Token(101L, form.of(new float[WIDTH - 1]), "hidden has 63 values, expected 64"));
    tokens.add(new Token(102L, form.of(new float[WIDTH + 1]), "hidden has 65 values, expected 64"));
    tokens.add(new Token(103L, form.of(), "hidden has 0 values, expected 64"));
    tokens.add(new Token(104L, form.of(spoiled(3, Float.NaN)), "hidden value 3 is NaN"));
    tokens.add(
        new Token(
            105L, form.of(spoiled(63, Float.POSITIVE_INFINITY)), "hidden value 63 is Infinity"));
    tokens.add(
        new Token(
            106L, form.of(spoiled(0, Float.NEGATIVE_INFINITY)), "hidden value 0 is -Infinity"));
    tokens.add(new Token(null, form.of(vector(1)), "token_id is null"));
    tokens.add(new Token(null, null, "token_id is null"));
    for (long id : new long[] {110, 110, 111, 111, 111, Long.MIN_VALUE, Long.MIN_VALUE}) {
      tokens.add(new Token(id, form.of(vector(Math.abs(id % 100))), "token_id is not unique"));
    }
    // one id, two rows, only one of them readable
    tokens.add(new Token(112L, form.of(vector(2)), "token_id is not unique"));
    tokens.add(new Token(112L, null, "hidden is null"));
    if (form == Form.BINARY) {
      tokens.add(
          new Token(107L, new byte[255], "hidden has 255 bytes, expected 256 (64 values of F32)"));
    } else {
      List<Float> holed = new ArrayList<>(Collections.nCopies(WIDTH, 1f));
      holed.set(5, null);
      tokens.add(new Token(107L, holed, "hidden value 5 is NaN"));
    }
    return tokens;
  }

  private static float[] spoiled(int at, float value) {
    float[] values = vector(0);
    values[at] = value;
    return values;
  }

  /** Two files: the bad ones fill the first, the rest is mixed into the good ones. */
  private static List<Token> mixed(Form form) {
    List<Token> bad = new ArrayList<>(bad(form));
    List<Token> tokens = new ArrayList<>(bad.subList(0, bad.size() - 1));
    tokens.addAll(good(form));
    tokens.add(GOOD / 2 + bad.size(), bad.getLast());
    return tokens;
  }

  private String parquet(SparkSession spark, Form form, String name, List<Token> tokens) {
    StructType schema =
        new StructType()
            .add("token_id", DataTypes.LongType)
            .add("hidden", form.type())
            .add("me.ta", META)
            .add("a name", DataTypes.StringType);
    String path = folder.resolve(name).toString();
    spark.createDataFrame(tokens.stream().map(Token::row).toList(), schema).write().parquet(path);
    return path;
  }

  @ParameterizedTest
  @CsvSource({
    "ARRAY, 0, true",
    "ARRAY, 1, true",
    "ARRAY, 3, false",
    "BINARY, 0, false",
    "BINARY, 1, false",
    "BINARY, 3, true",
  })
  void badRowsAreToldAndTheOthersScored(Form form, int lanes, boolean keep, SparkSession spark)
      throws IOException {
    Way way = new Way(Backend.SCALAR, lanes);
    Path alone = folder.resolve("alone");
    Runs.run(
        spark,
        Runs.request(BLOCK, TokenOptions.of(parquet(spark, form, "good", good(form))), alone, way));
    List<Token> tokens = mixed(form);
    TokenOptions options = TokenOptions.of(parquet(spark, form, "mixed", tokens));
    Path run = folder.resolve("run");

    RunSummary summary =
        Runs.run(
            spark,
            Runs.request(
                BLOCK, keep ? options.withKeepColumns("me.ta", "a name") : options, run, way));

    assertOutputs(spark, run, tokens, keep);
    assertThat(goodOutputs(spark, run)).isEqualTo(goodOutputs(spark, alone)).hasSize(GOOD);
    assertErrors(spark, run, tokens);
    assertThat(routes(spark, run)).isEqualTo(routes(spark, alone)).hasSize(GOOD * TOP_K);
    assertCounts(run, summary, GOOD, tokens.size() - GOOD);
  }

  @ParameterizedTest
  @EnumSource(Form.class)
  void nothingButBadRows(Form form, SparkSession spark) throws IOException {
    List<Token> tokens = bad(form);
    TokenOptions options = TokenOptions.of(parquet(spark, form, "bad", tokens));
    for (int lanes : new int[] {0, 3}) {
      Path run = folder.resolve("run" + lanes);

      RunSummary summary =
          Runs.run(
              spark,
              Runs.request(
                  BLOCK,
                  options.withKeepColumns("me.ta", "a name"),
                  run,
                  new Way(Backend.VECTOR, lanes)));

      assertOutputs(spark, run, tokens, true);
      assertErrors(spark, run, tokens);
      assertThat(routes(spark, run)).isEmpty();
      assertThat(Runs.table(spark, run, "expert_stats").filter("tokens <> 0 OR share <> 0").count())
          .isZero();
      assertCounts(run, summary, 0, tokens.size());
    }
  }

  /** One row per row of the input, with its own columns. */
  private static void assertOutputs(
      SparkSession spark, Path run, List<Token> tokens, boolean keep) {
    List<String> expected =
        tokens.stream()
            .map(t -> "%s %s %s".formatted(t.id, t.reason, keep ? kept(t.row(), 2) : ""))
            .sorted()
            .toList();
    List<Row> rows = Runs.table(spark, run, "outputs").collectAsList();
    assertThat(
            rows.stream()
                .map(row -> "%s %s %s".formatted(row.get(0), row.get(2), keep ? kept(row, 3) : ""))
                .sorted())
        .containsExactlyElementsOf(expected);
    assertThat(rows).allMatch(row -> row.isNullAt(1) != row.isNullAt(2));
  }

  private static String kept(Row row, int from) {
    Row meta = row.getAs(from);
    if (meta == null) {
      return "null " + row.get(from + 1);
    }
    List<?> spans = meta.get(1) instanceof List<?> given ? given : meta.getList(1);
    return meta.get(0) + " " + spans + " " + meta.get(2) + " " + row.get(from + 1);
  }

  private static SortedMap<Long, String> goodOutputs(SparkSession spark, Path run) {
    SortedMap<Long, String> outputs = new TreeMap<>();
    for (Row row : Runs.table(spark, run, "outputs").filter("error IS NULL").collectAsList()) {
      Object output = row.get(1);
      String text = output instanceof byte[] b ? Arrays.toString(b) : row.getList(1).toString();
      assertThat(outputs.put(row.getLong(0), text)).isNull();
    }
    return outputs;
  }

  private static void assertErrors(SparkSession spark, Path run, List<Token> tokens) {
    assertThat(
            Runs.table(spark, run, "errors").collectAsList().stream()
                .map(row -> row.get(0) + " " + row.get(1) + " " + row.get(2))
                .sorted())
        .containsExactlyElementsOf(
            tokens.stream()
                .filter(t -> t.reason != null)
                .map(t -> t.id + " read " + t.reason)
                .sorted()
                .toList());
  }

  private static Set<Row> routes(SparkSession spark, Path run) {
    return Runs.table(spark, run, "routes").collectAsList().stream().collect(Collectors.toSet());
  }

  private static void assertCounts(Path run, RunSummary summary, int good, int bad)
      throws IOException {
    JsonNode counts =
        new ObjectMapper().readTree(run.resolve("manifest.json").toFile()).get("counts");
    assertThat(counts.toString())
        .isEqualTo(
            "{\"rows\":%d,\"tokens\":%d,\"errors\":%d,\"routes\":%d}"
                .formatted(good + bad, good, bad, good * TOP_K));
    assertThat(summary.rows()).isEqualTo(good + bad);
    assertThat(summary.tokens()).isEqualTo(good);
    assertThat(summary.errors()).isEqualTo(bad);
    assertThat(summary.routes()).isEqualTo((long) good * TOP_K);
  }
}

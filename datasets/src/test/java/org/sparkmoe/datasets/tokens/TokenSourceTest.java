package org.sparkmoe.datasets.tokens;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.FixedSizeBinaryVector;
import org.apache.arrow.vector.types.TimeUnit;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.hadoop.conf.Configuration;
import org.apache.parquet.example.data.Group;
import org.apache.parquet.example.data.simple.SimpleGroup;
import org.apache.parquet.hadoop.ParquetWriter;
import org.apache.parquet.hadoop.example.ExampleParquetWriter;
import org.apache.parquet.hadoop.example.GroupWriteSupport;
import org.apache.parquet.schema.MessageType;
import org.apache.parquet.schema.MessageTypeParser;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.arrow.ArrowFixture;
import org.sparkmoe.datasets.tensor.TensorFixture;
import org.sparkmoe.kernels.tensor.DType;

@ExtendWith(LocalSpark.class)
final class TokenSourceTest {
  private static final String FLOATS = "cast(array(id, id + 0.5) as array<float>)";

  private final SparkSession spark;
  @TempDir Path folder;

  TokenSourceTest(SparkSession spark) {
    this.spark = spark;
  }

  @Test
  void readsParquetOfFloats() {
    parquet("id as token_id", "'x' || id as text", FLOATS + " as hidden");

    TokenTable table = open(options().withKeepColumns("text"));

    assertThat(table.rows().columns()).containsExactly("token_id", "hidden", "text");
    assertThat(table.rows().count()).isEqualTo(100);
    assertThat(table.format()).isEqualTo(InputFormat.PARQUET);
    assertThat(table.encoding()).isEqualTo(new HiddenEncoding.FloatArray());
    assertThat(table.keptColumns()).containsExactly("text");
    assertThat(table.uniqueIds()).isFalse();
    assertThat(table.width()).isEmpty();
    assertThatCode(() -> table.requireWidth(7)).doesNotThrowAnyException();
  }

  @ParameterizedTest
  @ValueSource(strings = {"tinyint", "smallint", "int", "bigint"})
  void widensTokenIds(String type) {
    parquet("cast(id as " + type + ") as token_id", FLOATS + " as hidden");

    TokenTable table = open(options());

    assertThat(table.rows().schema().apply("token_id").dataType()).isEqualTo(DataTypes.LongType);
    assertThat(table.rows().orderBy("token_id").first().getLong(0)).isZero();
  }

  /** Ids of uint32, and the rows of a fixed-size list, which Parquet has as lists. */
  @Test
  void readsWhatPyarrowWrites() throws IOException {
    MessageType schema =
        MessageTypeParser.parseMessageType(
            """
            message schema {
              optional int32 token_id (INTEGER(32, false));
              optional group hidden (LIST) {
                repeated group list {
                  optional float element;
                }
              }
            }
            """);
    Configuration conf = new Configuration();
    GroupWriteSupport.setSchema(schema, conf);
    try (ParquetWriter<Group> writer =
        ExampleParquetWriter.builder(new org.apache.hadoop.fs.Path(path("p")))
            .withConf(conf)
            .build()) {
      for (long id : new long[] {7, 0xFFFFFFFFL}) {
        Group row = new SimpleGroup(schema).append("token_id", (int) id);
        Group hidden = row.addGroup("hidden");
        for (float value : new float[] {1.5f, id}) {
          hidden.addGroup("list").append("element", value);
        }
        writer.write(row);
      }
    }

    List<Row> rows = open(options()).rows().orderBy("token_id").collectAsList();

    assertThat(rows).extracting(row -> row.getLong(0)).containsExactly(7L, 0xFFFFFFFFL);
    assertThat(rows.getFirst().<Float>getList(1)).containsExactly(1.5f, 7f);
  }

  @Test
  void narrowsDoubles() {
    parquet("id as token_id", "cast(array(id, 0.1) as array<double>) as hidden");

    Row row = open(options()).rows().orderBy("token_id").first();

    assertThat(row.<Float>getList(1)).containsExactly(0f, 0.1f);
  }

  @Test
  void keepsNullsForLaterChecks() {
    parquet(
        "nullif(id, 3) as token_id",
        "if(id = 4, null, if(id = 5, array(cast(null as float)), array(1f))) as hidden");

    List<Row> rows = open(options()).rows().collectAsList();

    assertThat(rows.stream().filter(row -> row.isNullAt(0))).hasSize(1);
    assertThat(rows.stream().filter(row -> row.isNullAt(1))).hasSize(1);
    assertThat(rows.stream().filter(row -> !row.isNullAt(1) && row.getList(1).get(0) == null))
        .hasSize(1);
  }

  @Test
  void takesTheDtypeOfBinariesFromTheOptionThenTheFileThenF32() {
    parquet("id as token_id", "cast('abcd' as binary) as hidden");
    arrow("f16");

    assertThat(open(options()).encoding()).isEqualTo(new HiddenEncoding.Binary(DType.F32));
    assertThat(open(options().withHiddenDtype(DType.BF16)).encoding())
        .isEqualTo(new HiddenEncoding.Binary(DType.BF16));
    assertThat(open(arrowOptions()).encoding()).isEqualTo(new HiddenEncoding.Binary(DType.F16));
    assertThat(open(arrowOptions().withHiddenDtype(DType.F32)).encoding())
        .isEqualTo(new HiddenEncoding.Binary(DType.F32));
  }

  @Test
  void knowsTheWidthOfFixedSizeColumns() {
    arrow("f16");

    TokenTable table = open(arrowOptions());

    assertThat(table.width()).hasValue(6);
    assertThat(open(arrowOptions().withHiddenDtype(DType.F32)).width()).hasValue(3);
    assertThatCode(() -> table.requireWidth(6)).doesNotThrowAnyException();
    assertThatThrownBy(() -> table.requireWidth(8))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("have 6 elements, the layer takes 8");
  }

  @Test
  void readsATensor() {
    String path = tensor();

    TokenTable table = open(TokenOptions.of(path));

    assertThat(table.format()).isEqualTo(InputFormat.SAFETENSORS);
    assertThat(table.encoding()).isEqualTo(new HiddenEncoding.Binary(DType.BF16));
    assertThat(table.uniqueIds()).isTrue();
    assertThat(table.width()).hasValue(8);
    assertThat(table.rows().count()).isEqualTo(20);
    refused(TokenOptions.of(path).withHiddenDtype(DType.F16), "hidden dtype f16", "tensor is bf16");
  }

  @Test
  void findsTheFormatByContent() throws IOException {
    parquet("id as token_id", FLOATS + " as hidden");
    arrow("f16");
    Files.move(folder.resolve("a.arrow"), folder.resolve("a.data"));
    Path bare = Files.createDirectory(folder.resolve("bare"));
    try (var files = Files.newDirectoryStream(folder.resolve("p"), "*.parquet")) {
      Files.move(files.iterator().next(), bare.resolve("part"));
    }

    assertThat(open(TokenOptions.of(folder + "/a.data")).format()).isEqualTo(InputFormat.ARROW);
    assertThat(open(TokenOptions.of(bare.toString())).format()).isEqualTo(InputFormat.PARQUET);
    Files.writeString(folder.resolve("text"), "hello hello");
    refused(TokenOptions.of(folder + "/text"), "cannot tell the format", "text");
  }

  @Test
  void limitsToTheLowestIds() {
    parquet("99 - id as token_id", FLOATS + " as hidden");

    TokenTable table = open(options().withLimit(3));

    assertThat(table.rows().collectAsList().stream().map(row -> row.getLong(0)))
        .containsExactlyInAnyOrder(0L, 1L, 2L);
    assertThat(open(options().withLimit(1000)).rows().count()).isEqualTo(100);
  }

  @Test
  void readsColumnsWhoseNamesNeedQuotes() {
    parquet("id as `token.id`", FLOATS + " as `a``b.c`", "id as `k.x`");

    TokenTable table = open(options().withColumns("token.id", "a`b.c").withKeepColumns("k.x"));

    assertThat(table.rows().columns()).containsExactly("token_id", "hidden", "k.x");
    assertThat(table.rows().count()).isEqualTo(100);
  }

  @Test
  void refusesColumnsThatDoNotFit() {
    parquet(
        "id as token_id",
        "cast(id as double) as real",
        FLOATS + " as hidden",
        "array(array(1f)) as nested",
        "id as output");

    refused(options().withColumns("id", "hidden"), "no token id column \"id\"", "\"real\"");
    refused(options().withColumns("token_id", "h"), "no hidden column \"h\"", "\"hidden\"");
    refused(options().withColumns("real", "hidden"), "is DOUBLE; use BIGINT");
    refused(options().withColumns("token_id", "nested"), "is ARRAY<ARRAY<FLOAT>>; use");
    refused(options().withHiddenDtype(DType.BF16), "hidden dtype bf16 does not fit");
    refused(options().withKeepColumns("missing"), "no kept column \"missing\"");
    assertThatCode(() -> open(options().withHiddenDtype(DType.F32))).doesNotThrowAnyException();
  }

  @ParameterizedTest
  @CsvSource({"Output", "error", "TOKEN_ID", "hidden"})
  void refusesKeptColumnsThatClash(String name) {
    assertThatThrownBy(() -> options().withKeepColumns(name))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("kept column " + name + " clashes");
  }

  @Test
  void refusesUnknownWordsAndUselessOptions() {
    assertThatThrownBy(() -> InputFormat.parse("csv"))
        .hasMessageContainingAll("input format csv is not read", "write the table as Parquet");
    assertThatThrownBy(() -> HiddenEncoding.parseDType("f8")).hasMessageContaining("unknown dtype");
    assertThatThrownBy(() -> options().withKeepColumns("a", "A")).hasMessageContaining("twice");
    assertThatThrownBy(() -> options().withLimit(0)).hasMessageContaining("limit 0 keeps no rows");
    assertThat(InputFormat.parse("Arrow")).isEqualTo(InputFormat.ARROW);
    assertThat(HiddenEncoding.parseDType("bfloat16")).isEqualTo(DType.BF16);
  }

  @Test
  void refusesInputsWithNothingInThem() throws IOException {
    refused(options(), "does not exist");
    refused(options().withFormat(InputFormat.PARQUET), "does not exist");
    refused(TokenOptions.of(folder.toString()), "is empty: no data files");
    spark.range(0).selectExpr("id as token_id", FLOATS + " as hidden").write().parquet(path("p"));
    refused(options(), "has no rows");
    Files.writeString(folder.resolve("broken.parquet"), "PAR1 but nothing else");
    refused(TokenOptions.of(path("broken.parquet")), "cannot read", "broken.parquet as parquet");
  }

  @Test
  void refusesUnsupportedArrowColumns() {
    ArrowFixture.file(
        folder.resolve("a.arrow"),
        List.of(
            ArrowFixture.field("token_id", new ArrowType.Timestamp(TimeUnit.SECOND, null)),
            ArrowFixture.field("hidden", ArrowType.Binary.INSTANCE)),
        1,
        (_, _) -> 1);
    refused(arrowOptions(), "token id column \"token_id\"", "Timestamp(SECOND, null)");
  }

  @Test
  void damageFoundInATaskIsToldInOneLine() throws IOException {
    arrow("f16");
    byte[] bytes = Files.readAllBytes(folder.resolve("a.arrow"));
    // The first message is the schema's; the next one is the batch's, whose prefix goes here.
    int schema = 8 + 8 + bytes[12] + 256 * bytes[13];
    bytes[schema + 4] = -1;
    Files.write(folder.resolve("a.arrow"), bytes);
    refused(arrowOptions(), "a.arrow is damaged");
  }

  private void refused(TokenOptions options, String... parts) {
    assertThatThrownBy(() -> open(options))
        .isInstanceOf(InputException.class)
        .hasMessageContainingAll(parts)
        .hasMessageNotContaining("\n");
  }

  private TokenTable open(TokenOptions options) {
    return TokenSource.open(spark, options);
  }

  private void parquet(String... expressions) {
    spark.range(0, 100, 1, 4).selectExpr(expressions).write().parquet(path("p"));
  }

  private void arrow(String dtype) {
    ArrowFixture.file(
        folder.resolve("a.arrow"),
        List.of(
            ArrowFixture.field("token_id", ArrowFixture.LONG),
            ArrowFixture.tagged("hidden", new ArrowType.FixedSizeBinary(12), dtype)),
        1,
        (root, _) -> {
          for (int row = 0; row < 5; row++) {
            ((BigIntVector) root.getVector(0)).setSafe(row, row);
            ((FixedSizeBinaryVector) root.getVector(1)).setSafe(row, ArrowFixture.bytes(row, 12));
          }
          return 5;
        });
  }

  private String tensor() {
    TensorFixture.write(
        folder.resolve("t.safetensors"), TensorFixture.counting("h", "BF16", 2, 4, 5, 8));
    return path("t.safetensors#h");
  }

  private String path(String name) {
    return folder + "/" + name;
  }

  private TokenOptions options() {
    return TokenOptions.of(path("p"));
  }

  private TokenOptions arrowOptions() {
    return TokenOptions.of(path("a.arrow"));
  }
}

package org.sparkmoe.job.run;

import static org.apache.spark.sql.functions.call_function;
import static org.apache.spark.sql.functions.col;
import static org.apache.spark.sql.functions.concat;
import static org.apache.spark.sql.functions.lit;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.SortedMap;
import java.util.TreeMap;
import java.util.stream.Stream;
import org.apache.spark.sql.Column;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.plan.DispatchMode;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.JobRequest.Placement;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.backend.BackendSelector;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.plan.Reduction;
import org.sparkmoe.udfs.sql.MoeFunctionCatalog;

/** The same input, model and options give the same bytes, however the work is cut. */
@ExtendWith(LocalSpark.class)
final class SameBytesTest {
  /** A gated shared expert, 12 experts, top 4. */
  private static final Fixtures.Block BLOCK =
      Fixtures.blocks().stream()
          .filter(block -> block.family().equals("qwen2_moe"))
          .findFirst()
          .orElseThrow();

  @TempDir private static Path folder;

  /** How the hidden column is written. */
  enum Encoding {
    BINARY(DType.F32),
    ARRAY(DType.F32),
    BF16(DType.BF16);

    private final DType dtype;

    Encoding(DType dtype) {
      this.dtype = dtype;
    }

    /** From an f32 BINARY column. */
    Column column() {
      Column floats = call_function("moe.decode", col("hidden"), lit("f32"));
      return switch (this) {
        case BINARY -> col("hidden");
        case ARRAY -> floats;
        case BF16 -> call_function("moe.encode", floats, lit("bf16"));
      };
    }
  }

  /** One way of cutting the work; 0 lanes stand for replicated. */
  private record Cut(int partitions, int lanes, Placement placement) {
    @Override
    public String toString() {
      return "%d partitions, %d lanes, %s".formatted(partitions, lanes, placement.option());
    }
  }

  @BeforeAll
  static void writeInputs(SparkSession spark) throws IOException {
    MoeFunctionCatalog.register(spark);
    for (Encoding encoding : Encoding.values()) {
      Dataset<Row> rows =
          Runs.input(spark, BLOCK)
              .select(
                  col("token_id"),
                  encoding.column().as("hidden"),
                  concat(lit("kept "), col("token_id")).as("name"));
      for (int partitions : new int[] {1, 3, 8}) {
        rows.repartition(partitions).write().parquet(input(encoding, partitions).toString());
      }
    }
  }

  @ParameterizedTest
  @EnumSource
  void howeverTheWorkIsCut(Encoding encoding, SparkSession spark) throws IOException {
    List<Cut> cuts = new ArrayList<>();
    for (int partitions : new int[] {1, 3, 8}) {
      cuts.add(new Cut(partitions, 0, Placement.LINEAR));
      cuts.add(new Cut(partitions, 2, Placement.LINEAR));
    }
    for (int lanes : new int[] {1, 3, 5}) {
      cuts.add(new Cut(3, lanes, Placement.LINEAR));
      cuts.add(new Cut(8, lanes, lanes == 5 ? Placement.BALANCED : Placement.ROUND_ROBIN));
    }
    SortedMap<Long, Row> first = null;
    List<byte[]> firstFiles = null;
    for (Cut cut : cuts) {
      Path run = folder.resolve(encoding + " " + cut);
      RunSummary summary =
          Runs.run(spark, request(input(encoding, cut.partitions()), run, cut, encoding));
      assertThat(summary.errors()).isZero();
      SortedMap<Long, Row> rows = rows(spark, run);
      first = first == null ? rows : first;
      assertSameRows(rows, first, cut);
      if (cut.lanes() > 0) {
        List<byte[]> files = files(run);
        firstFiles = firstFiles == null ? files : firstFiles;
        assertThat(files).as("files, %s", cut).hasSameSizeAs(firstFiles);
        for (int i = 0; i < files.size(); i++) {
          assertThat(files.get(i)).as("file %d, %s", i, cut).isEqualTo(firstFiles.get(i));
        }
      }
    }
  }

  @Test
  void arraysHoldWhatBinariesHold(SparkSession spark) {
    Cut cut = new Cut(3, 2, Placement.LINEAR);
    SortedMap<Long, Row> binary = run(spark, Encoding.BINARY, cut);
    SortedMap<Long, Row> array = run(spark, Encoding.ARRAY, cut);
    MoeFunctionCatalog.register(spark);
    assertThat(array.keySet()).isEqualTo(binary.keySet());
    array.forEach(
        (id, row) -> {
          List<Float> values = row.getList(1);
          ByteBuffer bytes = ByteBuffer.allocate(4 * values.size()).order(ByteOrder.LITTLE_ENDIAN);
          values.forEach(bytes::putFloat);
          assertThat(bytes.array()).as("token %d", id).isEqualTo((byte[]) binary.get(id).get(1));
        });
  }

  @Test
  void failedRowsAreTheSameToo(SparkSession spark) {
    Path damaged = folder.resolve("damaged");
    spark
        .read()
        .parquet(input(Encoding.BINARY, 3).toString())
        .selectExpr(
            "IF(token_id = 4, 5, token_id) AS token_id",
            "IF(token_id = 2, NULL, hidden) AS hidden",
            "name")
        .repartition(4)
        .write()
        .parquet(damaged.toString());
    List<String> first = null;
    for (int lanes : new int[] {0, 1, 3}) {
      Cut cut = new Cut(4, lanes, Placement.LINEAR);
      Path run = folder.resolve("damaged " + cut);
      RunSummary summary = Runs.run(spark, request(damaged, run, cut, Encoding.BINARY));
      assertThat(summary.errors()).isEqualTo(3);
      assertThat(Runs.table(spark, run, "errors").count()).isEqualTo(3);
      List<String> rows =
          Runs.table(spark, run, "outputs").collectAsList().stream()
              .map(SameBytesTest::text)
              .sorted()
              .toList();
      assertThat(rows.stream().filter(row -> row.contains("token_id is not unique"))).hasSize(2);
      assertThat(rows.stream().filter(row -> row.contains("hidden is null"))).hasSize(1);
      first = first == null ? rows : first;
      assertThat(rows).as("%s", cut).isEqualTo(first);
    }
  }

  private static SortedMap<Long, Row> run(SparkSession spark, Encoding encoding, Cut cut) {
    Path run = folder.resolve("again " + encoding);
    Runs.run(spark, request(input(encoding, cut.partitions()), run, cut, encoding));
    return rows(spark, run);
  }

  private static Path input(Encoding encoding, int partitions) {
    return folder.resolve("tokens-%s-%d".formatted(encoding, partitions));
  }

  private static JobRequest request(Path input, Path output, Cut cut, Encoding encoding) {
    TokenOptions options = TokenOptions.of(input.toString()).withKeepColumns("name");
    return new JobRequest(
        Fixtures.folder(BLOCK.family()).toString(),
        BLOCK.layer(),
        encoding == Encoding.ARRAY ? options : options.withHiddenDtype(encoding.dtype),
        output.toString(),
        JobRequest.OutputFormat.PARQUET,
        BackendSelector.Request.only(Backend.VECTOR),
        Optional.of(cut.lanes() == 0 ? DispatchMode.REPLICATED : DispatchMode.EP),
        cut.lanes() == 0 ? OptionalInt.empty() : OptionalInt.of(cut.lanes()),
        cut.placement(),
        OptionalInt.empty(),
        Reduction.EXPERT_ORDER,
        JobRequest.ActivationQuant.AUTO,
        OptionalLong.empty(),
        true,
        OptionalLong.empty());
  }

  private static SortedMap<Long, Row> rows(SparkSession spark, Path run) {
    SortedMap<Long, Row> rows = new TreeMap<>();
    for (Row row : Runs.table(spark, run, "outputs").collectAsList()) {
      rows.put(row.getLong(0), row);
    }
    return rows;
  }

  private static void assertSameRows(
      SortedMap<Long, Row> actual, SortedMap<Long, Row> expected, Cut cut) {
    assertThat(actual.keySet()).as("%s", cut).isEqualTo(expected.keySet());
    actual.forEach(
        (id, row) -> {
          assertThat(text(row)).as("%s, token %d", cut, id).isEqualTo(text(expected.get(id)));
          assertThat(row.getString(3)).isEqualTo("kept " + id);
        });
  }

  private static String text(Row row) {
    Object output = row.get(1);
    return "%s %s %s %s"
        .formatted(
            row.get(0),
            output instanceof byte[] bytes ? Arrays.toString(bytes) : output,
            row.get(2),
            row.get(3));
  }

  /** The part files in order of their numbers; their names are different every time. */
  private static List<byte[]> files(Path run) throws IOException {
    List<byte[]> contents = new ArrayList<>();
    try (Stream<Path> files = Files.list(run.resolve("outputs"))) {
      for (Path file : files.sorted().toList()) {
        if (file.getFileName().toString().startsWith("part-")) {
          contents.add(Files.readAllBytes(file));
        }
      }
    }
    return contents;
  }
}

package org.sparkmoe.datasets.arrow;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.LongStream;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.types.TimeUnit;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.DictionaryEncoding;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.arrow.vector.types.pojo.FieldType;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.InputException;
import org.sparkmoe.datasets.tokens.InputFailures;
import org.sparkmoe.datasets.tokens.LocalSpark;

/** Files, partitions and refusals of the Arrow source. */
@ExtendWith(LocalSpark.class)
final class ArrowSourceTest {
  private static final List<Field> IDS = List.of(ArrowFixture.field("id", ArrowFixture.LONG));

  private final SparkSession spark;
  @TempDir Path folder;

  ArrowSourceTest(SparkSession spark) {
    this.spark = spark;
  }

  @BeforeEach
  @AfterEach
  void nothingIsHeld() {
    assertThat(ArrowMemory.allocated()).isZero();
  }

  @Test
  void countsWithoutColumns() {
    ArrowFixture.file(path("a.arrow"), IDS, 4, (root, batch) -> fillIds(root, batch, 10));
    assertThat(load("a.arrow").count()).isEqualTo(40);
  }

  @Test
  void splitsNeitherLoseNorRepeatRows() {
    for (int file = 0; file < 5; file++) {
      int from = file * 7;
      ArrowFixture.file(
          path("part-" + file + ".arrow"), IDS, 7, (root, b) -> fillIds(root, from + b, 100));
    }
    for (String size : List.of("1", "1k", "3000", "1g")) {
      Dataset<Row> read =
          spark
              .read()
              .format(ArrowSource.NAME)
              .option(ReadOptions.MAX_PARTITION_BYTES, size)
              .load(folder.toString());
      assertThat(read.as(Encoders.LONG()).collectAsList())
          .as(size)
          .containsExactlyInAnyOrderElementsOf(LongStream.range(0, 3500).boxed().toList());
      assertThat(read.javaRDD().getNumPartitions()).isBetween(1, 35);
      if (size.equals("1")) {
        assertThat(read.javaRDD().getNumPartitions()).isEqualTo(35);
      }
    }
  }

  @Test
  void aTaskThatStopsEarlyFreesItsMemory() {
    ArrowFixture.file(path("a.arrow"), IDS, 50, (root, batch) -> fillIds(root, batch, 100));
    assertThat(load("a.arrow").limit(1).collectAsList()).hasSize(1);
  }

  @Test
  void takesFoldersAndGlobsAndSkipsOtherFiles() throws IOException {
    ArrowFixture.file(path("a.arrow"), IDS, 1, (root, _) -> fillIds(root, 0, 2));
    ArrowFixture.file(path("b.feather"), IDS, 1, (root, _) -> fillIds(root, 1, 2));
    Files.writeString(path("README.md"), "not data");
    Files.writeString(path("_tmp.arrow"), "not data");

    assertThat(load("").count()).isEqualTo(4);
    assertThat(load("*.feather").count()).isEqualTo(2);
    assertThat(load("[ab].*").count()).isEqualTo(4);
  }

  @Test
  void refusesUnsupportedColumnsOnlyWhenSelected() {
    Field dictionary =
        new Field(
            "words",
            new FieldType(
                true,
                new ArrowType.Int(32, true),
                new DictionaryEncoding(1, false, new ArrowType.Int(32, true))),
            List.of());
    List<Field> fields =
        List.of(
            ArrowFixture.field("time", new ArrowType.Timestamp(TimeUnit.NANOSECOND, null)),
            ArrowFixture.field(
                "pair", ArrowType.Struct.INSTANCE, ArrowFixture.field("x", ArrowFixture.LONG)),
            ArrowFixture.field("view", ArrowType.Utf8View.INSTANCE),
            ArrowFixture.field("id", ArrowFixture.LONG));
    assertThat(ArrowColumn.of(dictionary).readable()).isFalse();
    ArrowFixture.file(
        path("a.arrow"),
        fields,
        1,
        (root, _) -> {
          ((BigIntVector) root.getVector("id")).setSafe(0, 42);
          return 1;
        });

    assertThat(load("a.arrow").select("id").collectAsList().getFirst().get(0)).isEqualTo(42L);
    assertThatThrownBy(() -> load("a.arrow").select("time").collectAsList())
        .isInstanceOf(InputException.class)
        .hasMessageContaining("column \"time\"")
        .hasMessageContaining("Timestamp(NANOSECOND")
        .hasMessageNotContaining("\n");
  }

  @Test
  void refusesFilesThatDisagree() {
    ArrowFixture.file(path("a.arrow"), IDS, 1, (root, _) -> fillIds(root, 0, 2));
    ArrowFixture.file(
        path("b.arrow"),
        List.of(ArrowFixture.field("id", ArrowType.Utf8.INSTANCE)),
        1,
        (_, _) -> 0);

    assertThatThrownBy(() -> load(""))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("disagree on column 1")
        .hasMessageContaining("b.arrow has \"id\" Utf8")
        .hasMessageContaining("a.arrow has \"id\" Int(64, true)")
        .hasMessageNotContaining("\n");
  }

  @Test
  void refusesPathsWithNothingToRead() {
    assertThatThrownBy(() -> load("none.arrow"))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("none.arrow does not exist");
    assertThatThrownBy(() -> load(""))
        .isInstanceOf(InputException.class)
        .hasMessageContaining("has no Arrow files");
  }

  @Test
  void refusesBatchesOverTheMemoryLimit() {
    ArrowFixture.file(path("a.arrow"), IDS, 1, (root, _) -> fillIds(root, 0, 10_000));

    assertThatThrownBy(
            () ->
                spark
                    .read()
                    .format(ArrowSource.NAME)
                    .option(ArrowMemory.LIMIT_OPTION, "10k")
                    .load(path("a.arrow").toString())
                    .collectAsList())
        .extracting(failure -> InputFailures.find(failure).orElseThrow().getMessage())
        .asString()
        .contains("a.arrow needs more memory than memoryLimit=10240");
  }

  private static int fillIds(VectorSchemaRoot root, int batch, int rows) {
    BigIntVector ids = (BigIntVector) root.getVector("id");
    for (int row = 0; row < rows; row++) {
      ids.setSafe(row, (long) batch * rows + row);
    }
    return rows;
  }

  private Path path(String name) {
    return folder.resolve(name);
  }

  private Dataset<Row> load(String name) {
    return spark.read().format(ArrowSource.NAME).load(folder + "/" + name);
  }
}

package org.sparkmoe.datasets.arrow;

import static org.assertj.core.api.Assertions.assertThat;

import java.math.BigDecimal;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.sql.Date;
import java.time.Instant;
import java.time.LocalDateTime;
import java.util.List;
import org.apache.arrow.vector.BitVector;
import org.apache.arrow.vector.DateDayVector;
import org.apache.arrow.vector.DecimalVector;
import org.apache.arrow.vector.Float2Vector;
import org.apache.arrow.vector.Float4Vector;
import org.apache.arrow.vector.Float8Vector;
import org.apache.arrow.vector.IntVector;
import org.apache.arrow.vector.LargeVarCharVector;
import org.apache.arrow.vector.TimeStampMicroTZVector;
import org.apache.arrow.vector.TimeStampMicroVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.types.DateUnit;
import org.apache.arrow.vector.types.FloatingPointPrecision;
import org.apache.arrow.vector.types.TimeUnit;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.tokens.LocalSpark;

/** What columns of all types look like in Spark, and in its plans. */
@ExtendWith(LocalSpark.class)
final class ArrowColumnsTest {
  private final SparkSession spark;
  @TempDir Path folder;

  ArrowColumnsTest(SparkSession spark) {
    this.spark = spark;
  }

  @BeforeEach
  @AfterEach
  void nothingIsHeld() {
    assertThat(ArrowMemory.allocated()).isZero();
  }

  @Test
  void showsOrdinaryColumns() {
    ArrowFixture.file(path("a.arrow"), ordinary(), 1, ArrowColumnsTest::fillOrdinary);

    Row row = load("a.arrow").collectAsList().getFirst();

    assertThat(row.get(0)).isEqualTo(-7);
    assertThat(row.get(1)).isEqualTo("été");
    assertThat(row.get(2)).isEqualTo("large");
    assertThat(row.get(3)).isEqualTo(Math.PI);
    assertThat(row.get(4)).isEqualTo(true);
    assertThat(row.get(5)).isEqualTo(Date.valueOf("1970-01-11"));
    assertThat(row.getTimestamp(6).toInstant()).isEqualTo(Instant.ofEpochSecond(1, 5000));
    assertThat(row.get(7)).isEqualTo(LocalDateTime.of(1970, 1, 1, 0, 0, 2));
    assertThat(row.getDecimal(8)).isEqualByComparingTo("12.34");
    assertThat(row.getList(9)).isEqualTo(List.of(1.5, 2.5));
  }

  @Test
  void keepsNullsOfOrdinaryColumns() {
    ArrowFixture.file(path("a.arrow"), ordinary(), 1, (root, _) -> 3);

    List<Row> rows = load("a.arrow").collectAsList();

    assertThat(rows).hasSize(3);
    assertThat(rows.get(2).anyNull()).isTrue();
    for (int i = 0; i < ordinary().size(); i++) {
      assertThat(rows.get(2).isNullAt(i)).isTrue();
    }
  }

  @Test
  void readsNoRowsFromEmptyBatches() {
    ArrowFixture.file(path("a.arrow"), ordinary(), 2, (_, _) -> 0);
    assertThat(load("a.arrow").collectAsList()).isEmpty();
  }

  @Test
  void readsAFileWithoutBatches() {
    ArrowFixture.file(path("a.arrow"), ordinary(), 0, (_, _) -> 0);
    assertThat(load("a.arrow").count()).isZero();
  }

  @Test
  void aHalfListWithANullElementIsNull() {
    Field halves = ArrowFixture.list("h", ArrowType.List.INSTANCE, ArrowFixture.F16);
    ArrowFixture.file(
        path("a.arrow"),
        List.of(halves),
        1,
        (root, _) -> {
          ListVector list = (ListVector) root.getVector(0);
          Float2Vector elements = (Float2Vector) list.getDataVector();
          for (int row = 0; row < 3; row++) {
            int start = list.startNewValue(row);
            elements.setSafe(start, (short) row);
            elements.setNull(start + 1);
            if (row != 1) {
              elements.setSafe(start + 1, (short) row);
            }
            list.endValue(row, 2);
          }
          return 3;
        });

    List<Row> rows = load("a.arrow").collectAsList();

    assertThat(rows.stream().map(row -> row.isNullAt(0))).containsExactly(false, true, false);
    assertThat((byte[]) rows.get(2).get(0)).containsExactly(2, 0, 2, 0);
  }

  @Test
  void aFloatListKeepsItsNullElements() {
    Field floats = ArrowFixture.list("f", ArrowType.List.INSTANCE, ArrowFixture.F32);
    ArrowFixture.file(
        path("a.arrow"),
        List.of(floats),
        1,
        (root, _) -> {
          ListVector list = (ListVector) root.getVector(0);
          int start = list.startNewValue(0);
          ((Float4Vector) list.getDataVector()).setSafe(start, 1.5f);
          ((Float4Vector) list.getDataVector()).setNull(start + 1);
          list.endValue(0, 2);
          return 1;
        });

    Row row = load("a.arrow").collectAsList().getFirst();

    assertThat(row.<Float>getList(0)).containsExactly(1.5f, null);
  }

  @Test
  void plansColumnsAndReadsOnlyThoseNeeded() {
    ArrowFixture.file(path("a.arrow"), ordinary(), 1, ArrowColumnsTest::fillOrdinary);

    Dataset<Row> selected = load("a.arrow").select("text", "int");
    String plan = selected.queryExecution().executedPlan().toString();

    assertThat(plan).contains("ColumnarToRow").contains("BatchScan").doesNotContain("decimal");
    assertThat(plan.indexOf("ColumnarToRow")).isLessThan(plan.indexOf("BatchScan"));
    assertThat(selected.collectAsList().getFirst().get(0)).isEqualTo("été");
  }

  private static List<Field> ordinary() {
    ArrowType f64 = new ArrowType.FloatingPoint(FloatingPointPrecision.DOUBLE);
    return List.of(
        ArrowFixture.field("int", new ArrowType.Int(32, true)),
        ArrowFixture.field("text", ArrowType.Utf8.INSTANCE),
        ArrowFixture.field("large", ArrowType.LargeUtf8.INSTANCE),
        ArrowFixture.field("double", f64),
        ArrowFixture.field("flag", ArrowType.Bool.INSTANCE),
        ArrowFixture.field("day", new ArrowType.Date(DateUnit.DAY)),
        ArrowFixture.field("instant", new ArrowType.Timestamp(TimeUnit.MICROSECOND, "UTC")),
        ArrowFixture.field("local", new ArrowType.Timestamp(TimeUnit.MICROSECOND, null)),
        ArrowFixture.field("decimal", new ArrowType.Decimal(10, 2, 128)),
        ArrowFixture.list("doubles", ArrowType.List.INSTANCE, f64));
  }

  private static int fillOrdinary(VectorSchemaRoot root, int batch) {
    ((IntVector) root.getVector(0)).setSafe(0, -7);
    ((VarCharVector) root.getVector(1)).setSafe(0, "été".getBytes(StandardCharsets.UTF_8));
    ((LargeVarCharVector) root.getVector(2)).setSafe(0, "large".getBytes(StandardCharsets.UTF_8));
    ((Float8Vector) root.getVector(3)).setSafe(0, Math.PI);
    ((BitVector) root.getVector(4)).setSafe(0, 1);
    ((DateDayVector) root.getVector(5)).setSafe(0, 10);
    ((TimeStampMicroTZVector) root.getVector(6)).setSafe(0, 1_000_005);
    ((TimeStampMicroVector) root.getVector(7)).setSafe(0, 2_000_000);
    ((DecimalVector) root.getVector(8)).setSafe(0, new BigDecimal("12.34"));
    ListVector list = (ListVector) root.getVector(9);
    int start = list.startNewValue(0);
    ((Float8Vector) list.getDataVector()).setSafe(start, 1.5);
    ((Float8Vector) list.getDataVector()).setSafe(start + 1, 2.5);
    list.endValue(0, 2);
    return 1;
  }

  private Path path(String name) {
    return folder.resolve(name);
  }

  private Dataset<Row> load(String name) {
    return spark.read().format(ArrowSource.NAME).load(folder + "/" + name);
  }
}

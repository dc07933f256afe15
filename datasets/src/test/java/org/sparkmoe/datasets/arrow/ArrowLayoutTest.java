package org.sparkmoe.datasets.arrow;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.apache.arrow.vector.BigIntVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.FixedSizeBinaryVector;
import org.apache.arrow.vector.Float2Vector;
import org.apache.arrow.vector.Float4Vector;
import org.apache.arrow.vector.LargeVarBinaryVector;
import org.apache.arrow.vector.VarBinaryVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.complex.FixedSizeListVector;
import org.apache.arrow.vector.complex.LargeListVector;
import org.apache.arrow.vector.complex.ListVector;
import org.apache.arrow.vector.compression.CompressionUtil.CodecType;
import org.apache.arrow.vector.types.pojo.ArrowType;
import org.apache.arrow.vector.types.pojo.Field;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructField;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.datasets.tokens.LocalSpark;

/** Every layout of hidden states, in both file layouts and every compression, read back exactly. */
@ExtendWith(LocalSpark.class)
final class ArrowLayoutTest {
  private static final int WIDTH = 5;
  private static final int ROWS = 9;
  private static final int BATCHES = 3;
  private static final int NULL_ROW = 4;

  @TempDir Path folder;

  static Stream<Arguments> cases() {
    ArrowType list = ArrowType.List.INSTANCE;
    ArrowType large = ArrowType.LargeList.INSTANCE;
    ArrowType fixed = new ArrowType.FixedSizeList(WIDTH);
    List<Field> fields =
        List.of(
            ArrowFixture.list("hidden", list, ArrowFixture.F32),
            ArrowFixture.list("hidden", large, ArrowFixture.F32),
            ArrowFixture.list("hidden", fixed, ArrowFixture.F32),
            ArrowFixture.list("hidden", list, ArrowFixture.F16),
            ArrowFixture.list("hidden", large, ArrowFixture.F16),
            ArrowFixture.list("hidden", fixed, ArrowFixture.F16),
            ArrowFixture.tagged("hidden", ArrowType.Binary.INSTANCE, "f32"),
            ArrowFixture.tagged("hidden", ArrowType.LargeBinary.INSTANCE, "bf16"),
            ArrowFixture.tagged("hidden", new ArrowType.FixedSizeBinary(2 * WIDTH), "f16"));
    CodecType[] codecs = {CodecType.NO_COMPRESSION, CodecType.LZ4_FRAME, CodecType.ZSTD};
    List<Arguments> cases = new ArrayList<>();
    for (Field field : fields) {
      for (CodecType codec : codecs) {
        cases.add(Arguments.of(field, codec, false));
        cases.add(Arguments.of(field, codec, true));
      }
    }
    return cases.stream();
  }

  @ParameterizedTest
  @MethodSource("cases")
  void readsBackExactly(Field hidden, CodecType codec, boolean stream, SparkSession spark) {
    Path file = folder.resolve("tokens.arrow");
    List<Field> fields = List.of(ArrowFixture.field("id", ArrowFixture.LONG), hidden);
    ArrowFixture.write(file, stream, codec, fields, BATCHES, ArrowLayoutTest::fill);

    Dataset<Row> read = spark.read().format(ArrowSource.NAME).load(file.toString());
    List<Row> rows = read.collectAsList();

    assertThat(rows.stream().map(row -> row.getLong(0)).distinct()).hasSize(ROWS * BATCHES);
    assertThat(rows).hasSize(ROWS * BATCHES);
    for (Row row : rows) {
      long id = row.getLong(0);
      if (id % ROWS == NULL_ROW) {
        assertThat(row.isNullAt(1)).isTrue();
      } else {
        assertValue(row, id, hidden);
      }
    }
    assertMetadata(read.schema().apply("hidden"), hidden);
    assertThat(ArrowMemory.allocated()).isZero();
  }

  private static void assertValue(Row row, long id, Field hidden) {
    float[] floats = ArrowFixture.floats(id, WIDTH);
    if (hidden.getChildren().isEmpty()) {
      assertThat((byte[]) row.get(1)).isEqualTo(ArrowFixture.bytes(id, 2 * WIDTH));
    } else if (hidden.getChildren().getFirst().getType().equals(ArrowFixture.F32)) {
      assertThat(row.<Float>getList(1)).isEqualTo(ArrowFixture.boxed(floats));
    } else {
      ByteBuffer halves = ByteBuffer.allocate(2 * WIDTH).order(ByteOrder.LITTLE_ENDIAN);
      for (float value : floats) {
        halves.putShort(Float.floatToFloat16(value));
      }
      assertThat((byte[]) row.get(1)).isEqualTo(halves.array());
    }
  }

  private static void assertMetadata(StructField read, Field hidden) {
    boolean floats =
        hidden.getChildren().stream().anyMatch(child -> child.getType().equals(ArrowFixture.F32));
    if (floats) {
      assertThat(read.dataType()).isEqualTo(DataTypes.createArrayType(DataTypes.FloatType));
    } else {
      String dtype = hidden.getMetadata().getOrDefault(HiddenMetadata.DTYPE, "f16");
      assertThat(read.dataType()).isEqualTo(DataTypes.BinaryType);
      assertThat(read.metadata().getString(HiddenMetadata.DTYPE)).isEqualTo(dtype);
    }
    if (hidden.getType() instanceof ArrowType.FixedSizeList) {
      assertThat(read.metadata().getLong(HiddenMetadata.WIDTH)).isEqualTo(WIDTH);
    }
    if (hidden.getType() instanceof ArrowType.FixedSizeBinary) {
      assertThat(read.metadata().getLong(HiddenMetadata.BYTES)).isEqualTo(2 * WIDTH);
    }
  }

  static int fill(VectorSchemaRoot root, int batch) {
    BigIntVector ids = (BigIntVector) root.getVector(0);
    FieldVector hidden = root.getVector(1);
    for (int row = 0; row < ROWS; row++) {
      long id = (long) batch * ROWS + row;
      ids.setSafe(row, id);
      if (row == NULL_ROW) {
        hidden.setNull(row);
      } else {
        put(hidden, row, id);
      }
    }
    return ROWS;
  }

  private static void put(FieldVector hidden, int row, long id) {
    byte[] bytes = ArrowFixture.bytes(id, 2 * WIDTH);
    switch (hidden) {
      case VarBinaryVector binary -> binary.setSafe(row, bytes);
      case LargeVarBinaryVector binary -> binary.setSafe(row, bytes);
      case FixedSizeBinaryVector binary -> binary.setSafe(row, bytes);
      case ListVector list -> {
        putElements(list.getDataVector(), list.startNewValue(row), id);
        list.endValue(row, WIDTH);
      }
      case LargeListVector list -> {
        putElements(list.getDataVector(), (int) list.startNewValue(row), id);
        list.endValue(row, WIDTH);
      }
      case FixedSizeListVector list ->
          putElements(list.getDataVector(), list.startNewValue(row), id);
      default -> throw new IllegalArgumentException(hidden.toString());
    }
  }

  private static void putElements(FieldVector elements, int start, long id) {
    float[] floats = ArrowFixture.floats(id, WIDTH);
    for (int i = 0; i < WIDTH; i++) {
      switch (elements) {
        case Float4Vector singles -> singles.setSafe(start + i, floats[i]);
        case Float2Vector halves -> halves.setSafe(start + i, Float.floatToFloat16(floats[i]));
        default -> throw new IllegalArgumentException(elements.toString());
      }
    }
  }
}

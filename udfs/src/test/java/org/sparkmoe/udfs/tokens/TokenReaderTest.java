package org.sparkmoe.udfs.tokens;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.RowFactory;
import org.apache.spark.sql.SparkSession;
import org.apache.spark.sql.types.DataTypes;
import org.apache.spark.sql.types.StructType;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.kernels.tensor.DType;

@ExtendWith(LocalSpark.class)
final class TokenReaderTest {
  private static final int HIDDEN = 3;

  @Test
  void saysWhyARowCannotBeScored(SparkSession spark) {
    Broadcast<long[]> duplicates =
        JavaSparkContext.fromSparkContext(spark.sparkContext()).broadcast(new long[] {3, 7});
    TokenFormat format = new TokenFormat(HIDDEN, DType.F32, null, duplicates);
    byte[] good = vector(DType.F32, 1, 2, 3);
    assertThat(reason(format, null, good)).isEqualTo("token_id is null");
    assertThat(reason(format, 7L, good)).isEqualTo("token_id is not unique");
    assertThat(reason(format, 5L, good)).isNull();
    assertThat(reason(format, 1L, null)).isEqualTo("hidden is null");
    assertThat(reason(format, 1L, vector(DType.F32, 1, 2)))
        .isEqualTo("hidden has 2 values, expected 3");
    assertThat(reason(format, 1L, new byte[0])).isEqualTo("hidden has 0 values, expected 3");
    assertThat(reason(format, 1L, new byte[13]))
        .isEqualTo("hidden has 13 bytes, expected 12 (3 values of F32)");
    assertThat(reason(format, 1L, vector(DType.F32, 1, Float.NaN, 3)))
        .isEqualTo("hidden value 1 is NaN");
    assertThat(reason(format, 1L, vector(DType.F32, 1, 2, Float.NEGATIVE_INFINITY)))
        .isEqualTo("hidden value 2 is -Infinity");
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"F32", "BF16", "F16"})
  void checksAndWidensEveryElementType(DType dtype) {
    TokenFormat format = new TokenFormat(HIDDEN, dtype, null, null);
    assertThat(reason(format, 1L, vector(dtype, Float.POSITIVE_INFINITY, 2, 3)))
        .isEqualTo("hidden value 0 is Infinity");
    assertThat(reason(format, 1L, vector(dtype, 1, 2)))
        .isEqualTo("hidden has 2 values, expected 3");
    assertThat(reason(format, 1L, new byte[dtype.bytes() * HIDDEN + 1]))
        .contains("expected " + dtype.bytes() * HIDDEN + " (3 values of " + dtype + ")");
    try (Arena arena = Arena.ofConfined()) {
      TokenReader reader =
          reader(format, 4, arena, RowFactory.create(1L, vector(dtype, 0.5f, -2, 96)));
      assertThat(reader.read()).isTrue();
      assertThat(values(reader)).containsExactly(0.5f, -2, 96);
    }
  }

  @ParameterizedTest
  @EnumSource(
      value = DType.class,
      names = {"BF16", "F16"})
  void checksVectorsThatItHoldsAsTheyAre(DType dtype) {
    TokenFormat format = new TokenFormat(HIDDEN, dtype, null, null);
    byte[] first = vector(dtype, 0.1f, -2, 96);
    byte[] second = vector(dtype, 7, 0.3f, -1);
    List<Row> rows =
        List.of(
            RowFactory.create(1L, first),
            RowFactory.create(2L, vector(dtype, 1, Float.NaN, 3)),
            RowFactory.create(3L, second));
    try (Arena arena = Arena.ofConfined()) {
      TokenReader reader = new TokenReader(rows.iterator(), format, 4, dtype, arena);
      assertThat(reader.read()).isTrue();
      assertThat(reader.error(1)).isEqualTo("hidden value 1 is NaN");
      assertThat(reader.activations().type()).isEqualTo(dtype);
      assertThat(Vectors.encode(reader.activations(), 0, HIDDEN, dtype)).isEqualTo(first);
      assertThat(Vectors.encode(reader.activations(), 1, HIDDEN, dtype)).isEqualTo(second);
    }
  }

  @Test
  void badRowsKeepTheirPlaceAndGoodOnesStandDensely() {
    StructType kept = new StructType().add("name", DataTypes.StringType);
    TokenFormat format = new TokenFormat(HIDDEN, DType.F32, kept, null);
    List<Row> rows = new ArrayList<>();
    for (int id = 0; id < 7; id++) {
      byte[] hidden = id % 3 == 1 ? null : vector(DType.F32, id, id, id);
      rows.add(RowFactory.create((long) id, hidden, RowFactory.create("n" + id)));
    }
    try (Arena arena = Arena.ofConfined()) {
      TokenReader reader = reader(format, 4, arena, rows.toArray(Row[]::new));
      assertThat(reader.read()).isTrue();
      assertThat(reader.size()).isEqualTo(4);
      assertThat(reader.tokens()).isEqualTo(3);
      assertThat(IntStream.range(0, 3).mapToLong(reader::id)).containsExactly(0L, 2L, 3L);
      assertThat(reader.row(1)).isEqualTo(2);
      assertThat(reader.token(2)).isEqualTo(1);
      assertThat(reader.error(1)).isEqualTo("hidden is null");
      assertThat(reader.tokenId(1)).isEqualTo(1L);
      assertThat(reader.kept(1)).isEqualTo(RowFactory.create("n1"));
      assertThat(values(reader)).startsWith(0, 0, 0, 2, 2, 2, 3, 3, 3);

      assertThat(reader.read()).isTrue();
      assertThat(reader.size()).isEqualTo(3);
      assertThat(reader.tokens()).isEqualTo(2);
      assertThat(reader.id(1)).isEqualTo(6);
      assertThat(reader.error(0)).isEqualTo("hidden is null");
      assertThat(reader.error(1)).isNull();
      assertThat(values(reader)).startsWith(5, 5, 5, 6, 6, 6);
      assertThat(reader.read()).isFalse();
    }
  }

  private static String reason(TokenFormat format, Long tokenId, byte[] hidden) {
    try (Arena arena = Arena.ofConfined()) {
      TokenReader reader = reader(format, 4, arena, RowFactory.create(tokenId, hidden));
      assertThat(reader.read()).isTrue();
      assertThat(reader.size()).isEqualTo(1);
      assertThat(reader.tokens()).isEqualTo(reader.error(0) == null ? 1 : 0);
      return reader.error(0);
    }
  }

  private static TokenReader reader(TokenFormat format, int capacity, Arena arena, Row... rows) {
    return new TokenReader(List.of(rows).iterator(), format, capacity, arena);
  }

  private static float[] values(TokenReader reader) {
    return reader
        .hidden()
        .asSlice(0, DType.F32.bytes((long) reader.tokens() * HIDDEN))
        .toArray(DType.LE_FLOAT);
  }

  private static byte[] vector(DType dtype, float... values) {
    byte[] bytes = new byte[(int) dtype.bytes(values.length)];
    for (int i = 0; i < values.length; i++) {
      dtype.set(MemorySegment.ofArray(bytes), i, values[i]);
    }
    return bytes;
  }
}

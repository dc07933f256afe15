package org.sparkmoe.udfs.sql;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.apache.spark.sql.catalyst.expressions.UnsafeArrayData;
import org.apache.spark.sql.catalyst.util.GenericArrayData;
import org.apache.spark.unsafe.Platform;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.udfs.tokens.Vectors;

/**
 * Every layout in which Spark hands arrays over, at sizes around its words of null bits and around
 * our chunks.
 */
final class FloatArraysTest {
  private static final int[] SIZES = {0, 1, 2, 63, 64, 65, 131, 512, 513, 1100};

  private static float[] values(int size) {
    Random random = new Random(size);
    float[] values = new float[size];
    for (int i = 0; i < size; i++) {
      values[i] = (float) random.nextGaussian();
    }
    if (size > 2) {
      values[1] = Float.NaN;
      values[2] = Float.NEGATIVE_INFINITY;
    }
    return values;
  }

  @ParameterizedTest
  @EnumSource(DType.class)
  void decodesToTheArrayOfTheValues(DType dtype) {
    for (int size : SIZES) {
      byte[] vector = Vectors.encode(values(size), dtype);
      assertThat(FloatArrays.decode(vector, dtype))
          .as("%d values", size)
          .isEqualTo(UnsafeArrayData.fromPrimitiveArray(Vectors.decode(vector, dtype)));
    }
  }

  @ParameterizedTest
  @EnumSource(DType.class)
  void encodesEveryLayout(DType dtype) {
    for (int size : SIZES) {
      float[] values = values(size);
      byte[] expected = Vectors.encode(values, dtype);
      UnsafeArrayData packed = UnsafeArrayData.fromPrimitiveArray(values);
      assertThat(FloatArrays.encode(packed, dtype)).as("long[], %d", size).isEqualTo(expected);
      assertThat(FloatArrays.encode(within(packed), dtype))
          .as("within a row, %d", size)
          .isEqualTo(expected);
      assertThat(FloatArrays.encode(new GenericArrayData(values), dtype))
          .as("objects, %d", size)
          .isEqualTo(expected);
    }
  }

  @Test
  void aNullBecomesNotANumber() {
    UnsafeArrayData array = within(UnsafeArrayData.fromPrimitiveArray(new float[] {1, 2, 3}));
    array.setNullAt(1);
    assertThat(Vectors.decode(FloatArrays.encode(array, DType.BF16), DType.BF16))
        .containsExactly(1, Float.NaN, 3);
  }

  /** A copy in the middle of a byte[], as an array in a row is. */
  private static UnsafeArrayData within(UnsafeArrayData array) {
    int before = 24;
    byte[] row = new byte[before + array.getSizeInBytes()];
    array.writeToMemory(row, Platform.BYTE_ARRAY_OFFSET + before);
    UnsafeArrayData copy = new UnsafeArrayData();
    copy.pointTo(row, Platform.BYTE_ARRAY_OFFSET + before, array.getSizeInBytes());
    return copy;
  }
}

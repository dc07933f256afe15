package org.sparkmoe.udfs.compare;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.MemorySegment;
import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.tensor.DType;

final class RowDifferenceTest {

  private static byte[] bytes(DType type, float... values) {
    byte[] bytes = new byte[values.length * type.bytes()];
    MemorySegment data = MemorySegment.ofArray(bytes);
    for (int i = 0; i < values.length; i++) {
      type.set(data, i, values[i]);
    }
    return bytes;
  }

  private static RowDifference of(float[] row, float... reference) {
    return RowDifference.of(
        bytes(DType.F32, row), DType.F32, bytes(DType.F32, reference), DType.F32);
  }

  private static float[] row(float... values) {
    return values;
  }

  @Test
  void tellsHowFarAndWhere() {
    RowDifference found = of(row(3, 4.5f, 0), 3, 4, 0);

    assertThat(found.relative()).isCloseTo(0.1, within(1e-12));
    assertThat(found).extracting("largest", "position").containsExactly(0.5, 1);
    assertThat(found).extracting("value", "reference").containsExactly(4.5f, 4f);
  }

  @Test
  void theFirstOfEqualDifferencesIsTold() {
    assertThat(of(row(0, 1, -1), 0, 0, 0).position()).isEqualTo(1);
  }

  @Test
  void typesMayDiffer() {
    RowDifference found =
        RowDifference.of(bytes(DType.BF16, 1, 2), DType.BF16, bytes(DType.F16, 1, 2.5f), DType.F16);

    assertThat(found.largest()).isEqualTo(0.5);
    assertThat(found.position()).isEqualTo(1);
  }

  @Test
  void equalIsZeroWhateverTheValues() {
    float inf = Float.POSITIVE_INFINITY;
    for (float[] row : new float[][] {{0}, {-0f}, {Float.NaN, 1}, {inf, -inf}, {Float.MIN_VALUE}}) {
      assertThat(of(row, row)).extracting("relative", "largest").containsExactly(0.0, 0.0);
    }
    assertThat(of(row(0), -0f).largest()).isZero();
  }

  @Test
  void whatIsNoNumberOnOneSideIsInfinitelyFar() {
    float inf = Float.POSITIVE_INFINITY;
    for (float[][] pair :
        new float[][][] {
          {{1, Float.NaN}, {1, 2}},
          {{1, 2}, {1, Float.NaN}},
          {{1, inf}, {1, 2}},
          {{1, 2}, {1, inf}},
          {{1, inf}, {1, -inf}},
          {{1, Float.NaN}, {1, inf}},
        }) {
      RowDifference found = of(pair[0], pair[1]);
      assertThat(found.relative()).isInfinite();
      assertThat(found.largest()).isInfinite();
      assertThat(found.position()).isEqualTo(1);
    }
  }

  @Test
  void anyDifferenceFromZeroIsInfinitelyFar() {
    assertThat(of(row(0, 1e-30f), 0, 0)).extracting("relative").isEqualTo(Double.POSITIVE_INFINITY);
  }
}

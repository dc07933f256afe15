package org.sparkmoe.kernels.quant.weight;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;

final class WeightQuantizerTest {
  private static final WeightQuantizer BLOCK = WeightQuantizer.fp8PerBlock();
  private static final WeightQuantizer CHANNEL = WeightQuantizer.fp8PerChannel();
  private static final WeightQuantizer INT8 = WeightQuantizer.int8PerChannel();
  private static final WeightQuantizer NVFP4 = WeightQuantizer.nvfp4();
  private static final WeightQuantizer MXFP4 = WeightQuantizer.mxfp4();

  private static WeightQuantizer uint4(int group) {
    return WeightQuantizer.uint4PerGroup(group, ScaleType.BF16);
  }

  private static List<WeightQuantizer> all() {
    return List.of(
        BLOCK,
        CHANNEL,
        INT8,
        uint4(32),
        uint4(64),
        uint4(128),
        WeightQuantizer.uint4PerGroup(32, ScaleType.F16),
        NVFP4,
        MXFP4);
  }

  private static QuantizedMatrix quantize(WeightQuantizer quantizer, Matrix matrix) {
    QuantizedMatrix result = quantizer.quantize(matrix, Arena.ofAuto());
    assertThat(result.defect()).isEmpty();
    return result;
  }

  private static int[] codes(WeightQuantizer quantizer, float... row) {
    QuantizedMatrix result = quantize(quantizer, Matrix.of(1, row.length, row));
    int[] codes = new int[row.length];
    for (int i = 0; i < codes.length; i++) {
      codes[i] = result.code(0, i);
    }
    return codes;
  }

  private static Matrix normal(Random random, int rows, int cols, DType dtype) {
    Matrix matrix =
        new Matrix(
            MemorySegment.ofArray(new byte[(int) dtype.bytes((long) rows * cols)]),
            dtype,
            rows,
            cols);
    for (int i = 0; i < rows * cols; i++) {
      dtype.set(matrix.data(), i, (float) random.nextGaussian() * 0.02f);
    }
    return matrix;
  }

  @Test
  void int8RoundsHalfToEvenAndSaturatesAt127() {
    // The scale is 1.
    assertThat(codes(INT8, 127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -2.5f, -127))
        .containsExactly(127, 0, 2, 2, 0, 0xFE, 0xFE, 0x81);
  }

  @Test
  void uint4RoundsHalfToEvenFromMinus8To7() {
    // The scale is 2.
    assertThat(codes(uint4(32), 15, 1, 3, 5, -1, -3, -13, -15, 0))
        .containsExactly(15, 8, 10, 10, 8, 6, 2, 0, 8);
  }

  @Test
  void e2m1RoundsHalfToEven() {
    // The scale is 1 in both formats: of MXFP4 as 6 / 6, of NVFP4 as 448 · (6 / (448 · 6)).
    float[] ties = {6, 0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5, -0.25f, -2.5f, -5};
    int[] expected = {7, 0, 2, 2, 4, 4, 6, 6, 8, 12, 14};
    assertThat(codes(MXFP4, ties)).containsExactly(expected);
    assertThat(codes(NVFP4, ties)).containsExactly(expected);
  }

  @Test
  void e4m3RoundsHalfToEven() {
    // The scale is 1; between 16 and 32 neighbours are 2 apart.
    QuantizedMatrix result = quantize(CHANNEL, Matrix.of(1, 4, 448, 17, 19, -21));
    assertThat(List.of(result.value(0, 1), result.value(0, 2), result.value(0, 3)))
        .containsExactly(16.0, 20.0, -20.0);
  }

  @Test
  void mxfp4TakesTheNextPowerOfTwoUpwards() {
    assertThat(quantize(MXFP4, Matrix.of(1, 1, 6)).scale(0, 0)).isEqualTo(1);
    assertThat(quantize(MXFP4, Matrix.of(1, 1, 6.25f)).scale(0, 0)).isEqualTo(2);
    assertThat(quantize(MXFP4, Matrix.of(1, 1, -3)).scale(0, 0)).isEqualTo(0.5f);
  }

  @ParameterizedTest
  @MethodSource("all")
  void zerosStayZeroUnderAUsableScale(WeightQuantizer quantizer) {
    Matrix matrix = Matrix.of(3, 5, new float[15]);
    QuantizedMatrix result = quantize(quantizer, matrix);
    assertThat(result.scale(0, 0)).isEqualTo(1);
    assertThat(result.value(2, 4)).isZero();
    assertThat(WeightError.of(matrix, result)).isEqualTo(new WeightError(0, 0));
  }

  @ParameterizedTest
  @MethodSource("all")
  void aGroupOfZerosBesideOthersIsExact(WeightQuantizer quantizer) {
    float[] values = new float[2 * 256];
    values[300] = 448;
    QuantizedMatrix result = quantize(quantizer, Matrix.of(2, 256, values));
    assertThat(result.scale(0, 0)).isPositive();
    for (int i = 0; i < values.length; i++) {
      if (i != 300) {
        assertThat(result.value(i / 256, i % 256)).isZero();
      }
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void aSingleWeightKeepsItsSignAndSize(WeightQuantizer quantizer) {
    for (float value : new float[] {1, -1, 0.3f, -1000, 1e-4f}) {
      QuantizedMatrix result = quantize(quantizer, Matrix.of(1, 1, value));
      assertThat(result.value(0, 0))
          .as("%s as %s", value, quantizer.format().label())
          .isCloseTo(value, within(0.26 * Math.abs(value)));
    }
  }

  @ParameterizedTest
  @MethodSource("all")
  void tinyAndHugeWeightsGiveFiniteScales(WeightQuantizer quantizer) {
    float huge = quantizer.format().scales() == ScaleType.F16 ? 65504 : 1e38f;
    for (float value : new float[] {Float.MIN_VALUE, Float.MIN_NORMAL, 1e-30f, huge}) {
      QuantizedMatrix result = quantize(quantizer, Matrix.of(1, 2, value, -value));
      assertThat(result.value(0, 0)).as("%s", value).isNotNegative().isFinite();
      assertThat(WeightError.of(Matrix.of(1, 2, value, -value), result).relative())
          .isLessThanOrEqualTo(1.01);
    }
  }

  @Test
  void emptyMatricesPass() {
    for (WeightQuantizer quantizer : all()) {
      assertThat(quantize(quantizer, Matrix.of(0, 7)).bytes()).isZero();
    }
  }

  @Test
  void blocksAtTheEdgesArePartial() {
    Matrix matrix = normal(new Random(1), 130, 257, DType.F32);
    DType.F32.set(matrix.data(), 129 * 257 + 256, 448);
    DType.F32.set(matrix.data(), 0, -224);
    QuantizedMatrix result = quantize(BLOCK, matrix);
    assertThat(result.scale(0, 0)).isEqualTo(0.5f);
    assertThat(result.scale(127, 0)).isEqualTo(0.5f);
    assertThat(result.scale(129, 2)).isEqualTo(1);
    assertThat(result.scale(128, 1)).isLessThan(0.01f);
    assertThat(result.value(129, 256)).isEqualTo(448);
    assertThat(result.value(0, 0)).isEqualTo(-224);
  }

  @Test
  void matricesCanShareAGlobalScale() {
    Matrix small = Matrix.of(1, 2, 1, -0.5f);
    Matrix large = Matrix.of(1, 2, 6, 3);
    float shared = NVFP4.inverseGlobal(6);
    QuantizedMatrix result = NVFP4.quantize(small, shared, Arena.ofAuto());
    assertThat(shared).isEqualTo(448);
    assertThat(result.global()).isEqualTo(NVFP4.quantize(large, shared, Arena.ofAuto()).global());
    assertThat(result.value(0, 0)).isCloseTo(1, within(0.05));
  }

  @Test
  void onlyNvfp4HasAGlobalScale() {
    for (WeightQuantizer quantizer : all()) {
      float inverse = quantizer.inverseGlobal(3);
      assertThat(inverse).isEqualTo(quantizer == NVFP4 ? 896 : 1);
      assertThat(quantizer.inverseGlobal(0)).isEqualTo(1);
    }
  }

  @Test
  void theLargestMagnitudeTellsWhatIsNotFinite() {
    assertThat(WeightQuantizer.amax(Matrix.of(2, 2, 1, -3, 2, 0))).isEqualTo(3);
    assertThat(WeightQuantizer.amax(Matrix.of(0, 3))).isZero();
    assertThat(WeightQuantizer.amax(Matrix.of(1, 3, 1, Float.NaN, 2))).isNaN();
    assertThat(WeightQuantizer.amax(Matrix.of(1, 2, Float.NEGATIVE_INFINITY, 2))).isInfinite();
  }

  @Test
  void scalesOf4BitGroupsAreHalves() {
    assertThatIllegalArgumentException()
        .isThrownBy(() -> WeightQuantizer.uint4PerGroup(32, ScaleType.F32));
  }

  static Stream<Arguments> bounds() {
    return Stream.of(
        Arguments.of(BLOCK, 0.02, 0.03),
        Arguments.of(CHANNEL, 0.02, 0.03),
        Arguments.of(INT8, 0.004, 0.01),
        Arguments.of(uint4(32), 0.06, 0.10),
        Arguments.of(uint4(64), 0.07, 0.11),
        Arguments.of(uint4(128), 0.08, 0.125),
        Arguments.of(NVFP4, 0.07, 0.11),
        Arguments.of(MXFP4, 0.09, 0.15));
  }

  /** Sizes that no span divides, in every type of source. */
  @ParameterizedTest
  @MethodSource("bounds")
  void normalWeightsLoseWhatTheFormatCosts(WeightQuantizer quantizer, double least, double most) {
    long seed = 20_261_124;
    Random random = new Random(seed);
    for (DType dtype : DType.values()) {
      Matrix matrix = normal(random, 131, 263, dtype);
      QuantizedMatrix result = quantize(quantizer, matrix);
      WeightError error = WeightError.of(matrix, result);
      assertThat(error.relative()).as("seed %d, %s", seed, dtype).isBetween(least, most);
      assertThat(error.largest()).as("seed %d, %s", seed, dtype).isLessThan(0.02);
    }
  }

  /** No weight is farther from its code than half a step, nor from a neighbour's. */
  @ParameterizedTest
  @MethodSource("all")
  void everyCodeIsTheNearest(WeightQuantizer quantizer) {
    long seed = 7;
    Matrix matrix = normal(new Random(seed), 5, 67, DType.F32);
    QuantizedMatrix result = quantize(quantizer, matrix);
    CodeType type = quantizer.format().codes();
    for (int row = 0; row < matrix.rows(); row++) {
      for (int col = 0; col < matrix.cols(); col++) {
        double scale = result.scale(row, result.group(col));
        double nearest = Double.POSITIVE_INFINITY;
        for (int code = 0; code < 1 << type.bits(); code++) {
          double value = (type.value(code) - type.zero()) * scale;
          if (!Double.isNaN(value)) {
            nearest = Math.min(nearest, Math.abs(value - matrix.get(row, col)));
          }
        }
        assertThat(Math.abs(result.value(row, col) - matrix.get(row, col)))
            .as("seed %d, row %d, column %d", seed, row, col)
            .isCloseTo(nearest, within(1e-6 * scale));
      }
    }
  }
}

package org.sparkmoe.kernels.gemm;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.E4m3;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.testing.QuantizedTensors;
import org.sparkmoe.kernels.testing.QuantizedTensors.Kind;
import org.sparkmoe.kernels.testing.QuantizedTensors.Lists;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.kernels.testing.Rows;

final class VectorGemmTest extends GemmContract {
  /** Codes whose groups have sums of their own. */
  private static final Set<CodeType> SUMMED =
      EnumSet.of(CodeType.UINT4, CodeType.INT8, CodeType.UINT8);

  @Override
  Gemm gemm() {
    return new VectorGemm();
  }

  /**
   * One sum can cancel to almost nothing: no relative tolerance fits it, but its bits are known.
   */
  static List<Case> oneOutput() {
    return List.of(new Case(13, 1, 64, DType.F32, true), new Case(207, 1, 1000, DType.BF16, false));
  }

  @ParameterizedTest
  @MethodSource({"awkward", "oneOutput"})
  void hasTheBitsOfOneFmaAfterTheOther(Case c) {
    RandomTensors random = c.random();
    Matrix w = random.matrix(c.n(), c.k(), c.dtype());
    float[] bias = c.bias() ? random.normals(c.n(), 1) : null;
    float[] x = random.normals(c.m() * c.k(), 1);
    float[] expected = new float[c.m() * c.n()];
    for (int m = 0; m < c.m(); m++) {
      for (int n = 0; n < c.n(); n++) {
        float sum = 0;
        for (int k = 0; k < c.k(); k++) {
          sum = Math.fma(x[m * c.k() + k], w.get(n, k), sum);
        }
        expected[m * c.n() + n] = bias == null ? sum : sum + bias[n];
      }
    }
    Rows.assertSameBits(multiply(gemm(), c.m(), x, w, bias), expected, c + ", " + random);
  }

  static List<Kind> quantized() {
    return QuantizedTensors.kinds();
  }

  /**
   * A group's sum of {@code x · (code − zero)} is multiplied by {@code scale · global}, rounded to
   * f32. Each weight is, where codes are e4m3 or e2m1, or where columns of a group don't stand
   * together in whole quads. Sums of act-order with equal groups go group by group.
   */
  @ParameterizedTest
  @MethodSource("quantized")
  void hasTheBitsOfSumsOfGroups(Kind kind) {
    assertBits(41, 300, kind);
  }

  /** Around the lengths of quads, strips and what registers take at once; and of no whole quads. */
  static Stream<Arguments> groups() {
    return Stream.concat(
        IntStream.of(4, 12, 40, 256, 260, 600).mapToObj(group -> Arguments.of(1_400, group)),
        Stream.of(Arguments.of(1_400, 6), Arguments.of(207, 32)));
  }

  @ParameterizedTest
  @MethodSource("groups")
  void groupsMayHaveAnyLength(int inputs, int group) {
    for (CodeType codes : SUMMED) {
      QuantFormat format = QuantFormat.of(codes, ScaleType.BF16, 1, group);
      assertBits(33, inputs, new Kind(codes + " g" + group, format, 1, 1));
    }
  }

  private void assertBits(int outputs, int inputs, Kind kind) {
    RandomTensors random = new RandomTensors(79);
    QuantizedMatrix w = QuantizedTensors.matrix(outputs, inputs, kind, random);
    List<Integer> columns = new ArrayList<>(IntStream.range(0, inputs).boxed().toList());
    if (kind.lists() != Lists.ANY) {
      columns.sort(Comparator.comparingInt(w::group));
    }
    boolean together = !kind.format().ordered() || kind.lists() != Lists.ANY;
    int group = kind.format().colSpan();
    boolean whole = inputs % 4 == 0 && (group >= inputs || group % 4 == 0);
    boolean groups = SUMMED.contains(kind.format().codes()) && together && whole;
    for (int rows : new int[] {1, 2, 3, 4, 5, 6, 7, 8, 40}) {
      float[] x = random.normals(rows * inputs, 1);
      float[] expected = new float[rows * outputs];
      for (int m = 0; m < rows; m++) {
        for (int n = 0; n < outputs; n++) {
          float[] values = Arrays.copyOfRange(x, m * inputs, (m + 1) * inputs);
          expected[m * outputs + n] =
              groups ? sumOfGroups(values, w, n, columns) : sumOfWeights(values, w, n, columns);
        }
      }
      Rows.assertSameBits(
          multiply(gemm(), rows, x, w, null), expected, kind + ", " + rows + " rows, " + random);
    }
  }

  private static float sumOfWeights(float[] x, QuantizedMatrix w, int n, List<Integer> columns) {
    float sum = 0;
    for (int k : columns) {
      sum = Math.fma(x[k], centered(w, n, k) * w.scale(n, w.group(k)), sum);
    }
    return sum;
  }

  private static float sumOfGroups(float[] x, QuantizedMatrix w, int n, List<Integer> columns) {
    float sum = 0;
    float part = 0;
    int group = w.group(columns.getFirst());
    for (int k : columns) {
      if (w.group(k) != group) {
        sum = Math.fma(part, w.scale(n, group), sum);
        part = 0;
        group = w.group(k);
      }
      part = Math.fma(x[k], centered(w, n, k), part);
    }
    return Math.fma(part, w.scale(n, group), sum);
  }

  private static float centered(QuantizedMatrix w, int n, int k) {
    return w.format().codes().value(w.code(n, k)) - w.zero(n, w.group(k));
  }

  /** A product with 1 is the weight: every code with scales of every size, subnormal ones too. */
  @ParameterizedTest
  @EnumSource(CodeType.class)
  void unpacksEveryCodeExactly(CodeType codes) {
    float[] scales = {
      0x1p-149f, 0x1.8p-140f, 0x1.fp-127f, 1e-20f, 0.37f, 1, 255, 257, 1e30f, 7e35f
    };
    for (float scale : scales) {
      QuantFormat format = QuantFormat.of(codes, ScaleType.F32, QuantFormat.ALL, QuantFormat.ALL);
      byte[] all = new byte[256];
      for (int i = 0; i < all.length; i++) {
        boolean nan = codes == CodeType.E4M3 && (i & E4m3.NAN) == E4m3.NAN;
        all[i] = (byte) (nan ? 0 : i);
      }
      MemorySegment stored = MemorySegment.ofArray(new float[] {scale});
      int cols = 1024 / codes.bits() / 32;
      int rows = 256 / cols * 8 / codes.bits();
      QuantizedMatrix w =
          QuantizedMatrix.of(MemorySegment.ofArray(all), format, rows, cols, stored);
      for (int count : new int[] {1, 40}) {
        for (int k = 0; k < cols; k++) {
          float[] x = new float[count * cols];
          float[] expected = new float[rows];
          x[k] = 1;
          for (int n = 0; n < rows; n++) {
            float centered = codes.value(w.code(n, k)) - codes.zero();
            // a product that becomes -0 is +0 behind a sum
            expected[n] =
                SUMMED.contains(codes) ? Math.fma(centered, scale, 0f) : 0f + centered * scale;
          }
          float[] actual = multiply(gemm(), count, x, w, null);
          Rows.assertSameBits(Arrays.copyOf(actual, rows), expected, codes + " times " + scale);
        }
      }
    }
  }

  @Test
  void keepsFourBitWeightsInLessThanAThirdOfBf16() {
    QuantFormat format = QuantFormat.of(CodeType.UINT4, ScaleType.BF16, 1, 128);
    assertThat((double) gemm().packedBytes(format, 2048, 2048))
        .isLessThanOrEqualTo(0.27 * DType.BF16.bytes(2048, 2048));
    QuantFormat smallest = new QuantFormat(CodeType.UINT4, ScaleType.F16, 1, 32, true, true);
    assertThat((double) gemm().packedBytes(smallest, 2048, 2048))
        .isLessThanOrEqualTo(0.30 * DType.BF16.bytes(2048, 2048));
  }
}

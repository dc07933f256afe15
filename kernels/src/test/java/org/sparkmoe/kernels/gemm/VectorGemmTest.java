package org.sparkmoe.kernels.gemm;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
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
   * {@code w = (code − zero) · (scale · global)}, the scale rounded to f32, then the product. Sums
   * of act-order with equal groups go group by group.
   */
  @ParameterizedTest
  @MethodSource("quantized")
  void hasTheBitsOfWeightsRoundedOnce(Kind kind) {
    RandomTensors random = new RandomTensors(79);
    QuantizedMatrix w = QuantizedTensors.matrix(41, 300, kind, random);
    List<Integer> columns = new ArrayList<>(IntStream.range(0, 300).boxed().toList());
    if (kind.lists() != Lists.ANY) {
      columns.sort(Comparator.comparingInt(w::group));
    }
    for (int rows : new int[] {1, 2, 3, 4, 5, 6, 7, 8, 40}) {
      float[] x = random.normals(rows * 300, 1);
      float[] expected = new float[rows * 41];
      for (int m = 0; m < rows; m++) {
        for (int n = 0; n < 41; n++) {
          float sum = 0;
          for (int k : columns) {
            int group = w.group(k);
            float centered = kind.format().codes().value(w.code(n, k)) - w.zero(n, group);
            sum = Math.fma(x[m * 300 + k], centered * w.scale(n, group), sum);
          }
          expected[m * 41 + n] = sum;
        }
      }
      Rows.assertSameBits(
          multiply(gemm(), rows, x, w, null), expected, kind + ", " + rows + " rows, " + random);
    }
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
            expected[n] = 0f + (codes.value(w.code(n, k)) - codes.zero()) * scale;
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

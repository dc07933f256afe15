package org.sparkmoe.kernels.gemm;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.kernels.testing.QuantizedTensors;
import org.sparkmoe.kernels.testing.QuantizedTensors.Kind;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.kernels.testing.Rows;
import org.sparkmoe.kernels.testing.Workspaces;

/** What every {@link Gemm} does; one small subclass per implementation. */
abstract class GemmContract {

  abstract Gemm gemm();

  /** {@code Y = X Wᵀ + b} for M × K by N × K. */
  record Case(int m, int n, int k, DType dtype, boolean bias) {
    RandomTensors random() {
      return new RandomTensors(m * 1000003L + n * 1009L + k);
    }
  }

  static List<Case> awkward() {
    return List.of(
        new Case(0, 33, 13, DType.F32, true),
        new Case(1, 1, 1, DType.F32, false),
        new Case(1, 33, 207, DType.F32, true),
        new Case(2, 207, 33, DType.BF16, false),
        new Case(3, 31, 13, DType.F16, true),
        new Case(4, 32, 256, DType.BF16, true),
        new Case(5, 65, 257, DType.F32, false),
        new Case(7, 64, 600, DType.F16, false),
        new Case(9, 13, 1025, DType.BF16, true),
        new Case(8, 33, 300, DType.BF16, true),
        new Case(32, 33, 300, DType.BF16, false),
        new Case(33, 33, 300, DType.BF16, false),
        new Case(33, 207, 13, DType.F16, true),
        new Case(270, 33, 5, DType.BF16, false),
        new Case(70, 33, 3000, DType.F32, false));
  }

  @ParameterizedTest
  @MethodSource("awkward")
  void agreesWithTheSpecification(Case c) {
    RandomTensors random = c.random();
    Matrix w = random.matrix(c.n(), c.k(), c.dtype());
    float[] bias = c.bias() ? random.normals(c.n(), 1) : null;
    float[] x = random.normals(c.m() * c.k(), 1);
    float[] expected = multiply(new ScalarGemm(), c.m(), x, w, bias);
    float[] actual = multiply(gemm(), c.m(), x, w, bias);
    Rows.assertClose(actual, expected, c.n(), 1e-5, c + ", " + random);
  }

  /** More groups, in order or not, than there is room for their factors at once. */
  @ParameterizedTest
  @ValueSource(booleans = {false, true})
  void groupsMayBeOfOneColumn(boolean ordered) {
    QuantFormat format = new QuantFormat(CodeType.UINT4, ScaleType.BF16, 1, 1, false, ordered);
    RandomTensors random = new RandomTensors(1100);
    Kind kind = new Kind("uint4 g1", format, 1, 1);
    QuantizedMatrix w = QuantizedTensors.matrix(33, 1100, kind, random);
    for (int rows : new int[] {1, 2, 9}) {
      float[] x = random.normals(rows * 1100, 1);
      float[] expected = multiply(new ScalarGemm(), rows, x, w, null);
      float[] actual = multiply(gemm(), rows, x, w, null);
      Rows.assertClose(actual, expected, 33, 1e-5, rows + " rows, " + random);
    }
  }

  @Test
  void aRowHasTheSameBitsAloneAndAmongOthers() {
    RandomTensors random = new RandomTensors(37);
    for (DType dtype : DType.values()) {
      Matrix w = random.matrix(45, 530, dtype);
      float[] bias = random.normals(45, 1);
      float[] x = random.normals(37 * 530, 1);
      float[] all = multiply(gemm(), 37, x, w, bias);
      for (int row = 0; row < 37; row++) {
        Rows.assertSameBits(
            multiply(gemm(), 1, Rows.row(x, 530, row), w, bias),
            Rows.row(all, 45, row),
            dtype + ", row " + row + ", " + random);
      }
      float[] tail = Arrays.copyOfRange(x, 11 * 530, x.length);
      Rows.assertSameBits(
          multiply(gemm(), 26, tail, w, bias),
          Arrays.copyOfRange(all, 11 * 45, all.length),
          dtype + ", 26 rows, " + random);
    }
  }

  /** A product with 1 is the weight itself: every one of the 65536 patterns is widened exactly. */
  @Test
  void widensEveryBitPatternExactly() {
    for (DType dtype : List.of(DType.BF16, DType.F16)) {
      int patterns = 1 << 16;
      MemorySegment data = MemorySegment.ofArray(new byte[2 * patterns]);
      float[] expected = new float[patterns];
      for (int i = 0; i < patterns; i++) {
        data.set(DType.LE_SHORT, 2L * i, (short) i);
        expected[i] = Math.fma(1f, dtype.get(data, i), 0f);
      }
      Matrix w = new Matrix(data, dtype, patterns, 1);
      Rows.assertSameBits(multiply(gemm(), 1, new float[] {1}, w, null), expected, dtype);
    }
  }

  static List<Kind> kinds() {
    return QuantizedTensors.kinds();
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void multipliesByQuantizedWeights(Kind kind) {
    int[][] shapes = {
      {1, 33, 207}, {2, 13, 17}, {4, 96, 64}, {5, 45, 1}, {33, 70, 150}, {3, 40, 613}
    };
    for (int[] shape : shapes) {
      RandomTensors random = new RandomTensors(shape[2]);
      QuantizedMatrix w = QuantizedTensors.matrix(shape[1], shape[2], kind, random);
      float[] bias = shape[0] % 2 == 0 ? null : random.normals(shape[1], kind.size());
      float[] x = random.normals(shape[0] * shape[2], 1);
      Rows.assertClose(
          multiply(gemm(), shape[0], x, w, bias),
          multiply(new ScalarGemm(), shape[0], x, w, bias),
          shape[1],
          1e-5,
          kind + ", " + Arrays.toString(shape) + ", " + random);
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void aRowByQuantizedWeightsHasTheSameBitsAloneAndAmongOthers(Kind kind) {
    RandomTensors random = new RandomTensors(71);
    QuantizedMatrix w = QuantizedTensors.matrix(45, 530, kind, random);
    float[] x = random.normals(37 * 530, 1);
    float[] all = multiply(gemm(), 37, x, w, null);
    for (int count : new int[] {1, 2, 4, 7, 20}) {
      float[] tail = Arrays.copyOfRange(x, (37 - count) * 530, x.length);
      Rows.assertSameBits(
          multiply(gemm(), count, tail, w, null),
          Arrays.copyOfRange(all, (37 - count) * 45, all.length),
          kind + ", " + count + " rows, " + random);
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void announcesWhatPackingQuantizedWeightsTakes(Kind kind) {
    RandomTensors random = new RandomTensors(73);
    for (int[] shape : new int[][] {{0, 3}, {1, 1}, {31, 7}, {33, 130}, {128, 64}}) {
      QuantizedMatrix w = QuantizedTensors.matrix(shape[0], shape[1], kind, random);
      try (Arena arena = Arena.ofConfined()) {
        assertThat(gemm().pack(w, arena).bytes())
            .as("%s %d x %d", kind, shape[0], shape[1])
            .isLessThanOrEqualTo(gemm().packedBytes(kind.format(), shape[0], shape[1]));
      }
    }
  }

  @Test
  void announcesWhatPackingTakes() {
    RandomTensors random = new RandomTensors(53);
    for (DType dtype : DType.values()) {
      for (int[] shape : new int[][] {{0, 3}, {1, 1}, {31, 7}, {33, 130}, {128, 64}}) {
        Matrix w = random.matrix(shape[0], shape[1], dtype);
        try (Arena arena = Arena.ofConfined()) {
          assertThat(gemm().pack(w, arena).bytes())
              .as("%s %d x %d", dtype, shape[0], shape[1])
              .isBetween(w.bytes(), gemm().packedBytes(dtype, shape[0], shape[1]));
        }
      }
    }
  }

  @Test
  void packingCopies() {
    RandomTensors random = new RandomTensors(59);
    Matrix w = random.matrix(45, 70, DType.F16);
    float[] x = random.normals(3 * 70, 1);
    float[] expected = multiply(gemm(), 3, x, w, null);
    float[] y = new float[expected.length];
    try (Arena arena = Arena.ofConfined()) {
      PackedMatrix packed = gemm().pack(w, arena);
      w.data().fill((byte) 0x55);
      Workspace ws = workspace(gemm(), gemm().workspaceBytes(3, 70), arena);
      gemm().multiply(3, MemorySegment.ofArray(x), packed, null, MemorySegment.ofArray(y), ws);
    }
    Rows.assertSameBits(y, expected, random);
  }

  @Test
  void emptyShapesAreFine() {
    assertThat(multiply(gemm(), 3, new float[0], Matrix.of(2, 0), new float[] {1, 2}))
        .containsExactly(1, 2, 1, 2, 1, 2);
    assertThat(multiply(gemm(), 2, new float[6], Matrix.of(0, 3), null)).isEmpty();
  }

  @Test
  void refusesWeightsPackedForAnother() {
    Gemm other = gemm() instanceof ScalarGemm ? new VectorGemm() : new ScalarGemm();
    try (Arena arena = Arena.ofConfined()) {
      PackedMatrix w = other.pack(Matrix.of(1, 1, 1), arena);
      MemorySegment x = MemorySegment.ofArray(new float[1]);
      MemorySegment y = MemorySegment.ofArray(new float[1]);
      Workspace ws = workspace(gemm(), gemm().workspaceBytes(1, 1), arena);
      assertThatThrownBy(() -> gemm().multiply(1, x, w, null, y, ws))
          .isInstanceOf(IllegalArgumentException.class)
          .hasMessageContaining("pack them with the kernel that multiplies");
    }
  }

  /** Filled with NaN: what is read before it was written shows. */
  private static Workspace workspace(Gemm gemm, long bytes, Arena arena) {
    Workspace ws =
        gemm instanceof OneDnnGemm ? Workspace.offHeap(bytes, arena) : Workspace.ofBytes(bytes);
    return Workspaces.poison(ws, bytes);
  }

  static float[] multiply(Gemm gemm, int rows, float[] x, Weight w, float[] biasOrNull) {
    float[] y = new float[rows * w.rows()];
    Arrays.fill(y, Float.NaN);
    try (Arena arena = Arena.ofConfined()) {
      Workspace ws = workspace(gemm, gemm.workspaceBytes(rows, w.cols()), arena);
      gemm.multiply(
          rows,
          MemorySegment.ofArray(x),
          gemm.pack(w, arena),
          biasOrNull,
          MemorySegment.ofArray(y),
          ws);
      assertThat(ws.mark()).as("workspace given back").isZero();
    }
    return y;
  }
}

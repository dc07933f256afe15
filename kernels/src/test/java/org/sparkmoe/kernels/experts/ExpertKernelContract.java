package org.sparkmoe.kernels.experts;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.kernels.testing.Codecs;
import org.sparkmoe.kernels.testing.QuantizedTensors;
import org.sparkmoe.kernels.testing.QuantizedTensors.Kind;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.kernels.testing.Rows;
import org.sparkmoe.kernels.testing.Workspaces;

/** What every {@link ExpertKernel} does; one small subclass per backend. */
abstract class ExpertKernelContract {
  abstract ExpertKernel kernel();

  /** Whether it computes weights of {@code kind}. */
  boolean computes(Kind kind) {
    return true;
  }

  /** Whether it quantizes intermediates, and computes with several formats in one expert. */
  boolean quantizesIntermediates() {
    return true;
  }

  /** Relative L2 error of a row that the kernel promises. */
  double tolerance() {
    return 1e-5;
  }

  /** What is exactly right, rounded to f32 at the end. */
  float[] reference(
      ExpertWeights weights, Activation activation, ActivationCodec inner, float[] x) {
    return forward(new ScalarExpertKernel(), weights, activation, inner, x);
  }

  private float[] reference(ExpertWeights weights, Activation activation, float[] x) {
    return reference(weights, activation, ActivationCodec.NONE, x);
  }

  /** Activations it runs. */
  boolean runs(Activation.Kind kind) {
    return true;
  }

  record Case(int rows, int hidden, int intermediate, DType dtype, boolean biases) {}

  static List<Case> awkward() {
    return List.of(
        new Case(0, 16, 32, DType.F32, false),
        new Case(1, 1, 1, DType.F32, true),
        new Case(13, 33, 207, DType.F32, false),
        new Case(33, 13, 1, DType.F16, true),
        new Case(207, 33, 13, DType.BF16, true),
        new Case(5, 207, 33, DType.BF16, false),
        new Case(2, 64, 128, DType.F16, false),
        new Case(9, 600, 40, DType.F32, false));
  }

  @ParameterizedTest
  @MethodSource("awkward")
  void agreesWithTheSpecification(Case c) {
    RandomTensors random = new RandomTensors(c.hashCode());
    ExpertWeights weights =
        random.expert(c.hidden(), c.intermediate(), true, c.biases(), c.dtype());
    float[] x = random.normals(c.rows() * c.hidden(), 1);
    Rows.assertClose(
        forward(kernel(), weights, Activation.SILU, x),
        reference(weights, Activation.SILU, x),
        c.hidden(),
        tolerance(),
        c + ", " + random);
  }

  @ParameterizedTest
  @EnumSource(Activation.Kind.class)
  void computesEveryActivation(Activation.Kind kind) {
    assumeTrue(runs(kind), kind + " is refused");
    Activation activation = new Activation(kind, 1.702f, 2, 1.5f);
    for (double scale : new double[] {0.01, 1, 30}) {
      RandomTensors random = new RandomTensors(17);
      ExpertWeights weights = random.expert(48, 37, kind.gated(), true, DType.F32);
      float[] x = random.normals(7 * 48, scale);
      Rows.assertClose(
          forward(kernel(), weights, activation, x),
          reference(weights, activation, x),
          48,
          tolerance(),
          kind + ", scale " + scale + ", " + random);
    }
  }

  static List<Kind> kinds() {
    return QuantizedTensors.kinds();
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void computesQuantizedWeights(Kind kind) {
    assumeTrue(computes(kind), kind + " is refused");
    int[][] shapes = {{1, 1, 1}, {2, 33, 207}, {13, 65, 70}, {5, 264, 136}};
    for (int[] shape : shapes) {
      RandomTensors random = new RandomTensors(shape[1]);
      ExpertWeights weights =
          QuantizedTensors.expert(shape[1], shape[2], shape[0] % 2 == 0, kind, random);
      float[] x = random.normals(shape[0] * shape[1], 1 / kind.size());
      Rows.assertClose(
          forward(kernel(), weights, Activation.SILU, x),
          reference(weights, Activation.SILU, x),
          shape[1],
          tolerance(),
          kind + ", " + Arrays.toString(shape) + ", " + random);
    }
  }

  static List<ActivationCodec> codecs() {
    return Codecs.all();
  }

  /**
   * Most rows agree as without a codec. In the others a value of the intermediate lies next to a
   * tie, and the kernels' last bits decide to which side it goes: by one step of its code.
   */
  @ParameterizedTest
  @MethodSource("codecs")
  void quantizesTheIntermediate(ActivationCodec codec) {
    assumeTrue(quantizesIntermediates(), "quantized intermediates are refused");
    for (Kind kind : List.of(kinds().get(1), kinds().get(10), kinds().getLast())) {
      RandomTensors random = new RandomTensors(83);
      ExpertWeights weights = QuantizedTensors.expert(75, 300, true, kind, random);
      float[] x = random.normals(37 * 75, 1);
      float[] expected = reference(weights, Activation.SILU, codec, x);
      float[] actual = forward(kernel(), weights, Activation.SILU, codec, x);
      String context = codec.scheme().label() + ", " + kind + ", " + random;
      double step = codec.scheme().codes() == ActivationScheme.Codes.E2M1 ? 6e-2 : 1e-2;
      Rows.assertClose(actual, expected, 75, step, context);
      Rows.assertMedianClose(actual, expected, 75, tolerance(), context);
      assertThat(actual)
          .as("something is quantized, %s", context)
          .isNotEqualTo(forward(kernel(), weights, Activation.SILU, x));
    }
  }

  /** The codec of plain weights, and weights of several kinds in one expert. */
  @Test
  void mixesFormats() {
    assumeTrue(quantizesIntermediates(), "quantized intermediates are refused");
    RandomTensors random = new RandomTensors(89);
    ActivationCodec codec = codecs().get(1);
    ExpertWeights plain = random.expert(75, 300, true, true, DType.BF16);
    ExpertWeights quantized = QuantizedTensors.expert(75, 300, true, kinds().get(1), random);
    ExpertWeights mixed = ExpertWeights.gated(quantized.w1(), quantized.w3OrNull(), plain.w2());
    ExpertWeights reverse = ExpertWeights.gated(plain.w1(), quantized.w3OrNull(), quantized.w2());
    float[] x = random.normals(7 * 75, 1);
    for (ExpertWeights weights : List.of(plain, mixed, reverse)) {
      float[] actual = forward(kernel(), weights, Activation.SILU, codec, x);
      float[] expected = reference(weights, Activation.SILU, codec, x);
      Rows.assertClose(actual, expected, 75, 1e-2, random);
    }
    for (ExpertWeights weights : List.of(mixed, reverse)) {
      float[] actual = forward(kernel(), weights, Activation.SILU, x);
      Rows.assertClose(actual, reference(weights, Activation.SILU, x), 75, tolerance(), random);
    }
  }

  @ParameterizedTest
  @MethodSource("kinds")
  void announcesWhatPreparingTakes(Kind kind) {
    assumeTrue(computes(kind), kind + " is refused");
    RandomTensors random = new RandomTensors(97);
    for (int[] shape : new int[][] {{1, 1}, {33, 130}, {128, 64}}) {
      ExpertWeights weights = QuantizedTensors.expert(shape[0], shape[1], false, kind, random);
      try (Arena arena = Arena.ofConfined()) {
        assertThat(kernel().prepare(weights, Activation.SILU, arena).bytes())
            .as("%s, %s", kind, Arrays.toString(shape))
            .isLessThanOrEqualTo(
                kernel().preparedBytes(kind.format(), kind.format(), shape[0], shape[1], true));
      }
    }
  }

  @ParameterizedTest
  @MethodSource("codecs")
  void aQuantizedRowIgnoresItsNeighbours(ActivationCodec codec) {
    assumeTrue(quantizesIntermediates(), "quantized intermediates are refused");
    RandomTensors random = new RandomTensors(101);
    for (Kind kind : List.of(kinds().get(1), kinds().get(14))) {
      ExpertWeights weights = QuantizedTensors.expert(65, 70, true, kind, random);
      float[] x = random.normals(37 * 65, 1);
      float[] all = forward(kernel(), weights, Activation.SILU, codec, x);
      for (int row = 0; row < 37; row += 3) {
        Rows.assertSameBits(
            forward(kernel(), weights, Activation.SILU, codec, Rows.row(x, 65, row)),
            Rows.row(all, 65, row),
            "row " + row + ", " + kind + ", " + random);
      }
    }
  }

  static List<ActivationCodec> int8Codecs() {
    return Codecs.all().stream()
        .filter(codec -> codec.scheme().codes() == ActivationScheme.Codes.INT8)
        .toList();
  }

  /** Weights, rows and intermediate all in int8: what kernels may multiply as it is. */
  @ParameterizedTest
  @MethodSource("int8Codecs")
  void computesInt8ByInt8(ActivationCodec codec) {
    assumeTrue(quantizesIntermediates(), "quantized intermediates are refused");
    int[][] shapes = {{1, 1, 1}, {2, 33, 207}, {13, 65, 70}, {300, 40, 24}, {5, 1100, 1030}};
    for (Kind kind : List.of(kinds().get(7), kinds().get(8))) {
      for (int[] shape : shapes) {
        RandomTensors random = new RandomTensors(shape[1]);
        ExpertWeights weights =
            QuantizedTensors.expert(shape[1], shape[2], shape[0] % 2 == 0, kind, random);
        float[] x = random.normals(shape[0] * shape[1], 1);
        codec.requantize(shape[0], shape[1], MemorySegment.ofArray(x));
        ExpertKernel scalar = new ScalarExpertKernel();
        float[] expected = forward(scalar, weights, Activation.SILU, codec, codec, x);
        float[] actual = forward(kernel(), weights, Activation.SILU, codec, codec, x);
        String context = codec.scheme().label() + ", " + kind + ", " + random;
        Rows.assertClose(actual, expected, shape[1], 2e-2, context);
        if (shape[0] > 1) {
          Rows.assertMedianClose(actual, expected, shape[1], tolerance(), context);
        }
        for (int row = 0; row < shape[0]; row += 7) {
          float[] alone = Rows.row(x, shape[1], row);
          Rows.assertSameBits(
              forward(kernel(), weights, Activation.SILU, codec, codec, alone),
              Rows.row(actual, shape[1], row),
              "row " + row + ", " + context);
        }
      }
    }
  }

  @ParameterizedTest
  @MethodSource("int8Codecs")
  void nanStaysInItsRowOfInt8(ActivationCodec codec) {
    assumeTrue(quantizesIntermediates(), "quantized intermediates are refused");
    RandomTensors random = new RandomTensors(107);
    ExpertWeights weights = QuantizedTensors.expert(33, 40, true, kinds().get(7), random);
    float[] x = random.normals(9 * 33, 1);
    codec.requantize(9, 33, MemorySegment.ofArray(x));
    float[] clean = forward(kernel(), weights, Activation.SILU, codec, codec, x);
    x[4 * 33 + 2] = Float.NaN;
    float[] dirty = forward(kernel(), weights, Activation.SILU, codec, codec, x);
    for (int row = 0; row < 9; row++) {
      float[] actual = Rows.row(dirty, 33, row);
      if (row == 4) {
        for (float value : actual) {
          assertThat(value).as("%s", random).isNaN();
        }
      } else {
        Rows.assertSameBits(actual, Rows.row(clean, 33, row), "row " + row + ", " + random);
      }
    }
  }

  /** H and I for which a row's bits do not depend on its batch: any at all, if nothing else. */
  int[] widthsOfEqualBits() {
    return new int[] {65, 70};
  }

  @Test
  void aRowIgnoresItsNeighbours() {
    int hidden = widthsOfEqualBits()[0];
    RandomTensors random = new RandomTensors(11);
    ExpertWeights weights = random.expert(hidden, widthsOfEqualBits()[1], true, true, DType.BF16);
    float[] x = random.normals(37 * hidden, 1);
    float[] all = forward(kernel(), weights, Activation.SILU, x);
    for (int row = 0; row < 37; row++) {
      Rows.assertSameBits(
          forward(kernel(), weights, Activation.SILU, Rows.row(x, hidden, row)),
          Rows.row(all, hidden, row),
          "row " + row + ", " + random);
    }
  }

  @Test
  void nanStaysInItsRow() {
    int hidden = 33;
    RandomTensors random = new RandomTensors(23);
    ExpertWeights weights = random.expert(hidden, 20, true, false, DType.F32);
    float[] x = random.normals(9 * hidden, 1);
    float[] clean = forward(kernel(), weights, Activation.SILU, x);
    x[4 * hidden + 2] = Float.NaN;
    float[] dirty = forward(kernel(), weights, Activation.SILU, x);
    for (int row = 0; row < 9; row++) {
      float[] actual = Rows.row(dirty, hidden, row);
      if (row == 4) {
        for (float value : actual) {
          assertThat(value).as("%s", random).isNaN();
        }
      } else {
        Rows.assertSameBits(actual, Rows.row(clean, hidden, row), "row " + row + ", " + random);
      }
    }
  }

  @Test
  void readsAndWritesNativeMemory() {
    RandomTensors random = new RandomTensors(29);
    ExpertWeights weights = random.expert(19, 21, true, false, DType.F16);
    float[] x = random.normals(6 * 19, 1);
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment in = arena.allocateFrom(DType.LE_FLOAT, x);
      MemorySegment out = arena.allocate(in.byteSize());
      ActivationCodec none = ActivationCodec.NONE;
      run(kernel(), weights, Activation.SILU, none, none, 6, in, out, arena);
      Rows.assertSameBits(Rows.floats(out), forward(kernel(), weights, Activation.SILU, x), random);
    }
  }

  @Test
  void refusesWeightsThatDoNotFitTheActivation() {
    RandomTensors random = new RandomTensors(1);
    ExpertWeights ungated = random.expert(4, 4, false, false, DType.F32);
    try (Arena arena = Arena.ofConfined()) {
      assertThatThrownBy(() -> kernel().prepare(ungated, Activation.SILU, arena))
          .hasMessage("activation SILU and an expert without w3 do not go together");
    }
  }

  static float[] forward(
      ExpertKernel kernel, ExpertWeights weights, Activation activation, float[] x) {
    return forward(kernel, weights, activation, ActivationCodec.NONE, x);
  }

  static float[] forward(
      ExpertKernel kernel,
      ExpertWeights weights,
      Activation activation,
      ActivationCodec inner,
      float[] x) {
    return forward(kernel, weights, activation, ActivationCodec.NONE, inner, x);
  }

  static float[] forward(
      ExpertKernel kernel,
      ExpertWeights weights,
      Activation activation,
      ActivationCodec input,
      ActivationCodec inner,
      float[] x) {
    float[] y = new float[x.length];
    Arrays.fill(y, Float.NaN);
    try (Arena arena = Arena.ofConfined()) {
      run(
          kernel,
          weights,
          activation,
          input,
          inner,
          x.length / weights.hidden(),
          MemorySegment.ofArray(x),
          MemorySegment.ofArray(y),
          arena);
    }
    return y;
  }

  private static void run(
      ExpertKernel kernel,
      ExpertWeights weights,
      Activation activation,
      ActivationCodec input,
      ActivationCodec inner,
      int rows,
      MemorySegment x,
      MemorySegment y,
      Arena arena) {
    long bytes = kernel.workspaceBytes(rows, weights.hidden(), weights.intermediate());
    Workspace ws = Workspaces.poison(kernel.workspace(bytes, arena), bytes);
    PreparedExpert expert = kernel.prepare(weights, activation, input, inner, arena);
    kernel.forward(expert, rows, x, y, ws);
    assertThat(ws.mark()).as("workspace given back").isZero();
  }
}

package org.sparkmoe.kernels.experts;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.sparkmoe.kernels.backend.Backend;
import org.sparkmoe.kernels.cuda.Cuda;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.testing.NeedsGpu;
import org.sparkmoe.kernels.testing.QuantizedTensors;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.kernels.testing.Rows;

@NeedsGpu
final class CudaExpertKernelTest extends ExpertKernelContract {
  private static final int HIDDEN = 2048;
  private static final int INTERMEDIATE = 1088;

  @Override
  ExpertKernel kernel() {
    return new CudaExpertKernel();
  }

  @Override
  boolean computes(QuantizedTensors.Kind kind) {
    return Backend.CUDA.refusal(kind.format()).isEmpty();
  }

  @Override
  boolean quantizesIntermediates() {
    return false;
  }

  /** Of the emulation: a sum next to a tie may round to the other side. */
  @Override
  double tolerance() {
    return 4e-3;
  }

  @Override
  float[] reference(
      ExpertWeights weights, Activation activation, ActivationCodec inner, float[] x) {
    return RoundedExpert.forward(weights, activation, x);
  }

  @ParameterizedTest
  @EnumSource(Activation.Kind.class)
  void f32IsNotRounded(Activation.Kind kind) {
    Activation activation = new Activation(kind, 1.702f, 2, 1.5f);
    RandomTensors random = new RandomTensors(19);
    ExpertWeights weights = random.expert(333, 129, kind.gated(), true, DType.F32);
    float[] x = random.normals(70 * 333, 1);
    Rows.assertClose(
        forward(kernel(), weights, activation, x),
        forward(new ScalarExpertKernel(), weights, activation, x),
        333,
        1e-5,
        kind + ", " + random);
  }

  @ParameterizedTest
  @EnumSource(names = {"BF16", "F16"})
  void tensorCoresComputeEveryActivation(DType type) {
    for (Activation.Kind kind : Activation.Kind.values()) {
      Activation activation = new Activation(kind, 1.702f, 2, 1.5f);
      RandomTensors random = new RandomTensors(37);
      ExpertWeights weights = random.expert(200, 150, kind.gated(), true, type);
      float[] x = random.normals(131 * 200, 1);
      Rows.assertClose(
          forward(kernel(), weights, activation, x),
          RoundedExpert.forward(weights, activation, x),
          200,
          tolerance(),
          kind + ", " + type + ", " + random);
    }
  }

  @ParameterizedTest
  @EnumSource
  void realSizesAgreeWithTheSpecification(DType type) {
    RandomTensors random = new RandomTensors(61);
    ExpertWeights weights = random.expert(HIDDEN, INTERMEDIATE, true, true, type);
    float[] x = random.normals(3 * HIDDEN, 1);
    Rows.assertClose(
        forward(kernel(), weights, Activation.SILU, x),
        forward(new ScalarExpertKernel(), weights, Activation.SILU, x),
        HIDDEN,
        type == DType.F32 ? 1e-5 : 1e-2,
        type + ", " + random);
  }

  @ParameterizedTest
  @EnumSource
  void aRowHasTheSameBitsInBatchesOfAnySizeAndInEveryRun(DType type) {
    RandomTensors random = new RandomTensors(67);
    ExpertWeights weights = random.expert(HIDDEN, INTERMEDIATE, true, false, type);
    int rows = 300;
    float[] x = random.normals(rows * HIDDEN, 1);
    float[] all = forward(kernel(), weights, Activation.SILU, x);
    for (int count : new int[] {1, 2, 7, 16, 17, 63, 64, 65, 127, 128, 129, 255, 256, 300}) {
      int from = (rows - count) * HIDDEN;
      Rows.assertSameBits(
          forward(kernel(), weights, Activation.SILU, Arrays.copyOfRange(x, from, x.length)),
          Arrays.copyOfRange(all, from, all.length),
          type + ", " + count + " rows, " + random);
    }
  }

  @Test
  void threadsShareTheGpu() {
    RandomTensors random = new RandomTensors(71);
    ExpertWeights weights = random.expert(640, 320, true, true, DType.BF16);
    float[] x = random.normals(20 * 640, 1);
    float[] alone = forward(kernel(), weights, Activation.SILU, x);
    IntStream.range(0, 64)
        .parallel()
        .forEach(
            i -> {
              float[] some = Arrays.copyOf(x, (1 + i % 20) * 640);
              Rows.assertSameBits(
                  forward(kernel(), weights, Activation.SILU, some),
                  Arrays.copyOf(alone, some.length),
                  random);
            });
  }

  @Test
  void memoryOfTheGpuGoesWithItsArena() {
    CudaExpertKernel kernel = new CudaExpertKernel();
    ExpertWeights weights = new RandomTensors(5).expert(1024, 4096, true, false, DType.BF16);
    try (Arena warm = Arena.ofConfined()) {
      kernel.prepare(weights, Activation.SILU, warm);
    }
    long before = kernel.gpu().freeBytes();
    try (Arena arena = Arena.ofShared()) {
      PreparedExpert expert = kernel.prepare(weights, Activation.SILU, arena);
      assertThat(expert.bytes()).isGreaterThanOrEqualTo(weights.bytes());
      assertThat(kernel.gpu().freeBytes()).isLessThan(before);
    }
    assertThat(kernel.gpu().freeBytes()).isEqualTo(before);
  }

  @Test
  void refusesProjectionsOfDifferentTypes() {
    ExpertWeights a = new RandomTensors(5).expert(8, 16, true, false, DType.BF16);
    ExpertWeights b = new RandomTensors(5).expert(8, 16, true, false, DType.F16);
    ExpertWeights mixed = ExpertWeights.gated(a.w1(), a.w3OrNull(), b.w2());
    try (Arena arena = Arena.ofConfined()) {
      assertThatThrownBy(() -> kernel().prepare(mixed, Activation.SILU, arena))
          .hasMessage(
              "projections in bf16 and f16 do not run on cuda together; use onednn or vector");
    }
  }

  static List<ActivationCodec> fp8Codecs() {
    return List.of(
        ActivationCodec.of(ActivationScheme.fp8PerBlock(128, ScaleType.F32)),
        ActivationCodec.of(ActivationScheme.fp8PerBlock(128, ScaleType.E8M0)));
  }

  private static List<QuantizedTensors.Kind> fp8Blocks() {
    return kinds().stream()
        .filter(kind -> kind.name().equals("fp8 block") || kind.name().equals("fp8 block, e8m0"))
        .toList();
  }

  /** As the specification, but for values of the intermediate next to a tie, one step of a code. */
  @ParameterizedTest
  @MethodSource("fp8Codecs")
  void fp8RowsAgreeWithTheSpecification(ActivationCodec codec) {
    assumeThatFp8Runs();
    int[][] shapes = {{1, 1, 1}, {2, 33, 207}, {13, 65, 70}, {5, 264, 136}, {300, 40, 24}};
    for (QuantizedTensors.Kind kind : fp8Blocks()) {
      for (int[] shape : shapes) {
        RandomTensors random = new RandomTensors(shape[1]);
        ExpertWeights weights =
            QuantizedTensors.expert(shape[1], shape[2], shape[0] % 2 == 0, kind, random);
        assertFp8(weights, Activation.SILU, codec, shape[0], kind + ", " + random);
      }
      RandomTensors random = new RandomTensors(83);
      ExpertWeights large = QuantizedTensors.expert(HIDDEN, INTERMEDIATE, false, kind, random);
      assertFp8(large, Activation.SILU, codec, 9, kind + ", " + random);
    }
  }

  @ParameterizedTest
  @EnumSource
  void fp8RowsGoThroughEveryGatedActivation(Activation.Kind kind) {
    assumeThatFp8Runs();
    assumeTrue(kind.gated(), kind + " is refused");
    RandomTensors random = new RandomTensors(89);
    ExpertWeights weights = QuantizedTensors.expert(300, 200, true, fp8Blocks().getFirst(), random);
    Activation activation = new Activation(kind, 1.702f, 2, 1.5f);
    assertFp8(weights, activation, fp8Codecs().getFirst(), 70, kind + ", " + random);
  }

  private void assertFp8(
      ExpertWeights weights, Activation activation, ActivationCodec codec, int rows, Object what) {
    int hidden = weights.hidden();
    float[] x = new RandomTensors(97).normals(rows * hidden, 1);
    codec.requantize(rows, hidden, MemorySegment.ofArray(x));
    float[] expected = forward(new ScalarExpertKernel(), weights, activation, codec, codec, x);
    float[] actual = forward(kernel(), weights, activation, codec, codec, x);
    String context = codec.scheme().label() + ", " + what;
    // A step is an eighth of the value, which may be all of a short intermediate. Where scales are
    // powers of two, the largest value is next to a tie as often as others are.
    double steps = weights.intermediate() < 128 ? 0.13 : 3e-2;
    Rows.assertClose(actual, expected, hidden, steps, context);
    // Of five rows, three may be a step away.
    if (rows > 8) {
      Rows.assertMedianClose(actual, expected, hidden, 6e-3, context);
    }
    Rows.assertSameBits(
        forward(kernel(), weights, activation, codec, codec, x), actual, "again, " + context);
  }

  @ParameterizedTest
  @MethodSource("fp8Codecs")
  void fp8RowsKeepTheirBitsInBatchesOfAnySize(ActivationCodec codec) {
    assumeThatFp8Runs();
    RandomTensors random = new RandomTensors(101);
    int hidden = 1000;
    ExpertWeights weights =
        QuantizedTensors.expert(hidden, 520, true, fp8Blocks().getFirst(), random);
    int rows = 260;
    float[] x = random.normals(rows * hidden, 1);
    codec.requantize(rows, hidden, MemorySegment.ofArray(x));
    float[] all = forward(kernel(), weights, Activation.SILU, codec, codec, x);
    for (int count : new int[] {1, 15, 63, 64, 65, 127, 128, 129, 200, 256}) {
      int from = (rows - count) * hidden;
      float[] some = Arrays.copyOfRange(x, from, x.length);
      Rows.assertSameBits(
          forward(kernel(), weights, Activation.SILU, codec, codec, some),
          Arrays.copyOfRange(all, from, all.length),
          count + " rows, " + random);
    }
    x[4 * hidden + 2] = Float.NaN;
    float[] dirty = forward(kernel(), weights, Activation.SILU, codec, codec, x);
    for (int row = 0; row < rows; row++) {
      if (row == 4) {
        for (float value : Rows.row(dirty, hidden, row)) {
          assertThat(value).as("%s", random).isNaN();
        }
      } else {
        Rows.assertSameBits(
            Rows.row(dirty, hidden, row), Rows.row(all, hidden, row), "row " + row + ", " + random);
      }
    }
  }

  private static void assumeThatFp8Runs() {
    Cuda.fp8Refusal().ifPresent(reason -> assumeTrue(false, reason));
  }

  /** Real sizes: many stages, groups that end within them, and tiles with all numbers of rows. */
  @ParameterizedTest
  @MethodSource("kinds")
  void unpackedWeightsKeepTheirBitsInBatchesOfAnySize(QuantizedTensors.Kind kind) {
    assumeTrue(computes(kind), kind + " is refused");
    RandomTensors random = new RandomTensors(73);
    int hidden = 1000;
    ExpertWeights weights = QuantizedTensors.expert(hidden, 520, true, kind, random);
    int rows = 260;
    float[] x = random.normals(rows * hidden, 1 / kind.size());
    float[] all = forward(kernel(), weights, Activation.SILU, x);
    float[] some = Arrays.copyOf(x, 3 * hidden);
    Rows.assertClose(
        Arrays.copyOf(all, some.length),
        RoundedExpert.forward(weights, Activation.SILU, some),
        hidden,
        tolerance(),
        kind + ", " + random);
    for (int count : new int[] {1, 15, 16, 17, 32, 33, 64, 100, 127, 128, 129}) {
      int from = (rows - count) * hidden;
      Rows.assertSameBits(
          forward(kernel(), weights, Activation.SILU, Arrays.copyOfRange(x, from, x.length)),
          Arrays.copyOfRange(all, from, all.length),
          kind + ", " + count + " rows, " + random);
    }
  }

  @Test
  void quantizedExpertsNeedNoUpProjection() {
    Activation relu2 = new Activation(Activation.Kind.RELU2_NO_MUL, 1, 1, 3);
    for (QuantizedTensors.Kind kind : kinds().stream().filter(this::computes).toList()) {
      RandomTensors random = new RandomTensors(79);
      ExpertWeights gated = QuantizedTensors.expert(200, 150, false, kind, random);
      ExpertWeights weights = new ExpertWeights(gated.w1(), null, gated.w2(), null, null, null);
      float[] x = random.normals(40 * 200, 1 / kind.size());
      Rows.assertClose(
          forward(kernel(), weights, relu2, x),
          RoundedExpert.forward(weights, relu2, x),
          200,
          tolerance(),
          kind + ", " + random);
    }
  }

  @Test
  void refusesActOrderAndOtherQuantizedIntermediates() {
    QuantizedTensors.Kind ordered =
        kinds().stream().filter(kind -> kind.format().ordered()).findFirst().orElseThrow();
    ExpertWeights a = QuantizedTensors.expert(64, 64, false, ordered, new RandomTensors(5));
    ExpertWeights b = new RandomTensors(5).expert(8, 16, true, false, DType.BF16);
    ActivationCodec codec = codecs().get(1);
    try (Arena arena = Arena.ofConfined()) {
      assertThatThrownBy(() -> kernel().prepare(a, Activation.SILU, arena))
          .hasMessage(Backend.CUDA.refusal(ordered.format()).orElseThrow());
      assertThatThrownBy(
              () -> kernel().prepare(b, Activation.SILU, ActivationCodec.NONE, codec, arena))
          .hasMessage(
              "an intermediate in e4m3 per token between weights stored as bf16 does not run on"
                  + " cuda; use onednn or vector");
    }
  }
}

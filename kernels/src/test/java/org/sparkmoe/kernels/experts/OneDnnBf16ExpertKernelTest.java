package org.sparkmoe.kernels.experts;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.onednn.OneDnn;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.testing.NeedsOneDnn;
import org.sparkmoe.kernels.testing.RandomTensors;

@NeedsOneDnn
final class OneDnnBf16ExpertKernelTest extends ExpertKernelContract {

  @BeforeAll
  static void needsTheInstructions() {
    Optional<String> refusal = OneDnn.bf16Refusal();
    assumeTrue(refusal.isEmpty(), () -> refusal.orElseThrow());
  }

  @Override
  ExpertKernel kernel() {
    return new OneDnnExpertKernel(DType.BF16);
  }

  /** Of the emulation: a sum next to a tie may round to the other side. */
  @Override
  double tolerance() {
    return 4e-3;
  }

  /** Rounds what the kernel rounds: rows, weights and the intermediate. */
  @Override
  float[] reference(
      ExpertWeights weights, Activation activation, ActivationCodec codec, float[] x) {
    int hidden = weights.hidden();
    float[] y = new float[x.length];
    double[] token = new double[hidden];
    double[] inner = new double[weights.intermediate()];
    for (int row = 0; row < x.length / hidden; row++) {
      for (int h = 0; h < hidden; h++) {
        token[h] = rounded(x[row * hidden + h]);
      }
      for (int i = 0; i < inner.length; i++) {
        double gate = dot(weights.w1(), i, token, weights.b1OrNull());
        double up = activation.gated() ? dot(weights.w3OrNull(), i, token, weights.b3OrNull()) : 0;
        inner[i] = ScalarActivation.apply(activation, gate, up);
      }
      quantize(codec, inner);
      for (int h = 0; h < hidden; h++) {
        y[row * hidden + h] = (float) dot(weights.w2(), h, inner, weights.b2OrNull());
      }
    }
    return y;
  }

  private static void quantize(ActivationCodec codec, double[] inner) {
    float[] values = new float[inner.length];
    for (int i = 0; i < inner.length; i++) {
      values[i] = (float) inner[i];
    }
    codec.requantize(values, 0, values.length);
    for (int i = 0; i < inner.length; i++) {
      inner[i] = rounded(values[i]);
    }
  }

  private static double dot(Weight w, int row, double[] x, float[] biasOrNull) {
    double sum = biasOrNull == null ? 0 : biasOrNull[row];
    for (int k = 0; k < w.cols(); k++) {
      sum += rounded((float) w.value(row, k)) * x[k];
    }
    return sum;
  }

  private static float rounded(float value) {
    return DType.bf16ToFloat(DType.floatToBf16(value));
  }

  @Override
  boolean runs(Activation.Kind kind) {
    return kind != Activation.Kind.SITU;
  }

  /** With AMX, oneDNN sums what is left of K beyond multiples of 32 in an order of its own. */
  @Override
  int[] widthsOfEqualBits() {
    return hasAmx() ? new int[] {96, 160} : super.widthsOfEqualBits();
  }

  private static boolean hasAmx() {
    try {
      return Files.readString(Path.of("/proc/cpuinfo")).contains(" amx_bf16 ");
    } catch (IOException e) {
      return false;
    }
  }

  @Test
  void holdsWiderWeightsInBf16() {
    ExpertWeights f32 = new RandomTensors(5).expert(128, 192, true, false, DType.F32);
    try (Arena arena = Arena.ofConfined()) {
      assertThat(kernel().prepare(f32, Activation.SILU, arena).bytes()).isEqualTo(f32.bytes() / 2);
    }
  }

  @Test
  void refusesAnActivationItCannotFuse() {
    ExpertWeights weights = new RandomTensors(5).expert(8, 16, true, false, DType.BF16);
    Activation situ = new Activation(Activation.Kind.SITU, 0, 1, 1);
    try (Arena arena = Arena.ofConfined()) {
      assertThatThrownBy(() -> kernel().prepare(weights, situ, arena))
          .hasMessage("activation SITU does not run in bf16; use onednn");
    }
  }
}

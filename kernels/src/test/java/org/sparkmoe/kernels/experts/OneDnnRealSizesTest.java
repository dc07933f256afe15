package org.sparkmoe.kernels.experts;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Optional;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.sparkmoe.kernels.onednn.OneDnn;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.kernels.testing.NeedsOneDnn;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.kernels.testing.Rows;

/** An expert of OLMoE's size, with several panels and slices, where kernels block differently. */
@NeedsOneDnn
final class OneDnnRealSizesTest {
  private static final int HIDDEN = 2048;
  private static final int INTERMEDIATE = 1088;
  private static final int ROWS = 300;
  private static final int[] COUNTS = {1, 2, 3, 7, 8, 15, 17, 31, 48, 65, 100, 129, 255, 256, 300};

  private static final OneDnnExpertKernel F32 = new OneDnnExpertKernel(DType.F32);

  @ParameterizedTest
  @EnumSource
  void agreesWithF64(DType dtype) {
    agreesWithF64(F32, dtype, 1e-5);
  }

  @Test
  void bf16AgreesWithF64() {
    agreesWithF64(bf16(), DType.BF16, 1e-2);
  }

  private static OneDnnExpertKernel bf16() {
    Optional<String> refusal = OneDnn.bf16Refusal();
    assumeTrue(refusal.isEmpty(), () -> refusal.orElseThrow());
    return new OneDnnExpertKernel(DType.BF16);
  }

  private static void agreesWithF64(OneDnnExpertKernel kernel, DType dtype, double tolerance) {
    RandomTensors random = new RandomTensors(61);
    ExpertWeights weights = random.expert(HIDDEN, INTERMEDIATE, true, true, dtype);
    int rows = 5;
    float[] x = random.normals(rows * HIDDEN, 1);
    float[] y = new float[x.length];
    try (Arena arena = Arena.ofConfined()) {
      PreparedExpert expert = kernel.prepare(weights, Activation.SILU, arena);
      assertThat(expert.bytes()).as("stored width").isEqualTo(weights.bytes());
      forward(kernel, expert, x, y, arena);
    }
    for (int row = 0; row < rows; row++) {
      double[] token = widen(Rows.row(x, HIDDEN, row));
      double[] gate = product(weights.w1(), token, weights.b1OrNull());
      double[] up = product(weights.w3OrNull(), token, weights.b3OrNull());
      for (int i = 0; i < gate.length; i++) {
        gate[i] = ScalarActivation.apply(Activation.SILU, gate[i], up[i]);
      }
      double[] exact = product(weights.w2(), gate, weights.b2OrNull());
      float[] expected = new float[HIDDEN];
      for (int h = 0; h < HIDDEN; h++) {
        expected[h] = (float) exact[h];
      }
      Rows.assertClose(
          Rows.row(y, HIDDEN, row),
          expected,
          HIDDEN,
          tolerance,
          dtype + ", row " + row + ", " + random);
    }
  }

  @ParameterizedTest
  @EnumSource
  void aRowHasTheSameBitsInBatchesOfAnySize(DType dtype) {
    sameBits(F32, dtype);
  }

  @Test
  void bf16RowsHaveTheSameBitsInBatchesOfAnySize() {
    sameBits(bf16(), DType.BF16);
  }

  private static void sameBits(OneDnnExpertKernel kernel, DType dtype) {
    RandomTensors random = new RandomTensors(67);
    ExpertWeights weights = random.expert(HIDDEN, INTERMEDIATE, true, false, dtype);
    float[] x = random.normals(ROWS * HIDDEN, 1);
    float[] all = new float[x.length];
    try (Arena arena = Arena.ofConfined()) {
      PreparedExpert expert = kernel.prepare(weights, Activation.SILU, arena);
      forward(kernel, expert, x, all, arena);
      for (int count : COUNTS) {
        int from = ROWS - count;
        float[] y = new float[count * HIDDEN];
        forward(kernel, expert, Arrays.copyOfRange(x, from * HIDDEN, x.length), y, arena);
        Rows.assertSameBits(
            y,
            Arrays.copyOfRange(all, from * HIDDEN, all.length),
            dtype + ", " + count + " rows, " + random);
      }
    }
  }

  @Test
  void threadsShareAnExpert() {
    RandomTensors random = new RandomTensors(71);
    ExpertWeights weights = random.expert(HIDDEN, INTERMEDIATE, true, true, DType.BF16);
    float[] x = random.normals(20 * HIDDEN, 1);
    try (Arena arena = Arena.ofShared()) {
      PreparedExpert expert = F32.prepare(weights, Activation.SILU, arena);
      float[] alone = new float[x.length];
      forward(F32, expert, x, alone, arena);
      IntStream.range(0, 64)
          .parallel()
          .forEach(
              i -> {
                int count = 1 + i % 20;
                float[] y = new float[count * HIDDEN];
                forward(F32, expert, Arrays.copyOf(x, y.length), y, arena);
                Rows.assertSameBits(y, Arrays.copyOf(alone, y.length), count + " rows, " + random);
              });
    }
  }

  private static void forward(
      OneDnnExpertKernel kernel, PreparedExpert expert, float[] x, float[] y, Arena arena) {
    int rows = x.length / HIDDEN;
    long bytes = kernel.workspaceBytes(rows, HIDDEN, INTERMEDIATE);
    Workspace ws = kernel.workspace(bytes, arena);
    kernel.forward(expert, rows, MemorySegment.ofArray(x), MemorySegment.ofArray(y), ws);
  }

  private static double[] product(Weight w, double[] x, float[] bias) {
    double[] y = new double[w.rows()];
    for (int n = 0; n < y.length; n++) {
      double sum = bias[n];
      for (int k = 0; k < x.length; k++) {
        sum += w.value(n, k) * x[k];
      }
      y[n] = sum;
    }
    return y;
  }

  private static double[] widen(float[] values) {
    double[] wide = new double[values.length];
    for (int i = 0; i < wide.length; i++) {
      wide[i] = values[i];
    }
    return wide;
  }
}

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
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.kernels.testing.RandomTensors;
import org.sparkmoe.kernels.testing.Rows;
import org.sparkmoe.kernels.testing.Workspaces;

/** What every {@link ExpertKernel} does; one small subclass per backend. */
abstract class ExpertKernelContract {
  abstract ExpertKernel kernel();

  /** Relative L2 error of a row that the kernel promises. */
  double tolerance() {
    return 1e-5;
  }

  /** What is exactly right, rounded to f32 at the end. */
  float[] reference(ExpertWeights weights, Activation activation, float[] x) {
    return forward(new ScalarExpertKernel(), weights, activation, x);
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

  @Test
  void aRowIgnoresItsNeighbours() {
    int hidden = 65;
    RandomTensors random = new RandomTensors(11);
    ExpertWeights weights = random.expert(hidden, 70, true, true, DType.BF16);
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
      run(kernel(), weights, Activation.SILU, 6, in, out, arena);
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
    float[] y = new float[x.length];
    Arrays.fill(y, Float.NaN);
    try (Arena arena = Arena.ofConfined()) {
      run(
          kernel,
          weights,
          activation,
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
      int rows,
      MemorySegment x,
      MemorySegment y,
      Arena arena) {
    long bytes = kernel.workspaceBytes(rows, weights.hidden(), weights.intermediate());
    Workspace ws = Workspaces.poison(kernel.workspace(bytes, arena), bytes);
    kernel.forward(kernel.prepare(weights, activation, arena), rows, x, y, ws);
    assertThat(ws.mark()).as("workspace given back").isZero();
  }
}

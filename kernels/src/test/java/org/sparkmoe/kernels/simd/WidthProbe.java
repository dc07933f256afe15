package org.sparkmoe.kernels.simd;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import java.util.function.Supplier;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.experts.VectorExpertKernel;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Workspace;
import org.sparkmoe.kernels.testing.QuantizedTensors;
import org.sparkmoe.kernels.testing.QuantizedTensors.Kind;
import org.sparkmoe.kernels.testing.RandomTensors;

/**
 * Runs every activation, element type and kind of quantized weight once. {@link RegisterWidthTest}
 * loads it several times, each time among kernels of another register width. The first value is
 * that width in lanes.
 */
public final class WidthProbe implements Supplier<float[]> {
  private static final int ROWS = 11;
  private static final int HIDDEN = 45;
  private static final int INTERMEDIATE = 300;

  @Override
  public float[] get() {
    int perRun = ROWS * HIDDEN;
    List<Kind> kinds = QuantizedTensors.kinds();
    float[] out =
        new float
            [1 + (Activation.Kind.values().length * DType.values().length + kinds.size()) * perRun];
    out[0] = Simd.LANES;
    int at = 1;
    for (Activation.Kind kind : Activation.Kind.values()) {
      for (DType dtype : DType.values()) {
        Activation activation = new Activation(kind, 1.702f, 1, 7);
        RandomTensors random = new RandomTensors(97);
        boolean gated = activation.gated();
        float[] y =
            run(random.expert(HIDDEN, INTERMEDIATE, gated, true, dtype), activation, random);
        System.arraycopy(y, 0, out, at, perRun);
        at += perRun;
      }
    }
    for (Kind kind : kinds) {
      RandomTensors random = new RandomTensors(97);
      ExpertWeights weights = QuantizedTensors.expert(HIDDEN, INTERMEDIATE, true, kind, random);
      System.arraycopy(run(weights, Activation.SILU, random), 0, out, at, perRun);
      at += perRun;
    }
    return out;
  }

  private static float[] run(ExpertWeights weights, Activation activation, RandomTensors random) {
    float[] y = new float[ROWS * HIDDEN];
    var kernel = new VectorExpertKernel();
    try (Arena arena = Arena.ofConfined()) {
      Workspace ws = Workspace.ofBytes(kernel.workspaceBytes(ROWS, HIDDEN, INTERMEDIATE));
      kernel.forward(
          kernel.prepare(weights, activation, arena),
          ROWS,
          random.activations(ROWS, HIDDEN),
          MemorySegment.ofArray(y),
          ws);
    }
    return y;
  }
}

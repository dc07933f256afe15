package org.sparkmoe.kernels.layer;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.sparkmoe.kernels.experts.Activation;
import org.sparkmoe.kernels.experts.ExpertKernel;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.experts.PreparedExpert;
import org.sparkmoe.kernels.gemm.PackedMatrix;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.LayerCodecs;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * The expert of every token: {@code sharedExpert(x) · σ(gate · x)}, without a gate just the first.
 */
record SharedExpert(
    ExpertKernel kernel, PreparedExpert expert, ActivationCodec input, PackedMatrix gateOrNull) {

  static SharedExpert prepare(
      ExpertWeights weights,
      Optional<Matrix> gate,
      Activation activation,
      ExpertKernel kernel,
      LayerCodecs codecs,
      Arena arena) {
    return new SharedExpert(
        kernel,
        kernel.prepare(weights, activation, codecs.sharedInput(), codecs.sharedInner(), arena),
        codecs.sharedInput(),
        gate.map(row -> kernel.gemm().pack(row, arena)).orElse(null));
  }

  long workspaceBytes(int tokens) {
    long copy = input.isIdentity() ? 0 : Workspace.bytes((long) tokens * expert.hidden());
    return Workspace.bytes(tokens)
        + copy
        + Math.max(
            kernel.workspaceBytes(tokens, expert.hidden(), expert.intermediate()),
            kernel.gemm().workspaceBytes(tokens, expert.hidden()));
  }

  /** The gate reads the input as it is, the projections what is left of it when quantized. */
  private void experts(int tokens, MemorySegment hidden, MemorySegment out, Workspace ws) {
    if (input.isIdentity()) {
      kernel.forward(expert, tokens, hidden, out, ws);
      return;
    }
    int mark = ws.mark();
    long values = (long) tokens * expert.hidden();
    MemorySegment copy = ws.segment(values);
    MemorySegment.copy(hidden, 0, copy, 0, DType.F32.bytes(values));
    input.requantize(tokens, expert.hidden(), copy);
    kernel.forward(expert, tokens, copy, out, ws);
    ws.release(mark);
  }

  /**
   * As {@link #forward}, for rows that have been through the codec of its input.
   *
   * @throws IllegalStateException where there is a gate: it reads the rows as they were before
   */
  void forwardQuantized(int tokens, MemorySegment rows, MemorySegment out, Workspace ws) {
    if (gateOrNull != null) {
      throw new IllegalStateException("the gate of a shared expert reads unquantized rows");
    }
    kernel.forward(expert, tokens, rows, out, ws);
  }

  void forward(int tokens, MemorySegment hidden, MemorySegment out, Workspace ws) {
    experts(tokens, hidden, out, ws);
    if (gateOrNull == null) {
      return;
    }
    int mark = ws.mark();
    MemorySegment gates = ws.segment(tokens);
    kernel.gemm().multiply(tokens, hidden, gateOrNull, null, gates, ws);
    float[] row = new float[expert.hidden()];
    for (int token = 0; token < tokens; token++) {
      float gate = (float) (1 / (1 + Math.exp(-DType.F32.get(gates, token))));
      long from = DType.F32.bytes((long) token * row.length);
      MemorySegment.copy(out, DType.LE_FLOAT, from, row, 0, row.length);
      for (int h = 0; h < row.length; h++) {
        row[h] *= gate;
      }
      MemorySegment.copy(row, 0, out, DType.LE_FLOAT, from, row.length);
    }
    ws.release(mark);
  }
}

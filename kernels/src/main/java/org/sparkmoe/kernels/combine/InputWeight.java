package org.sparkmoe.kernels.combine;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Router weight on the expert's input (Llama 4): applied before any quantization, with one slot per
 * token. Downstream the weights are 1, so that nothing weighs twice.
 */
public final class InputWeight {
  private InputWeight() {}

  /**
   * {@code out[t] = weights[t] · x[t]}, rounded to f32. x keeps its values, because the shared
   * expert reads them too.
   *
   * @param x tokens × H f32
   * @param weights one per token
   * @param out tokens × H f32
   */
  public static void apply(
      int tokens, int hidden, MemorySegment x, float[] weights, MemorySegment out) {
    float[] row = new float[hidden];
    for (int token = 0; token < tokens; token++) {
      long from = DType.F32.bytes((long) token * hidden);
      MemorySegment.copy(x, DType.LE_FLOAT, from, row, 0, hidden);
      for (int h = 0; h < hidden; h++) {
        row[h] *= weights[token];
      }
      MemorySegment.copy(row, 0, out, DType.LE_FLOAT, from, hidden);
    }
  }
}

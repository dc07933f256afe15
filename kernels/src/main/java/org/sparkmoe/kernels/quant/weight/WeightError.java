package org.sparkmoe.kernels.quant.weight;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/**
 * How far quantized weights are from what they were made of.
 *
 * @param relative ‖quantized − source‖₂ / ‖source‖₂ over all weights; 0 where both are 0
 * @param largest the largest magnitude of a difference, in the weights' own unit
 */
public record WeightError(double relative, double largest) {

  /**
   * Compares, with the weights that kernels multiply by: codes times scales in f32.
   *
   * @param quantized of the same shape, groups of columns by position
   */
  public static WeightError of(Matrix source, QuantizedMatrix quantized) {
    if (quantized.groupOfOrNull() != null
        || quantized.rows() != source.rows()
        || quantized.cols() != source.cols()) {
      throw new IllegalArgumentException(
          "%d x %d weights cannot be compared with %d x %d"
              .formatted(quantized.rows(), quantized.cols(), source.rows(), source.cols()));
    }
    CodeType codes = quantized.format().codes();
    float[] values = values(codes);
    float[] row = new float[source.cols()];
    byte[] line = new byte[Math.toIntExact(codes.bytes(source.cols()))];
    int groups = quantized.format().groups(source.cols());
    long span = quantized.format().colSpan();
    double sum = 0;
    double norm = 0;
    double largest = 0;
    for (int r = 0; r < source.rows(); r++) {
      Rows.read(source, r, row);
      MemorySegment.copy(
          quantized.codes(), ValueLayout.JAVA_BYTE, (long) r * line.length, line, 0, line.length);
      for (int group = 0; group < groups; group++) {
        float scale = quantized.scale(r, group);
        int zero = quantized.zero(r, group);
        int last = (int) Math.min(row.length, (group + 1) * span);
        for (int i = (int) (group * span); i < last; i++) {
          double difference = (values[code(codes, line, i)] - zero) * scale - row[i];
          sum += difference * difference;
          norm += (double) row[i] * row[i];
          largest = Math.max(largest, Math.abs(difference));
        }
      }
    }
    return new WeightError(sum == 0 ? 0 : Math.sqrt(sum / norm), largest);
  }

  private static float[] values(CodeType codes) {
    float[] values = new float[1 << codes.bits()];
    for (int code = 0; code < values.length; code++) {
      values[code] = codes.value(code);
    }
    return values;
  }

  private static int code(CodeType codes, byte[] line, int col) {
    if (codes.bits() == 8) {
      return line[col] & 0xFF;
    }
    return (col & 1) == 0 ? line[col / 2] & 0xF : (line[col / 2] >>> 4) & 0xF;
  }
}

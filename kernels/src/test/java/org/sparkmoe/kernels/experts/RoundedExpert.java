package org.sparkmoe.kernels.experts;

import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;

/**
 * An expert in f64, with rows and the intermediate rounded to the type of the weights. Beside
 * quantized weights that is bf16, and weights of eight bits are too: rounded once to f32, then once
 * to bf16.
 */
final class RoundedExpert {
  private RoundedExpert() {}

  /** Rows × H from rows × H. */
  static float[] forward(ExpertWeights weights, Activation activation, float[] x) {
    DType type = weights.w1().format() instanceof DType plain ? plain : DType.BF16;
    int hidden = weights.hidden();
    float[] y = new float[x.length];
    double[] token = new double[hidden];
    double[] inner = new double[weights.intermediate()];
    for (int row = 0; row < x.length / hidden; row++) {
      for (int h = 0; h < hidden; h++) {
        token[h] = rounded(type, x[row * hidden + h]);
      }
      for (int i = 0; i < inner.length; i++) {
        double gate = dot(weights.w1(), i, token, weights.b1OrNull());
        double up = activation.gated() ? dot(weights.w3OrNull(), i, token, weights.b3OrNull()) : 0;
        inner[i] = rounded(type, (float) ScalarActivation.apply(activation, gate, up));
      }
      for (int h = 0; h < hidden; h++) {
        y[row * hidden + h] = (float) dot(weights.w2(), h, inner, weights.b2OrNull());
      }
    }
    return y;
  }

  private static double dot(Weight w, int row, double[] x, float[] biasOrNull) {
    double sum = biasOrNull == null ? 0 : biasOrNull[row];
    for (int k = 0; k < w.cols(); k++) {
      sum += value(w, row, k) * x[k];
    }
    return sum;
  }

  private static double value(Weight weight, int row, int k) {
    return switch (weight) {
      case Matrix plain -> plain.value(row, k);
      case QuantizedMatrix coded -> {
        int group = coded.group(k);
        float code = coded.format().codes().value(coded.code(row, k));
        float exact = (code - coded.zero(row, group)) * coded.scale(row, group);
        yield coded.format().codes().bits() == 4 ? exact : rounded(DType.BF16, exact);
      }
    };
  }

  private static float rounded(DType type, float value) {
    return switch (type) {
      case F32 -> value;
      case BF16 -> DType.bf16ToFloat(DType.floatToBf16(value));
      case F16 -> Float.float16ToFloat(Float.floatToFloat16(value));
    };
  }
}

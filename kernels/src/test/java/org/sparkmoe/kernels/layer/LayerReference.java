package org.sparkmoe.kernels.layer;

import java.lang.foreign.Arena;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.router.Router;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.Weight;

/**
 * The layer written down token by token in f64, sharing only the router with the code it checks.
 */
final class LayerReference {
  private LayerReference() {}

  static float[] forward(MoeLayerSpec spec, LayerWeights weights, float[] x) {
    int hidden = spec.hidden();
    float[] out = new float[x.length];
    for (int token = 0; token < x.length / hidden; token++) {
      double[] row = new double[hidden];
      for (int h = 0; h < hidden; h++) {
        row[h] = x[token * hidden + h];
      }
      double[] sum = token(spec, weights, row);
      for (int h = 0; h < hidden; h++) {
        out[token * hidden + h] = (float) sum[h];
      }
    }
    return out;
  }

  private static double[] token(MoeLayerSpec spec, LayerWeights weights, double[] x) {
    int k = spec.topK();
    int[] ids = new int[k];
    float[] topkWeights = new float[k];
    double[] logits = times(weights.router(Arena.ofAuto()), x);
    float[] rounded = new float[logits.length];
    for (int e = 0; e < logits.length; e++) {
      rounded[e] = (float) logits[e];
    }
    Router.of(spec.routing(), spec.experts()).route(1, rounded, null, ids, topkWeights);

    double[] sum = new double[x.length];
    for (int slot = 0; slot < k; slot++) {
      boolean onInput = spec.routing().weightOnInput();
      double weight = topkWeights[slot];
      double[] in = scaled(x, onInput ? weight : 1);
      add(sum, scaled(silu(weights.expert(ids[slot], Arena.ofAuto()), in), onInput ? 1 : weight));
    }
    weights
        .sharedExpert(Arena.ofAuto())
        .ifPresent(shared -> add(sum, scaled(silu(shared, x), gate(weights, x))));
    weights
        .outputBias()
        .ifPresent(
            bias -> {
              for (int h = 0; h < sum.length; h++) {
                sum[h] += bias[h];
              }
            });
    return sum;
  }

  private static double gate(LayerWeights weights, double[] x) {
    if (weights.sharedGate().isEmpty()) {
      return 1;
    }
    float[] gate = weights.sharedGate().get();
    return 1 / (1 + Math.exp(-times(Matrix.of(1, gate.length, gate), x)[0]));
  }

  private static double[] silu(ExpertWeights weights, double[] x) {
    double[] g = times(weights.w1(), x);
    double[] u = times(weights.w3().orElseThrow(), x);
    for (int i = 0; i < g.length; i++) {
      g[i] = g[i] / (1 + Math.exp(-g[i])) * u[i];
    }
    return times(weights.w2(), g);
  }

  private static double[] times(Weight w, double[] x) {
    double[] y = new double[w.rows()];
    for (int n = 0; n < w.rows(); n++) {
      for (int k = 0; k < w.cols(); k++) {
        y[n] += w.value(n, k) * x[k];
      }
    }
    return y;
  }

  private static double[] scaled(double[] x, double factor) {
    double[] y = x.clone();
    for (int h = 0; h < y.length; h++) {
      y[h] *= factor;
    }
    return y;
  }

  private static void add(double[] sum, double[] y) {
    for (int h = 0; h < sum.length; h++) {
      sum[h] += y[h];
    }
  }
}

package org.sparkmoe.kernels.experts;

import static org.sparkmoe.kernels.simd.Simd.FLOATS;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import jdk.incubator.vector.FloatVector;
import org.sparkmoe.kernels.simd.FloatMath;
import org.sparkmoe.kernels.simd.Simd;

/**
 * The formulas of {@link ScalarActivation} in f32, over arrays. Each formula is a function of the
 * gate, a function of the up projection, and their product; one short loop each, because a switch
 * inside a loop keeps vectors from staying in registers.
 */
final class VectorActivation {
  /** Values that pass through all loops before the next ones: they stay in the nearest cache. */
  private static final int STRETCH = 2048;

  private static final float SQRT_2_OVER_PI = (float) Math.sqrt(2 / Math.PI);
  private static final float SQRT_HALF = (float) Math.sqrt(0.5);

  private VectorActivation() {}

  /**
   * Computes {@code a[gate + i] = act(a[gate + i], a[up + i])} for i &lt; count. Values up to the
   * next multiple of {@link Simd#BLOCK} are overwritten, so that there is no tail with code of its
   * own.
   */
  static void apply(Activation activation, float[] a, int gate, int up, int count) {
    int end = Simd.padded(count);
    for (int i = 0; i < end; i += STRETCH) {
      int length = Math.min(STRETCH, end - i);
      gate(activation, a, gate + i, length);
      if (activation.gated()) {
        up(activation, a, up + i, length);
        multiply(a, gate + i, up + i, length);
      }
    }
  }

  private static void gate(Activation activation, float[] a, int from, int length) {
    boolean clampedBefore = activation.kind() != Activation.Kind.SWIGLU_STEP;
    if (clampedBefore) {
      clampAbove(activation.limit(), a, from, length);
    }
    switch (activation.kind()) {
      case SILU, SILU_NO_MUL -> swish(1, a, from, length);
      case SWIGLU_OAI -> swish(activation.alpha(), a, from, length);
      case GELU, GELU_NO_MUL -> gelu(a, from, length);
      case GELU_TANH, GELU_TANH_NO_MUL -> geluTanh(a, from, length);
      case SITU -> situ(activation.beta(), a, from, length);
      case RELU2_NO_MUL -> relu2(a, from, length);
      case SWIGLU_STEP -> {
        swish(1, a, from, length);
        clampAbove(activation.limit(), a, from, length);
      }
    }
  }

  private static void up(Activation activation, float[] a, int from, int length) {
    float limit = activation.limit();
    if (limit != Float.POSITIVE_INFINITY) {
      for (int i = from; i < from + length; i += LANES) {
        load(a, i).max(-limit).min(limit).intoArray(a, i);
      }
    }
    if (activation.kind() == Activation.Kind.SWIGLU_OAI) {
      for (int i = from; i < from + length; i += LANES) {
        load(a, i).add(activation.beta()).intoArray(a, i);
      }
    }
    if (activation.kind() == Activation.Kind.SITU && activation.alpha() != 0) {
      float bound = activation.beta() * activation.alpha();
      for (int i = from; i < from + length; i += LANES) {
        FloatMath.tanh(load(a, i).div(bound)).mul(bound).intoArray(a, i);
      }
    }
  }

  private static void clampAbove(float limit, float[] a, int from, int length) {
    if (limit == Float.POSITIVE_INFINITY) {
      return;
    }
    for (int i = from; i < from + length; i += LANES) {
      load(a, i).min(limit).intoArray(a, i);
    }
  }

  /** {@code x · σ(alpha · x)}. */
  private static void swish(float alpha, float[] a, int from, int length) {
    for (int i = from; i < from + length; i += LANES) {
      FloatVector x = load(a, i);
      x.mul(FloatMath.sigmoid(x.mul(alpha))).intoArray(a, i);
    }
  }

  private static void gelu(float[] a, int from, int length) {
    for (int i = from; i < from + length; i += LANES) {
      FloatVector x = load(a, i);
      x.mul(0.5f).mul(FloatMath.erfc(x.mul(-SQRT_HALF))).intoArray(a, i);
    }
  }

  /** {@code 0.5 x (1 + tanh y) = x · σ(2y)}, without the cancellation. */
  private static void geluTanh(float[] a, int from, int length) {
    for (int i = from; i < from + length; i += LANES) {
      FloatVector x = load(a, i);
      FloatVector cubic = x.mul(x).mul(x).mul(0.044715f).add(x);
      x.mul(FloatMath.sigmoid(cubic.mul(2 * SQRT_2_OVER_PI))).intoArray(a, i);
    }
  }

  private static void situ(float beta, float[] a, int from, int length) {
    for (int i = from; i < from + length; i += LANES) {
      FloatVector x = load(a, i);
      FloatVector bounded = FloatMath.tanh(x.div(beta)).mul(beta);
      bounded.mul(FloatMath.sigmoid(x)).intoArray(a, i);
    }
  }

  private static void relu2(float[] a, int from, int length) {
    for (int i = from; i < from + length; i += LANES) {
      FloatVector x = load(a, i).max(0);
      x.mul(x).intoArray(a, i);
    }
  }

  private static void multiply(float[] a, int into, int by, int length) {
    for (int i = 0; i < length; i += LANES) {
      load(a, into + i).mul(load(a, by + i)).intoArray(a, into + i);
    }
  }

  private static FloatVector load(float[] a, int from) {
    return FloatVector.fromArray(FLOATS, a, from);
  }
}

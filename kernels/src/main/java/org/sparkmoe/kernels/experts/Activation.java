package org.sparkmoe.kernels.experts;

import java.io.Serializable;

/**
 * The nonlinearity between the two projections of an expert, with its constants. g is the gate
 * (w1), u the up projection (w3), both after their biases; σ is the logistic function.
 *
 * @param kind the formula
 * @param alpha constant of the formula, see {@link Kind}; 0 where unused
 * @param beta constant of the formula, see {@link Kind}; 0 where unused
 * @param limit clamp L, or +∞: before the formula {@code g ← min(g, L)}, {@code u ← clamp(u, ±L)}
 *     ({@link Kind#SWIGLU_STEP} clamps silu(g) instead)
 */
public record Activation(Kind kind, float alpha, float beta, float limit) implements Serializable {

  /** Formulas; the gated ones map (g, u) to one value, the others map g alone. */
  public enum Kind {
    /** {@code g·σ(g)·u}. */
    SILU(true),
    /** {@code gelu(g)·u} with the exact erf form. */
    GELU(true),
    /** {@code gelu(g)·u} with the tanh approximation. */
    GELU_TANH(true),
    /** {@code g·σ(alpha·g)·(u + beta)}; gpt-oss has alpha 1.702, beta 1, limit 7. */
    SWIGLU_OAI(true),
    /** {@code min(silu(g), L)·clamp(u, ±L)}: the gate is clamped after silu. */
    SWIGLU_STEP(true),
    /**
     * {@code beta·tanh(g/beta)·σ(g)·u}, and where alpha is not 0 first {@code u ←
     * beta·alpha·tanh(u/(beta·alpha))}.
     */
    SITU(true),
    /** {@code x·σ(x)}, ungated. */
    SILU_NO_MUL(false),
    /** {@code gelu(x)}, ungated, erf form. */
    GELU_NO_MUL(false),
    /** {@code gelu(x)}, ungated, tanh form. */
    GELU_TANH_NO_MUL(false),
    /** {@code max(x, 0)²}, ungated. */
    RELU2_NO_MUL(false);

    private final boolean gated;

    Kind(boolean gated) {
      this.gated = gated;
    }

    /** Whether an up projection (w3) takes part. */
    public boolean gated() {
      return gated;
    }
  }

  public static final Activation SILU = of(Kind.SILU);

  public Activation {
    if (!(limit > 0)) {
      throw new IllegalArgumentException("activation limit " + limit + " must be positive");
    }
  }

  /** The formula without constants and without clamp. */
  public static Activation of(Kind kind) {
    return new Activation(kind, 0, 0, Float.POSITIVE_INFINITY);
  }

  /**
   * The activation of gpt-oss: alpha 1.702, beta 1, and the configuration's {@code swiglu_limit}.
   */
  public static Activation swigluOai(float limit) {
    return new Activation(Kind.SWIGLU_OAI, 1.702f, 1, limit);
  }

  /** Whether an up projection (w3) takes part. */
  public boolean gated() {
    return kind.gated();
  }
}

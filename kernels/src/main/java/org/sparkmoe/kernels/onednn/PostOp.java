package org.sparkmoe.kernels.onednn;

/**
 * One step of what happens to a finished sum before it is stored, in f32.
 *
 * @param kind the formula
 * @param alpha constant of the formula; 0 where unused
 * @param beta constant of the formula; 0 where unused
 */
public record PostOp(Kind kind, float alpha, float beta) {

  /** Formulas with their {@code dnnl_alg_kind_t}. */
  public enum Kind {
    /** {@code max(x, 0)}. */
    RELU(0x20),
    /** {@code tanh(x)}. */
    TANH(0x21),
    /** {@code x²}. */
    SQUARE(0x23),
    /** {@code alpha·x + beta}. */
    LINEAR(0x26),
    /** {@code gelu(x)}, tanh form. */
    GELU_TANH(0x2b),
    /** {@code x·σ(alpha·x)}. */
    SWISH(0x2c),
    /** {@code min(max(x, alpha), beta)}. */
    CLIP(0x2e),
    /** {@code gelu(x)}, erf form. */
    GELU_ERF(0x31),
    /** {@code x·g} with the gate g, a matrix of the same shape as the result. */
    TIMES_GATE(0x1fff1);

    private final int code;

    Kind(int code) {
      this.code = code;
    }

    int code() {
      return code;
    }
  }

  /** A formula without constants. */
  public static PostOp of(Kind kind) {
    return new PostOp(kind, 0, 0);
  }
}

package org.sparkmoe.kernels.experts;

/** The formulas of {@link Activation} in f64: the specification of every faster version. */
final class ScalarActivation {
  private static final double SQRT_2_OVER_PI = Math.sqrt(2 / Math.PI);
  private static final double TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI);

  private ScalarActivation() {}

  /**
   * One value of the intermediate.
   *
   * @param gate g, after its bias
   * @param up u, after its bias; ignored by ungated formulas
   */
  static double apply(Activation activation, double gate, double up) {
    double limit = activation.limit();
    if (activation.kind() == Activation.Kind.SWIGLU_STEP) {
      return Math.min(gate * sigmoid(gate), limit) * clamp(up, limit);
    }
    double g = Math.min(gate, limit);
    double u = clamp(up, limit);
    return switch (activation.kind()) {
      case SILU -> g * sigmoid(g) * u;
      case GELU -> gelu(g) * u;
      case GELU_TANH -> geluTanh(g) * u;
      case SWIGLU_OAI -> g * sigmoid(activation.alpha() * g) * (u + activation.beta());
      case SITU -> situ(activation, g, u);
      case SILU_NO_MUL -> g * sigmoid(g);
      case GELU_NO_MUL -> gelu(g);
      case GELU_TANH_NO_MUL -> geluTanh(g);
      case RELU2_NO_MUL -> Math.max(g, 0) * Math.max(g, 0);
      case SWIGLU_STEP -> throw new AssertionError("handled above");
    };
  }

  private static double situ(Activation activation, double g, double u) {
    double beta = activation.beta();
    double bound = beta * activation.alpha();
    double boundedUp = activation.alpha() == 0 ? u : bound * Math.tanh(u / bound);
    return beta * Math.tanh(g / beta) * sigmoid(g) * boundedUp;
  }

  static double sigmoid(double x) {
    return 1 / (1 + Math.exp(-x));
  }

  private static double gelu(double x) {
    return 0.5 * x * erfc(-x / Math.sqrt(2));
  }

  private static double geluTanh(double x) {
    return 0.5 * x * (1 + Math.tanh(SQRT_2_OVER_PI * (x + 0.044715 * x * x * x)));
  }

  private static double clamp(double x, double limit) {
    return Math.min(Math.max(x, -limit), limit);
  }

  /** The complementary error function, to about 1e-14 relative. */
  static double erfc(double x) {
    if (x < 0) {
      return 2 - erfc(-x);
    }
    return x < 2.5 ? 1 - erfSeries(x) : erfcFraction(x);
  }

  /** {@code erf(x) = 2/√π · e^(-x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!!}: all terms have one sign. */
  private static double erfSeries(double x) {
    double term = x;
    double sum = x;
    for (int n = 1; term > sum * 1e-17; n++) {
      term *= 2 * x * x / (2 * n + 1);
      sum += term;
    }
    return TWO_OVER_SQRT_PI * Math.exp(-x * x) * sum;
  }

  /** {@code erfc(x) = e^(-x²)/√π · 1/(x + (1/2)/(x + 1/(x + (3/2)/(x + …))))}, from the inside. */
  private static double erfcFraction(double x) {
    double fraction = x;
    for (int n = 80; n > 0; n--) {
      fraction = x + n / 2.0 / fraction;
    }
    return Math.exp(-x * x) / Math.sqrt(Math.PI) / fraction;
  }
}

package org.sparkmoe.kernels.tensor;

/** The scale of OCP's microscaling formats: a byte b stands for 2^(b − 127), 255 for NaN. */
public final class E8m0 {
  /** The code of NaN. */
  public static final int NAN = 0xFF;

  private static final int BIAS = 127;

  private E8m0() {}

  /** The value of the lowest 8 bits of {@code code}. Exact; code 0 is a subnormal f32. */
  public static float decode(int code) {
    int exponent = code & 0xFF;
    return exponent == NAN ? Float.NaN : Math.scalb(1f, exponent - BIAS);
  }

  /**
   * The smallest power of two that is at least {@code value}, within the range of the type; NaN for
   * NaN and infinity.
   */
  public static int encodeUp(float value) {
    if (Float.isNaN(value) || value == Float.POSITIVE_INFINITY) {
      return NAN;
    }
    int exponent = Math.getExponent(Math.max(value, Float.MIN_NORMAL));
    boolean exact = Math.scalb(1f, exponent) >= value;
    return Math.clamp((exact ? exponent : exponent + 1) + BIAS, 0, NAN - 1);
  }
}

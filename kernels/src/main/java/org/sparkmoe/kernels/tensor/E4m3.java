package org.sparkmoe.kernels.tensor;

/**
 * The 8-bit float of OCP's FP8 with 4 bits of exponent and 3 of mantissa in its finite form
 * (e4m3fn): largest value 448, no infinities, NaN is 0x7F and 0xFF.
 */
public final class E4m3 {
  /** The largest finite value. */
  public static final float MAX = 448;

  /** The code of NaN with sign 0. */
  public static final int NAN = 0x7F;

  private static final int SIGN = 0x80;
  private static final int MAX_CODE = 0x7E;
  private static final int REBIAS = (127 - 7) << 23;
  private static final float LEAST_NORMAL = 0x1p-6f;

  /** Added to a value below 2⁻⁶, it leaves multiples of 2⁻⁹ in the sum, rounded half to even. */
  private static final float SUBNORMAL_STEP = 0x1p14f;

  private static final float[] VALUES = new float[256];

  static {
    for (int code = 0; code < VALUES.length; code++) {
      VALUES[code] = compute(code);
    }
  }

  private E4m3() {}

  private static float compute(int code) {
    int magnitude = code & ~SIGN;
    int exponent = magnitude >> 3;
    int mantissa = magnitude & 7;
    float value =
        magnitude == NAN
            ? Float.NaN
            : exponent == 0 ? mantissa * 0x1p-9f : Math.scalb(1 + mantissa / 8f, exponent - 7);
    return (code & SIGN) == 0 ? value : -value;
  }

  /** The value of the lowest 8 bits of {@code code}. Exact. */
  public static float decode(int code) {
    return VALUES[code & 0xFF];
  }

  /** Rounds half to even, saturates at ±448; NaN stays NaN. */
  public static int encode(float value) {
    int bits = Float.floatToRawIntBits(value);
    int sign = (bits >>> 24) & SIGN;
    float magnitude = Math.abs(value);
    if (Float.isNaN(value)) {
      return sign | NAN;
    }
    if (magnitude < LEAST_NORMAL) {
      return sign | (Float.floatToRawIntBits(magnitude + SUBNORMAL_STEP) & 0xF);
    }
    int positive = Float.floatToRawIntBits(Math.min(magnitude, MAX)) - REBIAS;
    int lowestKept = (positive >>> 20) & 1;
    return sign | Math.min((positive + 0x7FFFF + lowestKept) >>> 20, MAX_CODE);
  }
}

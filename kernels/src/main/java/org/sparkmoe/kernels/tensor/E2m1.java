package org.sparkmoe.kernels.tensor;

/**
 * The 4-bit float of OCP's FP4: values 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, bit 3 is the
 * sign. It has no NaN.
 */
public final class E2m1 {
  /** The largest value. */
  public static final float MAX = 6;

  private static final float[] VALUES = {
    0f, 0.5f, 1f, 1.5f, 2f, 3f, 4f, 6f, -0f, -0.5f, -1f, -1.5f, -2f, -3f, -4f, -6f
  };

  private E2m1() {}

  /** The value of the lowest 4 bits of {@code code}. Exact. */
  public static float decode(int code) {
    return VALUES[code & 0xF];
  }

  /** Rounds half to even, saturates at ±6; NaN becomes 0. */
  public static int encode(float value) {
    int sign = (Float.floatToRawIntBits(value) >>> 28) & 8;
    float x = Math.abs(value);
    // Between two codes the tie belongs to the even one: it is in that code's comparison.
    int magnitude;
    if (x > 5) {
      magnitude = 7;
    } else if (x >= 3.5f) {
      magnitude = 6;
    } else if (x > 2.5f) {
      magnitude = 5;
    } else if (x >= 1.75f) {
      magnitude = 4;
    } else if (x > 1.25f) {
      magnitude = 3;
    } else if (x >= 0.75f) {
      magnitude = 2;
    } else if (x > 0.25f) {
      magnitude = 1;
    } else {
      magnitude = 0;
    }
    return sign | magnitude;
  }
}

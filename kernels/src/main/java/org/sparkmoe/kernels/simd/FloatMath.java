package org.sparkmoe.kernels.simd;

import static org.sparkmoe.kernels.simd.Simd.floats;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * Elementary functions in f32. Built of fma, multiplication, division and integer steps alone, lane
 * by lane, so that a value has the same bits on every register width and machine. NaN gives NaN.
 * {@code VectorOperators.EXP} and its kin call libraries that promise neither.
 */
public final class FloatMath {
  private static final float LOG2_E = 1.442695f;

  /** ln 2 in two parts; the first has few bits, so that n · LN2_HIGH is exact. */
  private static final float LN2_HIGH = 0x1.63p-1f;

  private static final float LN2_LOW = -0.00021219444f;

  /** 1.5 · 2²³: adding it rounds to an integer that stands in the low bits of the sum. */
  private static final float ROUNDER = 12582912f;

  private static final float LEAST = -87.3f;
  private static final float MOST = 88.3f;
  private static final float TANH_SMALL = 0.625f;

  private FloatMath() {}

  /** {@code e^x}, to 2 ulp; the argument is clamped to −87.3 … 88.3, where f32 ends. */
  public static FloatVector exp(FloatVector argument) {
    FloatVector x = argument.max(LEAST).min(MOST);
    FloatVector rounded = x.fma(floats(LOG2_E), floats(ROUNDER));
    FloatVector n = rounded.sub(ROUNDER);
    FloatVector r = n.fma(floats(-LN2_LOW), n.fma(floats(-LN2_HIGH), x));
    FloatVector p = floats(0.00019875691f);
    p = p.fma(r, floats(0.0013981999f));
    p = p.fma(r, floats(0.008333452f));
    p = p.fma(r, floats(0.041665796f));
    p = p.fma(r, floats(0.16666666f));
    p = p.fma(r, floats(0.5f));
    FloatVector mantissa = p.fma(r.mul(r), r).add(1);
    FloatVector power =
        rounded
            .reinterpretAsInts()
            .sub(Float.floatToRawIntBits(ROUNDER) - 127)
            .lanewise(VectorOperators.LSHL, 23)
            .reinterpretAsFloats();
    return mantissa.mul(power);
  }

  /** {@code 1 / (1 + e^-x)}. */
  public static FloatVector sigmoid(FloatVector x) {
    return floats(1).div(exp(x.neg()).add(1));
  }

  /** {@code tanh x}: a polynomial near 0, where {@code 1 − 2/(e^2x + 1)} cancels. */
  public static FloatVector tanh(FloatVector x) {
    FloatVector magnitude = x.abs();
    FloatVector far = floats(1).sub(floats(2).div(exp(magnitude.add(magnitude)).add(1)));
    FloatVector square = x.mul(x);
    FloatVector p = floats(-0.0057049887f);
    p = p.fma(square, floats(0.020639088f));
    p = p.fma(square, floats(-0.053739715f));
    p = p.fma(square, floats(0.13331442f));
    p = p.fma(square, floats(-0.3333328f));
    FloatVector near = p.fma(square.mul(magnitude), magnitude);
    FloatVector result = far.blend(near, magnitude.compare(VectorOperators.LT, TANH_SMALL));
    return result.blend(result.neg(), x.compare(VectorOperators.LT, 0));
  }

  /**
   * {@code erfc x}, to about 1e-6 relative: Chebyshev fit of {@code ln(erfc(z) · (1 + z/2)) + z²}.
   */
  public static FloatVector erfc(FloatVector x) {
    FloatVector z = x.abs();
    FloatVector t = floats(1).div(z.fma(floats(0.5f), floats(1)));
    FloatVector p = floats(0.17087276f);
    p = p.fma(t, floats(-0.82215226f));
    p = p.fma(t, floats(1.4885159f));
    p = p.fma(t, floats(-1.135204f));
    p = p.fma(t, floats(0.27886808f));
    p = p.fma(t, floats(-0.18628806f));
    p = p.fma(t, floats(0.09678418f));
    p = p.fma(t, floats(0.37409195f));
    p = p.fma(t, floats(1.0000237f));
    p = p.fma(t, floats(-1.2655122f));
    FloatVector positive = t.mul(exp(z.neg().fma(z, p)));
    return positive.blend(floats(2).sub(positive), x.compare(VectorOperators.LT, 0));
  }
}

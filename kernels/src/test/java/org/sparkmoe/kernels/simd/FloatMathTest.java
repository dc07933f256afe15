package org.sparkmoe.kernels.simd;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.function.DoubleUnaryOperator;
import java.util.function.UnaryOperator;
import jdk.incubator.vector.FloatVector;
import org.junit.jupiter.api.Test;

final class FloatMathTest {
  private static final int POINTS = 1 << 16;

  @Test
  void exp() {
    check(FloatMath::exp, Math::exp, -87, 88, 3e-7);
  }

  @Test
  void sigmoid() {
    check(FloatMath::sigmoid, x -> 1 / (1 + Math.exp(-x)), -80, 80, 5e-7);
  }

  @Test
  void tanh() {
    check(FloatMath::tanh, Math::tanh, -20, 20, 5e-7);
    check(FloatMath::tanh, Math::tanh, -1e-3, 1e-3, 5e-7);
  }

  @Test
  void outsideTheRangeOfFloatsStaysFinite() {
    assertThat(lane(FloatMath.exp(Simd.floats(Float.POSITIVE_INFINITY)))).isGreaterThan(2e38f);
    assertThat(lane(FloatMath.exp(Simd.floats(-1e30f)))).isBetween(0f, 2e-38f);
    assertThat(lane(FloatMath.sigmoid(Simd.floats(1e30f)))).isEqualTo(1);
    assertThat(lane(FloatMath.tanh(Simd.floats(-1e30f)))).isEqualTo(-1);
    assertThat(lane(FloatMath.erfc(Simd.floats(-1e30f)))).isEqualTo(2);
  }

  @Test
  void nanGivesNan() {
    FloatVector nan = Simd.floats(Float.NaN);
    assertThat(lane(FloatMath.exp(nan))).isNaN();
    assertThat(lane(FloatMath.sigmoid(nan))).isNaN();
    assertThat(lane(FloatMath.tanh(nan))).isNaN();
    assertThat(lane(FloatMath.erfc(nan))).isNaN();
  }

  private static void check(
      UnaryOperator<FloatVector> function,
      DoubleUnaryOperator expected,
      double from,
      double to,
      double tolerance) {
    for (int i = 0; i <= POINTS; i++) {
      float x = (float) (from + (to - from) * i / POINTS);
      double reference = expected.applyAsDouble(x);
      double error = Math.abs(lane(function.apply(Simd.floats(x))) - reference);
      if (!(error <= tolerance * Math.abs(reference))) {
        assertThat(error / Math.abs(reference)).as("relative error at %s", x).isZero();
      }
    }
  }

  private static float lane(FloatVector vector) {
    return vector.lane(0);
  }
}

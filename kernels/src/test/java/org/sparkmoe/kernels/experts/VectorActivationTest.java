package org.sparkmoe.kernels.experts;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.sparkmoe.kernels.simd.Simd;

final class VectorActivationTest {
  private static final int COUNT = 4001;

  /** Value by value, in the flat tails too, which a norm over a row would hide. */
  @ParameterizedTest
  @EnumSource(Activation.Kind.class)
  void agreesWithTheSpecification(Activation.Kind kind) {
    Activation activation = new Activation(kind, 1.702f, 3, 6);
    int up = Simd.padded(COUNT);
    float[] values = new float[2 * up];
    for (int i = 0; i < COUNT; i++) {
      values[i] = (i - 2000) / 250f;
      values[up + i] = (float) Math.cos(i) * 8;
    }
    float[] actual = values.clone();
    VectorActivation.apply(activation, actual, 0, up, COUNT);
    for (int i = 0; i < COUNT; i++) {
      double expected = ScalarActivation.apply(activation, values[i], values[up + i]);
      assertThat((double) actual[i])
          .as("%s of %s and %s", kind, values[i], values[up + i])
          .isCloseTo(expected, within(3e-6 * Math.abs(expected) + 1e-12));
    }
  }
}

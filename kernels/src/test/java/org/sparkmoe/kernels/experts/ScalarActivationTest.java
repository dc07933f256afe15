package org.sparkmoe.kernels.experts;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.sparkmoe.kernels.experts.Activation.Kind;

final class ScalarActivationTest {

  /** Reference values from tables of erfc, to 15 digits. */
  @ParameterizedTest
  @CsvSource({
    "0, 1",
    "0.5, 0.479500122186953",
    "1, 0.157299207050285",
    "2, 0.00467773498104727",
    "2.5, 0.000406952017444959",
    "3, 0.0000220904969985854",
    "5, 1.53745979442803e-12",
    "-1, 1.84270079294971"
  })
  void erfc(double x, double expected) {
    assertThat(ScalarActivation.erfc(x)).isCloseTo(expected, within(1e-13 * expected));
  }

  @ParameterizedTest
  @CsvSource({
    "SILU, 1, 2, 1.4621171572600098",
    "SILU_NO_MUL, 1, 0, 0.7310585786300049",
    "GELU, 1, 2, 1.682689492137086",
    "GELU_NO_MUL, -1, 0, -0.158655253931457",
    "GELU_TANH_NO_MUL, 1, 0, 0.8411919906082768",
    "RELU2_NO_MUL, 3, 0, 9",
    "RELU2_NO_MUL, -3, 0, 0"
  })
  void formulasWithoutConstants(Kind kind, double g, double u, double expected) {
    assertThat(ScalarActivation.apply(Activation.of(kind), g, u))
        .isCloseTo(expected, within(1e-14));
  }

  @Test
  void swigluOaiClampsGateFromAboveAndUpFromBothSides() {
    Activation oai = Activation.swigluOai(7);
    double atLimit = 7 * ScalarActivation.sigmoid(1.702f * 7.0);
    assertThat(ScalarActivation.apply(oai, 100, 100)).isCloseTo(atLimit * 8, within(1e-12));
    assertThat(ScalarActivation.apply(oai, 100, -100)).isCloseTo(atLimit * -6, within(1e-12));
    assertThat(ScalarActivation.apply(oai, -100, 1)).isCloseTo(0, within(1e-12));
  }

  @Test
  void swigluStepClampsTheGateAfterSilu() {
    Activation step = new Activation(Kind.SWIGLU_STEP, 0, 0, 7);
    assertThat(ScalarActivation.apply(step, 100, 2)).isEqualTo(14);
    double g = 7.001;
    assertThat(ScalarActivation.apply(step, g, 9))
        .isCloseTo(g * ScalarActivation.sigmoid(g) * 7, within(1e-12));
  }

  @Test
  void situBoundsTheUpProjectionWhereAlphaIsSet() {
    Activation plain = new Activation(Kind.SITU, 0, 4, Float.POSITIVE_INFINITY);
    Activation bounded = new Activation(Kind.SITU, 2, 4, Float.POSITIVE_INFINITY);
    double gate = 4 * Math.tanh(0.25) * ScalarActivation.sigmoid(1);
    assertThat(ScalarActivation.apply(plain, 1, 100)).isCloseTo(gate * 100, within(1e-12));
    assertThat(ScalarActivation.apply(bounded, 1, 1000)).isCloseTo(gate * 8, within(1e-12));
  }

  @Test
  void nanGivesNan() {
    for (Kind kind : Kind.values()) {
      assertThat(ScalarActivation.apply(Activation.of(kind), Double.NaN, 1)).as("%s", kind).isNaN();
    }
  }
}

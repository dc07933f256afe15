package org.sparkmoe.kernels.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.SplittableRandom;
import java.util.function.IntFunction;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** e4m3, e2m1 and e8m0 against their definitions. */
final class SmallFloatsTest {

  @ParameterizedTest
  @CsvSource({
    "0x00, 0",
    "0x01, 0.001953125",
    "0x07, 0.013671875",
    "0x08, 0.015625",
    "0x38, 1",
    "0x7E, 448",
    "0xB8, -1",
    "0xFE, -448",
    "0x7F, NaN",
    "0xFF, NaN"
  })
  void e4m3Decodes(String code, Float value) {
    assertThat(E4m3.decode(Integer.decode(code))).isEqualTo(value);
  }

  @Test
  void everyE4m3CodeSurvives() {
    for (int code = 0; code < 256; code++) {
      assertThat(E4m3.encode(E4m3.decode(code)) & 0xFF).isEqualTo(code);
    }
  }

  @Test
  void everyE2m1CodeSurvives() {
    for (int code = 0; code < 16; code++) {
      assertThat(E2m1.encode(E2m1.decode(code)) & 0xF).isEqualTo(code);
    }
  }

  @Test
  void e4m3RoundsHalfToEven() {
    assertRounds(code -> E4m3.decode(code), E4m3::encode, E4m3.NAN);
  }

  @Test
  void e2m1RoundsHalfToEven() {
    assertRounds(code -> E2m1.decode(code), E2m1::encode, 8);
  }

  /** Between neighbouring codes: the middle goes to the even one, its neighbours to the nearest. */
  private static void assertRounds(IntFunction<Float> decode, ToCode encode, int codes) {
    for (int code = 0; code + 1 < codes; code++) {
      float low = decode.apply(code);
      float high = decode.apply(code + 1);
      float middle = low + (high - low) / 2;
      int even = (code & 1) == 0 ? code : code + 1;
      assertThat(encode.of(middle)).as("%s", middle).isEqualTo(even);
      assertThat(encode.of(Math.nextDown(middle))).isEqualTo(code);
      assertThat(encode.of(Math.nextUp(middle))).isEqualTo(code + 1);
      assertThat(decode.apply(encode.of(-middle))).isEqualTo(-decode.apply(even));
    }
  }

  @FunctionalInterface
  private interface ToCode {
    int of(float value);
  }

  @Test
  void saturates() {
    assertThat(E4m3.decode(E4m3.encode(460))).isEqualTo(448);
    assertThat(E4m3.decode(E4m3.encode(Float.NEGATIVE_INFINITY))).isEqualTo(-448);
    assertThat(E4m3.decode(E4m3.encode(Float.NaN))).isNaN();
    assertThat(E2m1.decode(E2m1.encode(1e30f))).isEqualTo(6);
    assertThat(E2m1.decode(E2m1.encode(Float.NEGATIVE_INFINITY))).isEqualTo(-6);
  }

  @Test
  void takesTheNearestOfAll() {
    long seed = 20261;
    SplittableRandom random = new SplittableRandom(seed);
    for (int i = 0; i < 20_000; i++) {
      float value = (float) (random.nextGaussian() * Math.pow(2, random.nextInt(-12, 9)));
      float error = Math.abs(E4m3.decode(E4m3.encode(value)) - value);
      double least =
          IntStream.range(0, 256)
              .mapToDouble(code -> Math.abs(E4m3.decode(code) - value))
              .filter(e -> !Double.isNaN(e))
              .min()
              .orElseThrow();
      assertThat((double) error).as("%s, seed %d", value, seed).isEqualTo(least);
    }
  }

  @ParameterizedTest
  @CsvSource({
    "0, 5.877471754111438E-39",
    "127, 1",
    "128, 2",
    "254, 1.7014118346046923E38",
    "255, NaN"
  })
  void e8m0Decodes(int code, Float value) {
    assertThat(E8m0.decode(code)).isEqualTo(value);
  }

  @ParameterizedTest
  @CsvSource({
    "1, 127",
    "1.0000001, 128",
    "2, 128",
    "0.75, 127",
    "0, 1",
    "3e38, 254",
    "Infinity, 255",
    "NaN, 255"
  })
  void e8m0RoundsUp(float value, int code) {
    assertThat(E8m0.encodeUp(value)).isEqualTo(code);
  }
}

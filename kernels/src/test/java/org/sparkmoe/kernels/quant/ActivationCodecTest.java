package org.sparkmoe.kernels.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.E2m1;
import org.sparkmoe.kernels.tensor.E4m3;
import org.sparkmoe.kernels.tensor.ScaleType;

final class ActivationCodecTest {

  private static float[] roundTrip(ActivationCodec codec, int hidden, float... values) {
    int rows = values.length / hidden;
    MemorySegment codes =
        MemorySegment.ofArray(new byte[rows * (int) codec.scheme().codeBytes(hidden)]);
    MemorySegment scales =
        MemorySegment.ofArray(new byte[rows * (int) codec.scheme().scaleBytes(hidden)]);
    codec.encode(rows, hidden, MemorySegment.ofArray(values), codes, scales);
    float[] out = new float[values.length];
    codec.decode(rows, hidden, codes, scales, MemorySegment.ofArray(out));
    return out;
  }

  @Test
  void unquantizedRowsKeepTheirBits() {
    float[] values = {1.5f, -0f, Float.MIN_VALUE, 3e38f};
    assertThat(roundTrip(ActivationCodec.of(ActivationScheme.NONE), 2, values)).isEqualTo(values);
  }

  @ParameterizedTest
  @ValueSource(ints = {1, 13, 64, 130})
  void everyGranularityStaysWithinHalfAStep(int hidden) {
    long seed = 7L + hidden;
    Random random = new Random(seed);
    int rows = 5;
    float[] values = new float[rows * hidden];
    float amax = 0;
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) random.nextGaussian();
      amax = Math.max(amax, Math.abs(values[i]));
    }
    float step = ActivationCodec.tensorScale(ActivationScheme.int8(Granularity.TENSOR), amax);
    for (ActivationCodec codec :
        new ActivationCodec[] {
          ActivationCodec.perTensor(ActivationScheme.int8(Granularity.TENSOR), step),
          ActivationCodec.of(ActivationScheme.int8(Granularity.TOKEN)),
          ActivationCodec.of(ActivationScheme.int8PerBlock(32))
        }) {
      assertThat(roundTrip(codec, hidden, values))
          .as("%s seed %d", codec.scheme(), seed)
          .containsExactly(values, within(step * 0.501f));
    }
  }

  @Test
  void blocksAreScaledApart() {
    float[] values = {127, 0, 1.27f, -1.27f, 0.0127f};
    assertThat(roundTrip(ActivationCodec.of(ActivationScheme.int8PerBlock(2)), 5, values))
        .containsExactly(values, within(1e-6f));
  }

  @Test
  void tiesGoToEvenAndLargeValuesSaturate() {
    ActivationCodec codec = ActivationCodec.perTensor(ActivationScheme.int8(Granularity.TENSOR), 1);
    assertThat(roundTrip(codec, 8, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 1000, -1000, 126.5f))
        .containsExactly(0, 2, 2, 0, -2, 127, -127, 126);
  }

  @Test
  void aTensorScaleCannotBeLeftOut() {
    assertThatThrownBy(() -> ActivationCodec.of(ActivationScheme.int8(Granularity.TENSOR)))
        .hasMessageContaining("does not travel with the rows");
    assertThatThrownBy(() -> ActivationCodec.perTensor(ActivationScheme.int8(Granularity.TOKEN), 1))
        .hasMessageContaining("travel with the rows");
    assertThatThrownBy(
            () -> ActivationCodec.perTensor(ActivationScheme.int8(Granularity.TENSOR), Float.NaN))
        .hasMessageContaining("must be positive");
  }

  @Test
  void zeroRowsAndZerosAreFine() {
    ActivationCodec codec = ActivationCodec.of(ActivationScheme.int8(Granularity.TOKEN));
    assertThat(roundTrip(codec, 4)).isEmpty();
    assertThat(roundTrip(codec, 2, 0, 0)).containsExactly(0, 0);
    MemorySegment scales = MemorySegment.ofArray(new float[1]);
    codec.encode(
        1, 1, MemorySegment.ofArray(new float[1]), MemorySegment.ofArray(new byte[1]), scales);
    assertThat(scales.get(ValueLayout.JAVA_FLOAT_UNALIGNED, 0)).isPositive();
  }

  @Test
  void fp8HasTheRangeOfItsGranularity() {
    ActivationCodec token = ActivationCodec.of(ActivationScheme.fp8(Granularity.TOKEN));
    // amax 448: scale 1, so values become the nearest e4m3
    assertThat(roundTrip(token, 4, 448, 17, 19, -0.0009f)).containsExactly(448, 16, 20, -0f);
    // amax / 448 is below the least scale, 1 / (448 · 512)
    float least = 1 / (448f * 512f);
    assertThat(roundTrip(token, 2, least, 0)).containsExactly(least, 0);
    ActivationCodec powers = ActivationCodec.of(ActivationScheme.fp8PerBlock(2, ScaleType.E8M0));
    assertThat(roundTrip(powers, 4, 449, 34, 1, 1.0625f)).containsExactly(448, 32, 1, 1);
  }

  /** A scale of at most bound / 448, so that what is larger saturates at the bound. */
  @Test
  void aBoundOnMagnitudesKeepsOutliersFromTheScale() {
    ActivationCodec bounded = ActivationCodec.of(ActivationScheme.fp8PerToken(448));
    assertThat(roundTrip(bounded, 4, 4480, 17, 19, -5000)).containsExactly(448, 16, 20, -448);
    ActivationCodec token = ActivationCodec.of(ActivationScheme.fp8(Granularity.TOKEN));
    float[] small = {1.5f, -0.003f, 400};
    assertThat(roundTrip(bounded, 3, small)).containsExactly(roundTrip(token, 3, small));
    assertThat(roundTrip(bounded, 2, 1, Float.POSITIVE_INFINITY)).containsOnly(Float.NaN);
    assertThatThrownBy(() -> ActivationScheme.fp8PerToken(Float.NaN))
        .hasMessageContaining("peaks up to NaN per TOKEN");
  }

  @Test
  void nvfp4MultipliesBlockAndTensorScale() {
    ActivationCodec codec = ActivationCodec.perTensor(ActivationScheme.NVFP4, 0.5f);
    float[] values = new float[18];
    values[0] = 6;
    values[1] = 2.5f;
    values[2] = -5;
    values[16] = 0.1f;
    // block 1: scale e4m3(6 / (6 · 0.5)) · 0.5 = 1; block 2: e4m3(0.1 / 3) · 0.5 = 0.03515625 · 0.5
    float[] expected = new float[18];
    expected[0] = 6;
    expected[1] = 2;
    expected[2] = -4;
    expected[16] = 6 * 0.03515625f * 0.5f;
    assertThat(roundTrip(codec, 18, values)).containsExactly(expected, within(0f));
    assertThat(roundTrip(codec, 17, new float[17])).containsOnly(0);
  }

  @Test
  void aRoundTripIsTheSameAsRequantizing() {
    long seed = 77;
    Random random = new Random(seed);
    int hidden = 75;
    float[] values = new float[3 * hidden];
    for (int i = 0; i < values.length; i++) {
      values[i] = (float) (random.nextGaussian() * Math.exp(random.nextGaussian() * 3));
    }
    for (ActivationCodec codec : everyCodec()) {
      float[] expected = roundTrip(codec, hidden, values);
      float[] actual = values.clone();
      codec.requantize(3, hidden, MemorySegment.ofArray(actual));
      assertThat(actual).as("%s seed %d", codec.scheme(), seed).isEqualTo(expected);
    }
  }

  @Test
  void whatIsNotFiniteMakesItsGroupNan() {
    for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
      for (ActivationCodec codec : everyCodec()) {
        ActivationScheme scheme = codec.scheme();
        if (scheme.granularity() != Granularity.NONE
            && scheme.granularity() != Granularity.TENSOR) {
          float[] values = {1, bad, 2};
          codec.requantize(values, 0, 3);
          assertThat(values).as("%s of %s", bad, scheme.label()).containsOnly(Float.NaN);
        }
      }
    }
  }

  /**
   * Against the rule written out for one value, on ties, around subnormals and beyond the range.
   */
  @Test
  void codesAreThoseOfSingleValues() {
    long seed = 78;
    Random random = new Random(seed);
    float[] values = new float[4099];
    for (int i = 0; i < values.length; i++) {
      float value = (float) (random.nextGaussian() * Math.exp(random.nextGaussian() * 5));
      // half of them with few bits: those are the ties
      values[i] =
          i % 2 == 0 ? value : DType.bf16ToFloat((short) (Float.floatToIntBits(value) >> 16));
    }
    float[] odd = {
      0f, -0f, Float.NaN, Float.MIN_VALUE, -3e38f, 464, -480, 5, -2.5f, 127.5f, 0x1p-10f
    };
    System.arraycopy(odd, 0, values, 0, odd.length);
    ActivationCodec[] codecs = {
      ActivationCodec.perTensor(ActivationScheme.int8(Granularity.TENSOR), 1),
      ActivationCodec.perTensor(ActivationScheme.fp8(Granularity.TENSOR), 1)
    };
    for (ActivationCodec codec : codecs) {
      byte[] codes = new byte[values.length];
      codec.encode(
          1,
          values.length,
          MemorySegment.ofArray(values),
          MemorySegment.ofArray(codes),
          MemorySegment.NULL);
      for (int i = 0; i < values.length; i++) {
        int expected =
            codec.scheme().codes() == ActivationScheme.Codes.E4M3
                ? E4m3.encode(values[i])
                : (int) Math.clamp(Math.rint(values[i]), -127, 127);
        assertThat(codes[i])
            .as("%s of %s, seed %d", codec.scheme().label(), values[i], seed)
            .isEqualTo((byte) expected);
      }
    }
    // blocks of 6 and nothing larger: scale e4m3(6 / (6 · 1)) · 1 = 1
    float[] fours = new float[values.length];
    for (int i = 0; i < fours.length; i++) {
      fours[i] = i % 16 == 0 ? 6 : Math.clamp(Float.isNaN(values[i]) ? 1 : values[i], -6f, 6f);
    }
    byte[] packed = new byte[(fours.length + 1) / 2];
    ActivationCodec.perTensor(ActivationScheme.NVFP4, 1)
        .encode(
            1,
            fours.length,
            MemorySegment.ofArray(fours),
            MemorySegment.ofArray(packed),
            MemorySegment.ofArray(new byte[(fours.length + 15) / 16]));
    for (int i = 0; i < fours.length; i++) {
      assertThat((packed[i / 2] >> (4 * (i % 2))) & 0xF)
          .as("%s, seed %d", fours[i], seed)
          .isEqualTo(E2m1.encode(fours[i]));
    }
  }

  /** 0.203125 / (7 · scale) is 0.74999997, which is 0.75 in f32: half way between 0.5 and 1. */
  @Test
  void fourBitCodesAreNearestToTheExactQuotient() {
    float scale = 0.203125f / 5.25f;
    float[] values = {0.203125f, -0.203125f, 6 * 7 * scale};
    assertThat(values[0] / (7 * scale)).isEqualTo(0.75f);
    assertThat((double) values[0] / (7 * scale)).isLessThan(0.75);
    byte[] packed = new byte[2];
    byte[] scales = new byte[1];
    ActivationCodec.perTensor(ActivationScheme.NVFP4, scale)
        .encode(
            1,
            3,
            MemorySegment.ofArray(values),
            MemorySegment.ofArray(packed),
            MemorySegment.ofArray(scales));
    assertThat(E4m3.decode(scales[0])).isEqualTo(7);
    assertThat(E2m1.decode(packed[0])).isEqualTo(0.5f);
    assertThat(E2m1.decode(packed[0] >> 4)).isEqualTo(-0.5f);
    assertThat(E2m1.decode(packed[1])).isEqualTo(6);
  }

  @Test
  void aBlockScaleOfZeroMakesPositiveZeros() {
    float[] values = {-1e-9f, 1e-9f, -0f};
    ActivationCodec.perTensor(ActivationScheme.NVFP4, 1).requantize(values, 0, 3);
    assertThat(values).containsExactly(0f, 0f, 0f);
    assertThat(Float.floatToRawIntBits(values[0])).isZero();
  }

  @Test
  void measuringLeavesRowsAloneAndNotesTheLargest() {
    ActivationCodec codec = ActivationCodec.measuring();
    assertThat(codec.isIdentity()).isFalse();
    assertThat(codec.peak()).isZero();
    float[] values = {1, -3, Float.NaN, Float.NEGATIVE_INFINITY, -0f, 9};
    float[] before = values.clone();
    codec.requantize(values, 1, 0);
    assertThat(codec.peak()).as("of no values").isZero();
    codec.requantize(values, 1, 3);
    assertThat(codec.peak()).as("of finite values of the row alone").isEqualTo(3);
    codec.requantize(2, 1, MemorySegment.ofArray(values));
    assertThat(codec.peak()).as("again, in another order").isEqualTo(3);
    assertThat(values).isEqualTo(before);
    assertThat(roundTrip(codec, 2, 1, 2)).containsExactly(1, 2);
    assertThat(ActivationCodec.NONE.isIdentity()).isTrue();
  }

  @Test
  void measuringOnManyThreadsMissesNothing() {
    ActivationCodec codec = ActivationCodec.measuring();
    IntStream.range(0, 100_000)
        .parallel()
        .forEach(i -> codec.requantize(new float[] {0.5f, -(i * 7919 % 100_000)}, 0, 2));
    assertThat(codec.peak()).isEqualTo(99_999);
  }

  @Test
  void whatWasSentElsewhereIsEqual() throws IOException, ClassNotFoundException {
    for (ActivationCodec codec : everyCodec()) {
      assertThat(sent(codec)).isEqualTo(codec).hasSameHashCodeAs(codec);
    }
    assertThat(ActivationCodec.perTensor(ActivationScheme.NVFP4, 1))
        .isNotEqualTo(ActivationCodec.perTensor(ActivationScheme.NVFP4, 2));
    ActivationCodec measuring = ActivationCodec.measuring();
    ActivationCodec copy = sent(measuring);
    copy.requantize(new float[] {5}, 0, 1);
    assertThat(copy).isEqualTo(measuring).hasSameHashCodeAs(measuring);
    assertThat(measuring.peak()).isZero();
    assertThat(measuring)
        .isNotEqualTo(ActivationCodec.measuring())
        .isNotEqualTo(sent(everyCodec()[0]));
  }

  private static ActivationCodec sent(ActivationCodec codec)
      throws IOException, ClassNotFoundException {
    ByteArrayOutputStream bytes = new ByteArrayOutputStream();
    try (ObjectOutputStream out = new ObjectOutputStream(bytes)) {
      out.writeObject(codec);
    }
    try (ObjectInputStream in =
        new ObjectInputStream(new ByteArrayInputStream(bytes.toByteArray()))) {
      return (ActivationCodec) in.readObject();
    }
  }

  private static ActivationCodec[] everyCodec() {
    return new ActivationCodec[] {
      ActivationCodec.NONE,
      ActivationCodec.perTensor(ActivationScheme.int8(Granularity.TENSOR), 0.1f),
      ActivationCodec.of(ActivationScheme.int8(Granularity.TOKEN)),
      ActivationCodec.of(ActivationScheme.int8PerBlock(32)),
      ActivationCodec.perTensor(ActivationScheme.fp8(Granularity.TENSOR), 0.01f),
      ActivationCodec.of(ActivationScheme.fp8(Granularity.TOKEN)),
      ActivationCodec.of(ActivationScheme.fp8PerBlock(32, ScaleType.F32)),
      ActivationCodec.of(ActivationScheme.MXFP8),
      ActivationCodec.perTensor(ActivationScheme.NVFP4, 0.01f)
    };
  }
}

package org.sparkmoe.kernels.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;

final class ActivationCodecTest {

  private static float[] roundTrip(ActivationCodec codec, int hidden, float... values) {
    int rows = values.length / hidden;
    MemorySegment codes =
        MemorySegment.ofArray(new byte[rows * (int) codec.scheme().codeBytes(hidden)]);
    MemorySegment scales =
        MemorySegment.ofArray(new float[rows * codec.scheme().scalesPerToken(hidden)]);
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
    float step = ActivationCodec.tensorScale(amax);
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
}

package org.sparkmoe.kernels.quant;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;

final class LayerSchemesTest {
  private static final ActivationScheme FP8 = ActivationScheme.fp8(Granularity.TENSOR);
  private static final ScaledScheme DYNAMIC = ScaledScheme.dynamic(FP8);
  private static final ScaledScheme FIXED = ScaledScheme.fixed(FP8, 0.25f);
  private static final ScaledScheme TOKEN =
      ScaledScheme.dynamic(ActivationScheme.int8(Granularity.TOKEN));

  @Test
  void onlyDynamicTensorScalesNeedAllTokens() {
    assertThat(new LayerSchemes(FIXED, TOKEN, ScaledScheme.NONE, TOKEN).needsAllTokens()).isFalse();
    LayerSchemes input = new LayerSchemes(DYNAMIC, TOKEN, TOKEN, FIXED);
    assertThat(input.needsAllTokens()).isTrue();
    assertThat(input.needsInnerPeaks()).isFalse();
    assertThat(new LayerSchemes(TOKEN, DYNAMIC, TOKEN, FIXED).needsInnerPeaks()).isTrue();
    assertThat(new LayerSchemes(TOKEN, TOKEN, TOKEN, DYNAMIC).needsInnerPeaks()).isTrue();
    assertThatThrownBy(input::codecs).hasMessageContaining("over all tokens");
  }

  @Test
  void eachScaleComesFromItsOwnPeak() {
    LayerSchemes schemes = new LayerSchemes(DYNAMIC, DYNAMIC, DYNAMIC, DYNAMIC);
    LayerCodecs codecs = schemes.codecs(new LayerPeaks(448, 2 * 448, 4 * 448, 8 * 448));
    assertThat(codecs.input().tensorScale()).isEqualTo(1);
    assertThat(codecs.inner().tensorScale()).isEqualTo(2);
    assertThat(codecs.sharedInput().tensorScale()).isEqualTo(4);
    assertThat(codecs.sharedInner().tensorScale()).isEqualTo(8);
  }

  @Test
  void aStaticScaleIsNotMeasured() {
    LayerSchemes schemes = new LayerSchemes(FIXED, FIXED, TOKEN, DYNAMIC);
    LayerCodecs codecs = schemes.measuringCodecs(new LayerPeaks(1, 1, 1, 1));
    assertThat(codecs.input()).isEqualTo(FIXED.codec());
    assertThat(codecs.inner()).isEqualTo(FIXED.codec());
    assertThat(codecs.sharedInput()).isEqualTo(TOKEN.codec());
    codecs.sharedInner().requantize(new float[] {-3}, 0, 1);
    assertThat(codecs.peaks()).isEqualTo(new LayerPeaks(0, 0, 0, 3));
  }

  @Test
  void noTokensGiveAScaleAllTheSame() {
    LayerSchemes schemes = new LayerSchemes(DYNAMIC, DYNAMIC, DYNAMIC, DYNAMIC);
    assertThat(schemes.codecs(LayerPeaks.NONE).inner().tensorScale()).isPositive();
    assertThat(LayerPeaks.NONE.max(new LayerPeaks(1, 2, 3, 4)))
        .isEqualTo(new LayerPeaks(1, 2, 3, 4).max(LayerPeaks.NONE));
  }
}

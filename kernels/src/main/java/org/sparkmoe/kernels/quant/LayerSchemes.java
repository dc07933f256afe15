package org.sparkmoe.kernels.quant;

import java.io.Serializable;

/**
 * How a checkpoint quantizes the activations of one layer.
 *
 * @param input of the routed experts' first products (a1)
 * @param inner of their second products (a2)
 * @param sharedInput of the shared expert's first products
 * @param sharedInner of its second product
 */
public record LayerSchemes(
    ScaledScheme input, ScaledScheme inner, ScaledScheme sharedInput, ScaledScheme sharedInner)
    implements Serializable {

  /** Nothing is quantized. */
  public static final LayerSchemes NONE =
      new LayerSchemes(ScaledScheme.NONE, ScaledScheme.NONE, ScaledScheme.NONE, ScaledScheme.NONE);

  /** Whether some scale has to be computed over all tokens first. */
  public boolean needsAllTokens() {
    return input.needsAllTokens()
        || inner.needsAllTokens()
        || sharedInput.needsAllTokens()
        || sharedInner.needsAllTokens();
  }

  /** Whether kernels have to quantize what is between their products. */
  public boolean quantizesIntermediates() {
    return !inner.equals(ScaledScheme.NONE) || !sharedInner.equals(ScaledScheme.NONE);
  }

  /** Whether the magnitudes of the intermediates have to be known before they can be quantized. */
  public boolean needsInnerPeaks() {
    return inner.needsAllTokens() || sharedInner.needsAllTokens();
  }

  /**
   * The codecs.
   *
   * @throws IllegalStateException where a scheme {@link #needsAllTokens}
   */
  public LayerCodecs codecs() {
    return new LayerCodecs(input.codec(), inner.codec(), sharedInput.codec(), sharedInner.codec());
  }

  /** The codecs, for tokens of such magnitudes; those that no scheme needs are not looked at. */
  public LayerCodecs codecs(LayerPeaks peaks) {
    return new LayerCodecs(
        input.codec(peaks.input()),
        inner.codec(peaks.inner()),
        sharedInput.codec(peaks.sharedInput()),
        sharedInner.codec(peaks.sharedInner()));
  }

  /**
   * As {@link #codecs(LayerPeaks)} for the inputs; intermediates whose magnitudes have to be known
   * first are measured instead.
   */
  public LayerCodecs measuringCodecs(LayerPeaks inputs) {
    return new LayerCodecs(
        input.codec(inputs.input()),
        measuring(inner),
        sharedInput.codec(inputs.sharedInput()),
        measuring(sharedInner));
  }

  private static ActivationCodec measuring(ScaledScheme scheme) {
    return scheme.needsAllTokens() ? ActivationCodec.measuring() : scheme.codec();
  }
}

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

  /**
   * The codecs.
   *
   * @throws IllegalStateException where a scheme {@link #needsAllTokens}
   */
  public LayerCodecs codecs() {
    return new LayerCodecs(input.codec(), inner.codec(), sharedInput.codec(), sharedInner.codec());
  }
}

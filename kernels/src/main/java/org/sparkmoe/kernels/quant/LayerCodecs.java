package org.sparkmoe.kernels.quant;

import java.io.Serializable;

/**
 * How the activations of one layer are quantized. All scalar scales are here, none travels with the
 * rows.
 *
 * @param input of the routed experts' first products (a1), applied once, before dispatch
 * @param inner of their second products (a2), applied where they are computed
 * @param sharedInput of the shared expert's first products
 * @param sharedInner of its second product
 */
public record LayerCodecs(
    ActivationCodec input,
    ActivationCodec inner,
    ActivationCodec sharedInput,
    ActivationCodec sharedInner)
    implements Serializable {

  /** Nothing is quantized. */
  public static final LayerCodecs NONE =
      new LayerCodecs(
          ActivationCodec.NONE, ActivationCodec.NONE, ActivationCodec.NONE, ActivationCodec.NONE);

  /** Quantizes what is dispatched, and nothing else. */
  public static LayerCodecs ofInput(ActivationCodec input) {
    return new LayerCodecs(input, ActivationCodec.NONE, ActivationCodec.NONE, ActivationCodec.NONE);
  }

  /** Whether nothing is quantized. */
  public boolean areIdentity() {
    return input.isIdentity()
        && inner.isIdentity()
        && sharedInput.isIdentity()
        && sharedInner.isIdentity();
  }

  /** What measuring codecs among them have seen so far. */
  public LayerPeaks peaks() {
    return new LayerPeaks(input.peak(), inner.peak(), sharedInput.peak(), sharedInner.peak());
  }
}

package org.sparkmoe.kernels.quant;

import java.io.Serializable;

/**
 * The largest magnitudes of one layer's activations, over all tokens; 0 where nothing was measured.
 *
 * @param input of the routed experts' first products (a1), weighed where the family weighs inputs
 * @param inner of their second products (a2)
 * @param sharedInput of the shared expert's first products
 * @param sharedInner of its second product
 */
public record LayerPeaks(float input, float inner, float sharedInput, float sharedInner)
    implements Serializable {

  /** Nothing was measured. */
  public static final LayerPeaks NONE = new LayerPeaks(0, 0, 0, 0);

  /** The larger ones. */
  public LayerPeaks max(LayerPeaks other) {
    return new LayerPeaks(
        Math.max(input, other.input),
        Math.max(inner, other.inner),
        Math.max(sharedInput, other.sharedInput),
        Math.max(sharedInner, other.sharedInner));
  }
}

package org.sparkmoe.kernels.quant;

import java.io.Serializable;

/**
 * A scheme as a checkpoint asks for it.
 *
 * @param scheme codes and scales
 * @param staticScaleOrNull the scale for the whole tensor, where the scheme has one and the
 *     checkpoint stores it; null where it is to be computed from the activations, over all tokens
 */
public record ScaledScheme(ActivationScheme scheme, Float staticScaleOrNull)
    implements Serializable {

  /** Not quantized. */
  public static final ScaledScheme NONE = new ScaledScheme(ActivationScheme.NONE, null);

  public ScaledScheme {
    if (staticScaleOrNull != null && !scheme.hasTensorScale()) {
      throw new IllegalArgumentException(scheme.label() + " has no scale for the tensor");
    }
  }

  /** A scheme whose scales are all computed from the activations. */
  public static ScaledScheme dynamic(ActivationScheme scheme) {
    return new ScaledScheme(scheme, null);
  }

  /** A scheme with the scale for the tensor that the checkpoint stores. */
  public static ScaledScheme fixed(ActivationScheme scheme, float scale) {
    return new ScaledScheme(scheme, scale);
  }

  /** Whether all tokens have to be seen before the first can be quantized. */
  public boolean needsAllTokens() {
    return scheme.hasTensorScale() && staticScaleOrNull == null;
  }

  /**
   * The codec.
   *
   * @throws IllegalStateException where it {@link #needsAllTokens}
   */
  public ActivationCodec codec() {
    if (needsAllTokens()) {
      throw new IllegalStateException(
          scheme.label() + " needs the largest magnitude over all tokens");
    }
    return scheme.hasTensorScale()
        ? ActivationCodec.perTensor(scheme, staticScaleOrNull)
        : ActivationCodec.of(scheme);
  }

  /**
   * The codec, for values of magnitude up to {@code amax} over all tokens where that is needed;
   * else as {@link #codec()}.
   */
  public ActivationCodec codec(float amax) {
    return needsAllTokens()
        ? ActivationCodec.perTensor(scheme, ActivationCodec.tensorScale(scheme, amax))
        : codec();
  }
}

package org.sparkmoe.datasets.checkpoint;

import org.sparkmoe.kernels.quant.ActivationScheme;

/**
 * How a configuration says the input of a linear map is quantized.
 *
 * @param scheme codes and scales
 * @param scaleSuffixOrNull what follows the map's name in the name of the tensor with the static
 *     scale; null where scales are computed
 * @param reciprocal whether that tensor holds one over the scale
 */
record ActivationRule(ActivationScheme scheme, String scaleSuffixOrNull, boolean reciprocal) {
  static final ActivationRule NONE = dynamic(ActivationScheme.NONE);

  static ActivationRule dynamic(ActivationScheme scheme) {
    return new ActivationRule(scheme, null, false);
  }

  static ActivationRule fixed(ActivationScheme scheme, String scaleSuffix) {
    return new ActivationRule(scheme, scaleSuffix, false);
  }

  static ActivationRule reciprocal(ActivationScheme scheme, String scaleSuffix) {
    return new ActivationRule(scheme, scaleSuffix, true);
  }

  /** For messages. */
  String label() {
    return scheme.label() + (scaleSuffixOrNull == null ? "" : " with a static scale");
  }
}

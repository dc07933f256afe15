/**
 * How activations travel: codes beside their scales.
 *
 * <p>An {@link org.sparkmoe.kernels.quant.ActivationScheme} names the codes and the granularity of
 * the scales; an {@link org.sparkmoe.kernels.quant.ActivationCodec} encodes and decodes. Scales per
 * token and per block travel with the rows. A scale per tensor does not: it is part of the codec,
 * and a codec of that granularity cannot exist without it.
 */
package org.sparkmoe.kernels.quant;

/**
 * How plain weights become quantized ones.
 *
 * <p>A {@link org.sparkmoe.kernels.quant.weight.WeightQuantizer} rounds a matrix to codes with
 * scales, to the nearest code and without calibration; {@link
 * org.sparkmoe.kernels.quant.weight.WeightError} says what that cost.
 */
package org.sparkmoe.kernels.quant.weight;

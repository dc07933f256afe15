package org.sparkmoe.datasets.checkpoint.write;

import org.sparkmoe.kernels.quant.weight.WeightError;

/**
 * What quantizing one weight cost.
 *
 * @param layer the decoder layer's number
 * @param projection which one of an expert: {@code gate}, {@code up}, {@code down}, {@code shared
 *     gate} and so on
 * @param weight name of the linear module
 * @param rows output features
 * @param cols input features
 * @param error against the source
 */
public record TensorError(
    int layer, String projection, String weight, int rows, int cols, WeightError error) {}

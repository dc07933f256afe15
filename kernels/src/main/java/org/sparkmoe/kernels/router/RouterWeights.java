package org.sparkmoe.kernels.router;

import org.sparkmoe.kernels.tensor.Matrix;

/**
 * The tensors of a router.
 *
 * @param router E × H
 * @param biasOrNull of the logits, E values
 * @param selectionBiasOrNull added to the scores for the choice only, E values
 */
public record RouterWeights(Matrix router, float[] biasOrNull, float[] selectionBiasOrNull) {}

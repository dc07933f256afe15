package org.sparkmoe.kernels.experts;

/**
 * The largest load one call brings, for sizing a workspace.
 *
 * @param rows assignments in the standard format, tokens per expert in the batched one
 * @param hidden H
 * @param intermediate I
 */
public record ExpertLoad(int rows, int hidden, int intermediate) {}

package org.sparkmoe.kernels.combine;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.permute.TokenPermutation;

/**
 * What experts leave for a {@link WeightAndReduce}.
 *
 * @param rows rows × H f32; which row belongs to which assignment depends on the reducer
 * @param hidden H
 * @param permutation the routes, and where each assignment stands among those of its expert
 * @param maxTokens rows per expert in the batched format; not read by the other reducers
 */
public record Unreduced(
    MemorySegment rows, int hidden, TokenPermutation permutation, int maxTokens) {}

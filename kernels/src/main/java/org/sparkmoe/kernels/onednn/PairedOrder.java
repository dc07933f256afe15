package org.sparkmoe.kernels.onednn;

/**
 * How a bf16 strip stands in memory: blocks of outputs one after the other, and in a block, for
 * each pair of inputs, the pairs of all its outputs.
 *
 * @param width outputs of a block
 * @param depthBlock K is filled up with 0 to a multiple of it
 * @param stride bytes from one block of outputs to the next
 */
public record PairedOrder(int width, int depthBlock, long stride) {}

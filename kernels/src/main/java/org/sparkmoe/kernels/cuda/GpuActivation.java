package org.sparkmoe.kernels.cuda;

/**
 * The activation as the kernels take it.
 *
 * @param kind number of the formula, in the order of {@code experts.cu}
 */
public record GpuActivation(int kind, float alpha, float beta, float limit) {}

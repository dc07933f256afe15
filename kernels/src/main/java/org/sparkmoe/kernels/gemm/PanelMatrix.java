package org.sparkmoe.kernels.gemm;

/**
 * ⌈N/32⌉ panels of 32 output features: for each k the 32 weights that meet x[k], side by side.
 * Outputs past N weigh 0.
 */
public sealed interface PanelMatrix extends PackedMatrix permits PlainPanels, CodePanels {}

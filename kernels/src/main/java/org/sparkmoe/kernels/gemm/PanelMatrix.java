package org.sparkmoe.kernels.gemm;

import java.lang.foreign.MemorySegment;

/**
 * ⌈N/32⌉ panels of 32 output features: for each k the 32 weights that meet x[k], side by side.
 * Outputs past N weigh 0.
 */
public sealed interface PanelMatrix extends PackedMatrix permits PlainPanels, CodePanels {

  /**
   * Which value of x meets each column: K ints, or null where column k meets x[k]. Act-order
   * matrices, whose columns are sorted by group, have such an order.
   */
  MemorySegment orderOrNull();
}

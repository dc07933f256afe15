package org.sparkmoe.kernels.gemm;

import java.lang.foreign.MemorySegment;

/** Panels of any kind as f32, a stretch of k at a time. */
final class PanelStrip {
  private PanelStrip() {}

  /**
   * Widens columns {@code k} to {@code k + depth} of a panel.
   *
   * @param to receives depth × 32 f32 from byte {@code toByte}
   * @param stride bytes from one column's weights to the next column's
   * @param factors scratch of {@link CodeFactors#SCRATCH_VALUES} f32 from byte {@code factorsByte}
   */
  static void widen(
      PanelMatrix w,
      int panel,
      int k,
      int depth,
      MemorySegment to,
      long toByte,
      long stride,
      MemorySegment factors,
      long factorsByte) {
    switch (w) {
      case PlainPanels plain -> {
        long from = plain.byteOf(panel, k);
        PanelWidener.widen(plain.data(), plain.dtype(), from, depth, to, toByte, stride);
      }
      case CodePanels codes ->
          CodeUnpacker.unpack(codes, panel, k, depth, to, toByte, stride, factors, factorsByte);
    }
  }
}

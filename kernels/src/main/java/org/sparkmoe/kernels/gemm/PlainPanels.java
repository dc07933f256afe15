package org.sparkmoe.kernels.gemm;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Panels of elements; 16-bit ones in pairs (n, n + 16), see {@link Panels}.
 *
 * @param data the elements
 * @param dtype element type
 * @param rows N, output features
 * @param cols K, input features
 */
public record PlainPanels(MemorySegment data, DType dtype, int rows, int cols)
    implements PanelMatrix {

  @Override
  public MemorySegment orderOrNull() {
    return null;
  }

  @Override
  public long bytes() {
    return data.byteSize();
  }

  /** Where the weights of (panel, k) start. */
  long byteOf(int panel, int k) {
    return Panels.byteOf(dtype, cols, panel, k);
  }
}

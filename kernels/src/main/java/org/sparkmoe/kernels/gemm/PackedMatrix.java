package org.sparkmoe.kernels.gemm;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.DType;

/**
 * A weight matrix in the order in which a {@link Gemm} reads it, in its stored width.
 *
 * @param data the elements; ROW_MAJOR borrows the matrix it was made of, PANELS is a copy
 * @param dtype element type
 * @param rows N, output features
 * @param cols K, input features
 * @param order of the elements
 */
public record PackedMatrix(MemorySegment data, DType dtype, int rows, int cols, Order order) {

  /** Orders of elements. */
  public enum Order {
    /** N × K. */
    ROW_MAJOR,
    /** ⌈N/32⌉ panels of K × 32, outputs past N are zero; 16-bit weights in pairs (n, n + 16). */
    PANELS
  }

  /** Bytes held. */
  public long bytes() {
    return data.byteSize();
  }

  void requireOrder(Order expected) {
    if (order != expected) {
      throw new IllegalArgumentException(
          "weights packed as %s, this kernel reads %s; pack them with the kernel that multiplies"
              .formatted(order, expected));
    }
  }
}

package org.sparkmoe.kernels.gemm;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.onednn.WeightTiles;
import org.sparkmoe.kernels.tensor.DType;

/**
 * A weight matrix in the order in which a {@link Gemm} reads it, in its stored width.
 *
 * @param data the elements, a copy in the arena they were packed into
 * @param dtype element type
 * @param rows N, output features
 * @param cols K, input features
 * @param order of the elements
 * @param tilesOrNull where the tiles are, for TILES
 */
public record PackedMatrix(
    MemorySegment data, DType dtype, int rows, int cols, Order order, WeightTiles tilesOrNull) {

  /** A matrix without tiles. */
  public PackedMatrix(MemorySegment data, DType dtype, int rows, int cols, Order order) {
    this(data, dtype, rows, cols, order, null);
  }

  /** Orders of elements. */
  public enum Order {
    /** N × K. */
    ROW_MAJOR,
    /** ⌈N/32⌉ panels of K × 32, outputs past N are zero; 16-bit weights in pairs (n, n + 16). */
    PANELS,
    /** Tiles as {@link WeightTiles} cuts them, each in the order of oneDNN's kernels. */
    TILES
  }

  /** Bytes held. */
  public long bytes() {
    return data.byteSize();
  }

  /**
   * Checks that a kernel got what it packed.
   *
   * @throws IllegalArgumentException for another order
   */
  public void requireOrder(Order expected) {
    if (order != expected) {
      throw new IllegalArgumentException(
          "weights packed as %s, this kernel reads %s; pack them with the kernel that multiplies"
              .formatted(order, expected));
    }
  }
}

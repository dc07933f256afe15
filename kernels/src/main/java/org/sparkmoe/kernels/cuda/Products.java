package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** Both products of experts over rows, in one type of weights: one way to make them. */
interface Products {
  /**
   * What both products read and write: addresses on the GPU.
   *
   * @param rows sorted by expert
   * @param x rows or tokens × padded H, of the type of the weights
   * @param tokenOfOrZero the row of x of each row; 0 where they are the same
   * @param inner rows × padded I
   * @param out rows × H f32
   */
  record Batch(GpuShape shape, int rows, long x, long tokenOfOrZero, long inner, long out) {}

  /** Rows of an expert that one thread block computes, at most. */
  int tileRows();

  /** Rows that are computed together, whether they are there or not: those of a tile, or fewer. */
  default int rowsTogether() {
    return tileRows();
  }

  /**
   * What the kernels want to know of an expert beside its addresses, at most {@link
   * GpuShape#NOTE_BYTES}; nothing where they want nothing.
   *
   * @param w1 address of w1 and, where there is one, of w3 behind it
   * @param w2 address
   */
  default MemorySegment note(GpuShape shape, long w1, long w2, Arena arena) {
    return MemorySegment.NULL;
  }

  /**
   * Brings the rows of a batch into the order that the products read, once a batch; nothing where
   * they gather them.
   */
  default Batch arrange(Stream stream, Batch batch, DeviceBuffer room) {
    return batch;
  }

  /**
   * Starts both products.
   *
   * @param tiles of {@link #tileRows} rows
   * @param plan the address of their copy on the GPU
   */
  void launch(Stream stream, Batch batch, TilePlan tiles, long plan, GpuActivation activation);
}

package org.sparkmoe.kernels.cuda;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The figures of {@code hopper.cuh}, and what follows from them. */
final class HopperTiling {
  /** Thread blocks that take a tile together. */
  private static final int BLOCKS = 2;

  /** Rows that each of them has. */
  static final int BLOCK_ROWS = 128;

  /** Rows of a tile. */
  static final int ROWS = BLOCKS * BLOCK_ROWS;

  /** Sums of a row in a tile. */
  static final int SUMS = 256;

  /** Of the weights, that a block copies for both. */
  private static final int COPIED_SUMS = SUMS / BLOCKS;

  static final int THREADS = 384;
  private static final int STAGES = 4;
  private static final int STAGE_BYTES = (BLOCK_ROWS + SUMS) * TensorMaps.WIDTH;
  private static final int SCRATCH_BYTES = 8 * 4096;
  private static final int BARRIER_BYTES = 2 * (STAGES + 1) * Long.BYTES;
  private static final int JOB_BYTES = 64;
  private static final int TOKENS_BYTES = BLOCK_ROWS * Integer.BYTES;

  /** Of dynamic shared memory. */
  static final int SHARED_BYTES =
      STAGES * STAGE_BYTES + SCRATCH_BYTES + BARRIER_BYTES + JOB_BYTES + TOKENS_BYTES;

  /** Rows of sums that a warp hands to the copy engine. */
  private static final int STORED_ROWS = 16;

  private HopperTiling() {}

  /** Blocks of a launch: as many as run beside each other, or fewer. */
  static int blocks(int multiprocessors, TilePlan tiles, int columns) {
    return BLOCKS * (int) Math.min(multiprocessors / BLOCKS, (long) tiles.count() * columns);
  }

  /**
   * The tensor map through which sums leave, or zeros where their rows are no whole 16 bytes: then
   * the kernels store them themselves.
   *
   * @param address rows × cols f32
   */
  static MemorySegment sums(Driver driver, long address, int rows, int cols, Arena arena) {
    long apart = TensorMaps.Element.F32.bytes(cols);
    return apart % TensorMaps.STRIDE == 0
        ? TensorMaps.matrix(
            driver, TensorMaps.Element.F32, address, rows, cols, apart, STORED_ROWS, arena)
        : arena.allocate(TensorMaps.BYTES, Long.BYTES);
  }

  /** The tensor maps of the inner projections and of w2, one behind the other. */
  static MemorySegment maps(
      Driver driver, TensorMaps.Element element, GpuShape shape, long w1, long w2, Arena arena) {
    int count = shape.gated() ? 2 : 1;
    MemorySegment inner =
        TensorMaps.matrices(
            driver,
            element,
            w1,
            count,
            shape.innerBytes(),
            shape.intermediate(),
            shape.paddedHidden(),
            COPIED_SUMS,
            arena);
    MemorySegment outer =
        TensorMaps.matrices(
            driver,
            element,
            w2,
            1,
            shape.outerBytes(),
            shape.hidden(),
            shape.paddedIntermediate(),
            COPIED_SUMS,
            arena);
    MemorySegment both = arena.allocate(2L * TensorMaps.BYTES, Long.BYTES);
    MemorySegment.copy(inner, 0, both, 0, TensorMaps.BYTES);
    MemorySegment.copy(outer, 0, both, TensorMaps.BYTES, TensorMaps.BYTES);
    return both;
  }
}

package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Descriptions of matrices on the GPU from which its copy engine takes tiles, {@link #DEPTH}
 * columns wide, swizzled as the matrix instructions read them. Rows past the last are zeros.
 */
final class TensorMaps {
  /** Of a description. */
  static final int BYTES = 128;

  /** Columns of a tile: 128 bytes. */
  static final int DEPTH = 64;

  private static final int ALIGNMENT = 64;

  // As cuda.h numbers them.
  private static final int FLOAT16 = 6;
  private static final int BFLOAT16 = 9;
  private static final int NO_INTERLEAVE = 0;
  private static final int SWIZZLE_128_BYTES = 3;
  private static final int PROMOTE_256_BYTES = 3;
  private static final int FILL_WITH_ZEROS = 0;

  private TensorMaps() {}

  /**
   * A matrix, rows × cols, in tiles of {@code tileRows} rows.
   *
   * @param type BF16 or F16
   */
  static MemorySegment matrix(
      Driver driver, DType type, long address, int rows, int cols, int tileRows, Arena arena) {
    return encode(
        driver,
        type,
        address,
        new long[] {cols, rows},
        new long[] {type.bytes(cols)},
        new int[] {DEPTH, tileRows},
        arena);
  }

  /**
   * {@code count} matrices, rows × cols each, in tiles of {@code tileRows} rows of one.
   *
   * @param type BF16 or F16
   * @param apart bytes from one to the next
   */
  static MemorySegment matrices(
      Driver driver,
      DType type,
      long address,
      int count,
      long apart,
      int rows,
      int cols,
      int tileRows,
      Arena arena) {
    return encode(
        driver,
        type,
        address,
        new long[] {cols, rows, count},
        new long[] {type.bytes(cols), apart},
        new int[] {DEPTH, tileRows, 1},
        arena);
  }

  private static MemorySegment encode(
      Driver driver,
      DType type,
      long address,
      long[] sizes,
      long[] strides,
      int[] tile,
      Arena arena) {
    MemorySegment map = arena.allocate(BYTES, ALIGNMENT);
    int[] everyElement = new int[tile.length];
    Arrays.fill(everyElement, 1);
    driver.call(
        "cuTensorMapEncodeTiled",
        driver.bindings().tensorMapEncodeTiled().orElseThrow(),
        map,
        type == DType.F16 ? FLOAT16 : BFLOAT16,
        sizes.length,
        address,
        arena.allocateFrom(JAVA_LONG, sizes),
        arena.allocateFrom(JAVA_LONG, strides),
        arena.allocateFrom(JAVA_INT, tile),
        arena.allocateFrom(JAVA_INT, everyElement),
        NO_INTERLEAVE,
        SWIZZLE_128_BYTES,
        PROMOTE_256_BYTES,
        FILL_WITH_ZEROS);
    return map;
  }
}

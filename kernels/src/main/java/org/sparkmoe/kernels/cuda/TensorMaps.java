package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Descriptions of matrices on the GPU from which its copy engine takes tiles, or to which it brings
 * them, {@link #WIDTH} bytes wide, swizzled in shared memory as the matrix instructions read them.
 * Rows past the last are zeros or left out, and so are columns.
 */
final class TensorMaps {
  /** Of a description. */
  static final int BYTES = 128;

  /** Bytes of a tile's row. */
  static final int WIDTH = 128;

  /** Rows lie whole multiples of so many bytes apart. */
  static final int STRIDE = 16;

  private static final int ALIGNMENT = 64;

  // As cuda.h numbers them.
  private static final int NO_INTERLEAVE = 0;
  private static final int SWIZZLE_128_BYTES = 3;
  private static final int PROMOTE_256_BYTES = 3;
  private static final int FILL_WITH_ZEROS = 0;

  /** What a matrix consists of. */
  enum Element {
    BYTE(0, 1),
    F16(6, 2),
    F32(7, 4),
    BF16(9, 2);

    private final int number;
    private final int bytes;

    /** A type of that number in {@code cuda.h}. */
    Element(int number, int bytes) {
      this.number = number;
      this.bytes = bytes;
    }

    /** Of values of {@code type}, which is BF16 or F16. */
    static Element of(DType type) {
      return type == DType.F16 ? F16 : BF16;
    }

    long bytes(long count) {
      return count * bytes;
    }
  }

  private TensorMaps() {}

  /**
   * A matrix, rows × cols, in tiles of {@code tileRows} rows.
   *
   * @param apart bytes from one row to the next
   */
  static MemorySegment matrix(
      Driver driver,
      Element element,
      long address,
      int rows,
      int cols,
      long apart,
      int tileRows,
      Arena arena) {
    return encode(
        driver,
        element,
        address,
        new long[] {cols, rows},
        new long[] {apart},
        new int[] {WIDTH / element.bytes, tileRows},
        arena);
  }

  /**
   * {@code count} matrices, rows × cols each, in tiles of {@code tileRows} rows of one.
   *
   * @param apart bytes from one to the next
   */
  static MemorySegment matrices(
      Driver driver,
      Element element,
      long address,
      int count,
      long apart,
      int rows,
      int cols,
      int tileRows,
      Arena arena) {
    return encode(
        driver,
        element,
        address,
        new long[] {cols, rows, count},
        new long[] {element.bytes(cols), apart},
        new int[] {WIDTH / element.bytes, tileRows, 1},
        arena);
  }

  private static MemorySegment encode(
      Driver driver,
      Element element,
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
        element.number,
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

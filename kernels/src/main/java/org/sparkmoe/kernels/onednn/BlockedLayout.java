package org.sparkmoe.kernels.onednn;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Where oneDNN's blocked order puts the values of a tile, and how 16-bit ones get there: oneDNN's
 * own conversion of them runs at 0.02 GB/s (f16 everywhere, bf16 without AVX-512) or is missing.
 *
 * @param depthBlock inputs of a block
 * @param colBlock outputs of a block
 * @param depthStride values from one block to the next along K
 * @param colStride values from one block to the next along N
 * @param within position in its block of output n and input k, at {@code n·depthBlock + k}
 */
record BlockedLayout(int depthBlock, int colBlock, long depthStride, long colStride, int[] within) {
  private static final int INNER_COUNT = 263;
  private static final int INNER_BLOCKS = 264;
  private static final int INNER_DIMENSIONS = 265;
  private static final int STRIDES = 14;

  /** The layout of a K × N descriptor. */
  static BlockedLayout of(long descriptor) {
    try (Arena arena = Arena.ofConfined()) {
      MemorySegment count = arena.allocate(JAVA_INT);
      query(descriptor, INNER_COUNT, count);
      long[] blocks = dimensions(descriptor, INNER_BLOCKS, count.get(JAVA_INT, 0), arena);
      long[] inner = dimensions(descriptor, INNER_DIMENSIONS, count.get(JAVA_INT, 0), arena);
      long[] strides = dimensions(descriptor, STRIDES, 2, arena);
      int[] sizes = {1, 1};
      for (int i = 0; i < blocks.length; i++) {
        sizes[(int) inner[i]] *= (int) blocks[i];
      }
      int[] within = within(blocks, inner, sizes);
      return new BlockedLayout(sizes[0], sizes[1], strides[0], strides[1], within);
    }
  }

  /** This order as pairs of inputs; empty where they do not stand so. */
  Optional<PairedOrder> paired() {
    boolean dense = depthBlock % 2 == 0 && depthStride == (long) depthBlock * colBlock;
    for (int n = 0; dense && n < colBlock; n++) {
      for (int k = 0; k < depthBlock; k++) {
        if (within[n * depthBlock + k] != (k / 2 * colBlock + n) * 2 + k % 2) {
          return Optional.empty();
        }
      }
    }
    return dense
        ? Optional.of(new PairedOrder(colBlock, depthBlock, DType.BF16.bytes(colStride)))
        : Optional.empty();
  }

  /** Inner blocks are listed from the outermost to the innermost. */
  private static int[] within(long[] blocks, long[] inner, int[] sizes) {
    int[] within = new int[sizes[0] * sizes[1]];
    for (int n = 0; n < sizes[1]; n++) {
      for (int k = 0; k < sizes[0]; k++) {
        int[] rest = {k, n};
        int position = 0;
        int step = 1;
        for (int i = blocks.length - 1; i >= 0; i--) {
          int dimension = (int) inner[i];
          int block = (int) blocks[i];
          position += rest[dimension] % block * step;
          rest[dimension] /= block;
          step *= block;
        }
        within[n * sizes[0] + k] = position;
      }
    }
    return within;
  }

  /**
   * Brings a tile into this layout.
   *
   * @param source row-major values of {@code sourceType}
   * @param from index of the tile's first value
   * @param stride values from one output to the next
   * @param packed zeroed values of the 16-bit {@code type}: what only fills a block stays 0
   * @param to index of its first value
   */
  void pack(
      MemorySegment source,
      DType sourceType,
      long from,
      int stride,
      int rows,
      int cols,
      MemorySegment packed,
      DType type,
      long to) {
    for (int n = 0; n < rows; n++) {
      int first = n % colBlock * depthBlock;
      long blocks = to + n / colBlock * colStride;
      for (int k = 0; k < cols; k += depthBlock) {
        long run = from + (long) n * stride + k;
        long block = blocks + k / depthBlock * depthStride;
        int count = Math.min(depthBlock, cols - k);
        if (sourceType == type) {
          copyRun(source, run, count, packed, block, first);
        } else {
          roundRun(source, sourceType, run, count, packed, type, block, first);
        }
      }
    }
  }

  private void copyRun(
      MemorySegment source, long from, int count, MemorySegment packed, long block, int first) {
    for (int i = 0; i < count; i++) {
      short bits = source.get(DType.LE_SHORT, (from + i) << 1);
      packed.set(DType.LE_SHORT, (block + within[first + i]) << 1, bits);
    }
  }

  private void roundRun(
      MemorySegment source,
      DType sourceType,
      long from,
      int count,
      MemorySegment packed,
      DType type,
      long block,
      int first) {
    for (int i = 0; i < count; i++) {
      type.set(packed, block + within[first + i], sourceType.get(source, from + i));
    }
  }

  @SuppressWarnings("restricted") // oneDNN answers with a pointer to its own array
  private static long[] dimensions(long descriptor, int what, int count, Arena arena) {
    MemorySegment result = arena.allocate(ADDRESS);
    query(descriptor, what, result);
    return result.get(ADDRESS, 0).reinterpret((long) count * Long.BYTES).toArray(JAVA_LONG);
  }

  private static void query(long descriptor, int what, MemorySegment result) {
    Dnnl dnnl = Library.dnnl();
    dnnl.call(
        "dnnl_memory_desc_query", dnnl.bindings().memoryDescQuery(), descriptor, what, result);
  }
}

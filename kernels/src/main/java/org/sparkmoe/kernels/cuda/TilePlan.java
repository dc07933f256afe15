package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Which rows of which expert each row of thread blocks computes, as the kernels read it: the
 * addresses of the experts, then the tiles, and a counter of tiles that are taken for each of two
 * products, which begins with 0.
 *
 * @param memory all of it
 * @param offset of the tiles in it
 * @param count of tiles
 */
record TilePlan(MemorySegment memory, long offset, int count) {
  private static final int EXPERT_BYTES = 8 * Long.BYTES;
  private static final int TILE_BYTES = 4 * Integer.BYTES;

  /** Cuts pieces into tiles of {@code tileRows} rows. */
  static TilePlan of(List<Lane.Piece> pieces, int tileRows, Arena arena) {
    int count = 0;
    for (Lane.Piece piece : pieces) {
      count += Math.ceilDiv(piece.rows(), tileRows);
    }
    long offset = Gpu.aligned((long) pieces.size() * EXPERT_BYTES);
    MemorySegment memory =
        arena.allocate(offset + (long) count * TILE_BYTES + 2 * Integer.BYTES, Long.BYTES);
    long tile = offset;
    for (int number = 0; number < pieces.size(); number++) {
      Lane.Piece piece = pieces.get(number);
      expert(piece.expert(), memory, (long) number * EXPERT_BYTES);
      for (int row = 0; row < piece.rows(); row += tileRows) {
        memory.set(JAVA_INT, tile, number);
        memory.set(JAVA_INT, tile + 4, piece.first() + row);
        memory.set(JAVA_INT, tile + 8, Math.min(tileRows, piece.rows() - row));
        tile += TILE_BYTES;
      }
    }
    return new TilePlan(memory, offset, count);
  }

  private static void expert(GpuExpert expert, MemorySegment memory, long at) {
    memory.set(JAVA_LONG, at, expert.w1());
    memory.set(JAVA_LONG, at + 8, expert.w3());
    memory.set(JAVA_LONG, at + 16, expert.w2());
    memory.set(JAVA_LONG, at + 24, expert.b1());
    memory.set(JAVA_LONG, at + 32, expert.b3());
    memory.set(JAVA_LONG, at + 40, expert.b2());
    memory.set(JAVA_LONG, at + 48, expert.note());
    memory.set(JAVA_LONG, at + 56, expert.note() + TensorMaps.BYTES);
  }

  /** Where in the memory the counter of the inner product lies. */
  long innerCounter() {
    return offset + (long) count * TILE_BYTES;
  }

  /** Where in the memory the counter of the outer product lies. */
  long outerCounter() {
    return innerCounter() + Integer.BYTES;
  }

  /** Rows of the largest tile. */
  int mostRows() {
    int most = 0;
    for (int tile = 0; tile < count; tile++) {
      most = Math.max(most, memory.get(JAVA_INT, offset + (long) tile * TILE_BYTES + 8));
    }
    return most;
  }

  long bytes() {
    return memory.byteSize();
  }
}

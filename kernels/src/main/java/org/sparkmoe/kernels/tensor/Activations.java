package org.sparkmoe.kernels.tensor;

import java.lang.foreign.MemorySegment;

/**
 * Vectors as they lie in memory: rows × width, row-major.
 *
 * @param type of the elements
 */
public record Activations(MemorySegment data, DType type) {
  private static final int WIDENED_AT_ONCE = 4096;

  /** Vectors in f32. */
  public static Activations f32(MemorySegment data) {
    return new Activations(data, DType.F32);
  }

  /** Rows {@code from} to {@code to} − 1 of rows of {@code width} elements. */
  public Activations rows(int from, int to, int width) {
    long rowBytes = type.bytes(width);
    return new Activations(data.asSlice(from * rowBytes, (to - from) * rowBytes), type);
  }

  /**
   * Rounds or widens the first {@code count} elements to those of {@code to}, whatever their types.
   */
  public void convert(Activations to, long count) {
    if (type == to.type) {
      MemorySegment.copy(data, 0, to.data, 0, type.bytes(count));
    } else if (to.type == DType.F32) {
      widen(to.data, count);
    } else {
      for (long i = 0; i < count; i++) {
        to.type.set(to.data, i, type.get(data, i));
      }
    }
  }

  private void widen(MemorySegment to, long count) {
    int most = (int) Math.min(count, WIDENED_AT_ONCE);
    short[] narrow = new short[most];
    int[] bits = new int[most];
    for (long at = 0; at < count; at += most) {
      int some = (int) Math.min(most, count - at);
      MemorySegment.copy(data, DType.LE_SHORT, type.bytes(at), narrow, 0, some);
      Widening.widen(type, narrow, bits, some);
      MemorySegment.copy(bits, 0, to, DType.LE_INT, DType.F32.bytes(at), some);
    }
  }
}

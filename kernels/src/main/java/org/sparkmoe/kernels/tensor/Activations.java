package org.sparkmoe.kernels.tensor;

import java.lang.foreign.MemorySegment;

/**
 * Vectors as they lie in memory: rows × width, row-major.
 *
 * @param type of the elements
 */
public record Activations(MemorySegment data, DType type) {

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
      return;
    }
    for (long i = 0; i < count; i++) {
      to.type.set(to.data, i, type.get(data, i));
    }
  }
}

package org.sparkmoe.datasets.checkpoint.quant;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;

/** Little-endian integers. */
final class Words {
  private static final ValueLayout.OfInt INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);
  private static final ValueLayout.OfLong LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Words() {}

  /** The first {@code count} int32 of a tensor. */
  static int[] read(TensorBytes tensors, String tensor, int count) {
    int[] words = new int[count];
    MemorySegment bytes = MemorySegment.ofArray(new byte[Math.multiplyExact(count, Integer.BYTES)]);
    tensors.read(tensor, 0, bytes);
    MemorySegment.copy(bytes, INT, 0, words, 0, count);
    return words;
  }

  /** The int32 at {@code index}, counted in words. */
  static int get(MemorySegment data, long index) {
    return data.get(INT, index * Integer.BYTES);
  }

  /** The integer of 4 or 8 bytes at {@code index}. */
  static long integer(MemorySegment data, long index, int bytes) {
    return bytes == Long.BYTES ? data.get(LONG, index * bytes) : data.get(INT, index * bytes);
  }
}

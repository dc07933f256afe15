package org.sparkmoe.udfs.dispatch;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.sparkmoe.kernels.tensor.DType;

/** Little-endian bytes that grow; keeps its capacity from block to block. */
final class GrowingBuffer {
  private static final ValueLayout.OfLong LE_LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private byte[] bytes = new byte[1024];
  private int size;

  void putByte(byte value) {
    int at = reserve(Byte.BYTES);
    bytes[at] = value;
  }

  void putInt(int value) {
    int at = reserve(Integer.BYTES);
    MemorySegment.ofArray(bytes).set(DType.LE_INT, at, value);
  }

  void putLong(long value) {
    int at = reserve(Long.BYTES);
    MemorySegment.ofArray(bytes).set(LE_LONG, at, value);
  }

  void put(MemorySegment source) {
    int length = Math.toIntExact(source.byteSize());
    int at = reserve(length);
    MemorySegment.copy(source, ValueLayout.JAVA_BYTE, 0, bytes, at, length);
  }

  int size() {
    return size;
  }

  /** The bytes; the buffer starts anew. */
  byte[] drain() {
    byte[] drained = Arrays.copyOf(bytes, size);
    size = 0;
    return drained;
  }

  /** Makes room for {@code length} bytes and says where. */
  private int reserve(int length) {
    int needed = Math.addExact(size, length);
    if (needed > bytes.length) {
      bytes = Arrays.copyOf(bytes, Math.max(needed, Math.multiplyExact(bytes.length, 2)));
    }
    int at = size;
    size = needed;
    return at;
  }
}

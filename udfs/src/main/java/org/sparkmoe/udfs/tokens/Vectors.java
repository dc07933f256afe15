package org.sparkmoe.udfs.tokens;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import org.sparkmoe.kernels.tensor.Activations;
import org.sparkmoe.kernels.tensor.DType;

/** Little-endian BINARY values from and to f32 vectors and int32 lists. */
public final class Vectors {

  private static final ValueLayout.OfLong LE_LONG =
      ValueLayout.JAVA_LONG_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private Vectors() {}

  /**
   * {@code count} f32 values from element {@code from} of {@code source}, rounded to {@code dtype}.
   */
  public static byte[] encode(MemorySegment source, long from, int count, DType dtype) {
    if (dtype == DType.F32) {
      return source.asSlice(from * 4, count * 4L).toArray(ValueLayout.JAVA_BYTE);
    }
    byte[] bytes = new byte[Math.toIntExact(dtype.bytes(count))];
    MemorySegment target = MemorySegment.ofArray(bytes);
    for (int i = 0; i < count; i++) {
      dtype.set(target, i, DType.F32.get(source, from + i));
    }
    return bytes;
  }

  /** Row {@code row} of rows of {@code width} elements, rounded to {@code dtype}. */
  public static byte[] encode(Activations rows, long row, int width, DType dtype) {
    if (rows.type() == dtype) {
      return rows.data()
          .asSlice(row * dtype.bytes(width), dtype.bytes(width))
          .toArray(ValueLayout.JAVA_BYTE);
    }
    return encode(rows.data(), row * width, width, dtype);
  }

  /** All {@code values}, rounded to {@code dtype}. */
  public static byte[] encode(float[] values, DType dtype) {
    if (dtype == DType.F32) {
      return encode(values, 0, values.length);
    }
    short[] narrow = new short[values.length];
    for (int i = 0; i < values.length; i++) {
      narrow[i] =
          dtype == DType.BF16 ? DType.floatToBf16(values[i]) : Float.floatToFloat16(values[i]);
    }
    byte[] bytes = new byte[Math.toIntExact(dtype.bytes(values.length))];
    MemorySegment.copy(narrow, 0, MemorySegment.ofArray(bytes), DType.LE_SHORT, 0, narrow.length);
    return bytes;
  }

  /** All elements of a buffer, widened to f32. Its length is a whole number of them. */
  public static float[] decode(byte[] buffer, DType dtype) {
    if (dtype == DType.F32) {
      return floats(buffer);
    }
    short[] narrow = MemorySegment.ofArray(buffer).toArray(DType.LE_SHORT);
    float[] values = new float[narrow.length];
    for (int i = 0; i < narrow.length; i++) {
      values[i] =
          dtype == DType.BF16 ? DType.bf16ToFloat(narrow[i]) : Float.float16ToFloat(narrow[i]);
    }
    return values;
  }

  /** {@code count} int32 values from {@code values[from]}. */
  public static byte[] encode(int[] values, int from, int count) {
    byte[] bytes = new byte[count * 4];
    MemorySegment target = MemorySegment.ofArray(bytes);
    for (int i = 0; i < count; i++) {
      target.set(DType.LE_INT, i * 4L, values[from + i]);
    }
    return bytes;
  }

  /** {@code count} f32 values from {@code values[from]}. */
  public static byte[] encode(float[] values, int from, int count) {
    return encode(MemorySegment.ofArray(values), from, count, DType.F32);
  }

  /** The int32 value at {@code index} (counted in values) of a buffer. */
  public static int intAt(byte[] buffer, int index) {
    return MemorySegment.ofArray(buffer).get(DType.LE_INT, (long) index * Integer.BYTES);
  }

  /** The int32 values of a buffer. */
  public static int[] ints(byte[] buffer) {
    return MemorySegment.ofArray(buffer).toArray(DType.LE_INT);
  }

  /** The int64 values of a buffer. */
  public static long[] longs(byte[] buffer) {
    return MemorySegment.ofArray(buffer).toArray(LE_LONG);
  }

  /** The f32 values of a buffer. */
  public static float[] floats(byte[] buffer) {
    return MemorySegment.ofArray(buffer).toArray(DType.LE_FLOAT);
  }
}

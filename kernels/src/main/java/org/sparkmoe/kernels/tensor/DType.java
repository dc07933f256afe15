package org.sparkmoe.kernels.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Locale;

/**
 * Element types of weights and activations, always little-endian.
 *
 * <p>Decoding to f32 is exact for all of them. Encoding rounds to nearest, ties to even; overflow
 * gives an infinity; a NaN stays a NaN.
 */
public enum DType implements WeightFormat {
  F32(4) {
    @Override
    public float get(MemorySegment data, long index) {
      return data.get(LE_FLOAT, index << 2);
    }

    @Override
    public void set(MemorySegment data, long index, float value) {
      data.set(LE_FLOAT, index << 2, value);
    }
  },
  BF16(2) {
    @Override
    public float get(MemorySegment data, long index) {
      return bf16ToFloat(data.get(LE_SHORT, index << 1));
    }

    @Override
    public void set(MemorySegment data, long index, float value) {
      data.set(LE_SHORT, index << 1, floatToBf16(value));
    }
  },
  F16(2) {
    @Override
    public float get(MemorySegment data, long index) {
      return Float.float16ToFloat(data.get(LE_SHORT, index << 1));
    }

    @Override
    public void set(MemorySegment data, long index, float value) {
      data.set(LE_SHORT, index << 1, Float.floatToFloat16(value));
    }
  };

  /** Unaligned, because tensors in files and Arrow buffers start anywhere. */
  public static final ValueLayout.OfFloat LE_FLOAT =
      ValueLayout.JAVA_FLOAT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  public static final ValueLayout.OfInt LE_INT =
      ValueLayout.JAVA_INT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  public static final ValueLayout.OfShort LE_SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  private final int bytes;

  DType(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes of one element. */
  public int bytes() {
    return bytes;
  }

  /** Bytes of {@code elements} elements. */
  public long bytes(long elements) {
    return elements * bytes;
  }

  @Override
  public long bytes(int rows, int cols) {
    return bytes((long) rows * cols);
  }

  @Override
  public String label() {
    return name().toLowerCase(Locale.ROOT);
  }

  /** The element at {@code index} (counted in elements), widened to f32. */
  public abstract float get(MemorySegment data, long index);

  /** Rounds {@code value} to this type and stores it at {@code index} (counted in elements). */
  public abstract void set(MemorySegment data, long index, float value);

  /** Widens a bfloat16, given as its 16 bits. Exact. */
  public static float bf16ToFloat(short bits) {
    return Float.intBitsToFloat(bits << 16);
  }

  /** Rounds to bfloat16, nearest even; a NaN stays a (quiet) NaN. */
  public static short floatToBf16(float value) {
    int bits = Float.floatToRawIntBits(value);
    if (Float.isNaN(value)) {
      return (short) ((bits >>> 16) | 0x40);
    }
    int lowestKept = (bits >>> 16) & 1;
    return (short) ((bits + 0x7FFF + lowestKept) >>> 16);
  }
}

package org.sparkmoe.udfs.tokens;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Widens BINARY vectors to f32 and checks that every value is finite, in loops over arrays that the
 * compiler turns into vector instructions. One thread at a time.
 */
final class HiddenDecoder {
  private static final int MAGNITUDE = 0x7FFF_FFFF;
  private static final int INFINITY = 0x7F80_0000;

  private final DType dtype;
  private final short[] narrow;
  private final int[] bits;

  /** A decoder of vectors of {@code width} elements. */
  HiddenDecoder(int width, DType dtype) {
    this.dtype = dtype;
    this.narrow = new short[dtype == DType.F32 ? 0 : width];
    this.bits = new int[width];
  }

  /**
   * Decodes a vector.
   *
   * @param vector exactly as many elements as the width
   * @param out receives it as row {@code row}, rows × width f32
   * @return null, or which value is not finite
   */
  String decode(byte[] vector, MemorySegment out, long row) {
    MemorySegment source = MemorySegment.ofArray(vector);
    switch (dtype) {
      case F32 -> MemorySegment.copy(source, Vectors.LE_INT, 0, bits, 0, bits.length);
      case BF16 -> {
        MemorySegment.copy(source, DType.LE_SHORT, 0, narrow, 0, narrow.length);
        for (int i = 0; i < narrow.length; i++) {
          bits[i] = narrow[i] << 16;
        }
      }
      case F16 -> {
        MemorySegment.copy(source, DType.LE_SHORT, 0, narrow, 0, narrow.length);
        for (int i = 0; i < narrow.length; i++) {
          bits[i] = Float.floatToRawIntBits(Float.float16ToFloat(narrow[i]));
        }
      }
    }
    int largest = 0;
    for (int i = 0; i < bits.length; i++) {
      largest = Math.max(largest, bits[i] & MAGNITUDE);
    }
    if (largest >= INFINITY) {
      return firstNotFinite();
    }
    MemorySegment.copy(
        bits, 0, out, Vectors.LE_INT, row * bits.length * Integer.BYTES, bits.length);
    return null;
  }

  private String firstNotFinite() {
    int at = 0;
    while ((bits[at] & MAGNITUDE) < INFINITY) {
      at++;
    }
    return "hidden value %d is %s".formatted(at, Float.intBitsToFloat(bits[at]));
  }
}

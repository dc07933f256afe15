package org.sparkmoe.udfs.tokens;

import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Widening;

/**
 * Checks that every value of BINARY vectors is finite, and widens them to f32 or leaves them as
 * they are, in loops over arrays that the compiler turns into vector instructions. One thread at a
 * time.
 */
final class HiddenDecoder {
  private static final int MAGNITUDE = 0x7FFF_FFFF;
  private static final int INFINITY = 0x7F80_0000;

  private final DType dtype;
  private final DType held;
  private final short[] narrow;
  private final int[] bits;

  /**
   * A decoder of vectors of {@code width} elements.
   *
   * @param held what it makes of them: F32, or {@code dtype} again
   */
  HiddenDecoder(int width, DType dtype, DType held) {
    this.dtype = dtype;
    this.held = held;
    this.narrow = new short[dtype == DType.F32 ? 0 : width];
    this.bits = new int[width];
  }

  /**
   * Decodes a vector.
   *
   * @param vector exactly as many elements as the width
   * @param out receives it as row {@code row}, rows × width
   * @return null, or which value is not finite
   */
  String decode(byte[] vector, MemorySegment out, long row) {
    MemorySegment source = MemorySegment.ofArray(vector);
    switch (dtype) {
      case F32 -> MemorySegment.copy(source, DType.LE_INT, 0, bits, 0, bits.length);
      case BF16, F16 -> {
        MemorySegment.copy(source, DType.LE_SHORT, 0, narrow, 0, narrow.length);
        Widening.widen(dtype, narrow, bits, narrow.length);
      }
    }
    int largest = 0;
    for (int i = 0; i < bits.length; i++) {
      largest = Math.max(largest, bits[i] & MAGNITUDE);
    }
    if (largest >= INFINITY) {
      return firstNotFinite();
    }
    long at = row * held.bytes(bits.length);
    if (held == DType.F32) {
      MemorySegment.copy(bits, 0, out, DType.LE_INT, at, bits.length);
    } else {
      MemorySegment.copy(source, 0, out, at, vector.length);
    }
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

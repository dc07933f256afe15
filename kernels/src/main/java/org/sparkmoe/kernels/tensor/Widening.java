package org.sparkmoe.kernels.tensor;

/**
 * Widens 16-bit elements to the bits of f32, exactly. Loops over arrays, which the compiler turns
 * into vector instructions.
 */
public final class Widening {
  private Widening() {}

  /**
   * Widens the first {@code count} elements.
   *
   * @param type of the elements, BF16 or F16
   * @throws IllegalArgumentException for F32
   */
  public static void widen(DType type, short[] from, int[] bits, int count) {
    switch (type) {
      case BF16 -> {
        for (int i = 0; i < count; i++) {
          bits[i] = from[i] << 16;
        }
      }
      case F16 -> {
        for (int i = 0; i < count; i++) {
          bits[i] = Float.floatToRawIntBits(Float.float16ToFloat(from[i]));
        }
      }
      case F32 -> throw new IllegalArgumentException("f32 is as wide as it gets");
    }
  }
}

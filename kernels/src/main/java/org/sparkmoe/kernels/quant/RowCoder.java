package org.sparkmoe.kernels.quant;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.sparkmoe.kernels.quant.ActivationScheme.Codes;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.E2m1;
import org.sparkmoe.kernels.tensor.E4m3;

/**
 * One row on its way to codes: {@link #load}, then {@link #divide} for each group of values that
 * share a scale, then {@link #encode} for all at once. So rows of short groups, too, get long loops
 * without branches over plain arrays, which the compiler turns into vector instructions. The codes
 * are those of {@link E4m3#encode} and {@link E2m1#encode}. For one thread.
 */
final class RowCoder {
  private static final int MAGNITUDE = 0x7FFF_FFFF;
  private static final int INFINITY = 0x7F80_0000;
  private static final int F32_MANTISSA = 23;

  /** Added to a value of magnitude up to 2²², it leaves the nearest integer in the lowest bits. */
  private static final float INTEGER_STEP = 0x1.8p23f;

  private final Codes codes;
  private final float[] values;
  private final float[] quotients;
  private final float[] rests;
  private final int[] bits;
  private final int[] stepped;

  /** For rows of {@code width} values. */
  RowCoder(Codes codes, int width) {
    this.codes = codes;
    this.values = new float[width];
    this.quotients = new float[width];
    this.rests = new float[codes == Codes.E2M1 ? width : 0];
    this.bits = new int[width];
    this.stepped = new int[width];
  }

  /** Takes the row that starts at value {@code from} of {@code rows}, f32. */
  void load(MemorySegment rows, long from) {
    MemorySegment.copy(rows, DType.LE_FLOAT, DType.F32.bytes(from), values, 0, values.length);
    reinterpret(values, bits);
  }

  /** The largest magnitude of a group: 0 of none, NaN where a value is NaN. */
  float amax(int from, int to) {
    // Groups are short: four chains of comparisons side by side beat a vector loop's start and end.
    int a = 0;
    int b = 0;
    int c = 0;
    int d = 0;
    int i = from;
    for (; i < to - 3; i += 4) {
      a = Math.max(a, bits[i] & MAGNITUDE);
      b = Math.max(b, bits[i + 1] & MAGNITUDE);
      c = Math.max(c, bits[i + 2] & MAGNITUDE);
      d = Math.max(d, bits[i + 3] & MAGNITUDE);
    }
    for (; i < to; i++) {
      a = Math.max(a, bits[i] & MAGNITUDE);
    }
    return Float.intBitsToFloat(Math.max(Math.max(a, b), Math.max(c, d)));
  }

  /**
   * Says by what {@link #encode} divides a group. With 4-bit codes a scale of 0 makes zeros of all
   * its values.
   */
  void divide(int from, int to, float scale) {
    boolean zeros = codes == Codes.E2M1 && scale == 0;
    if (zeros) {
      Arrays.fill(values, from, to, 0);
    }
    Arrays.fill(quotients, from, to, zeros ? 1 : scale);
  }

  /** Makes codes of all quotients. */
  void encode() {
    switch (codes) {
      case INT8 -> {
        divide();
        toIntegers();
      }
      case E4M3 -> {
        divide();
        toSmallFloats(E4m3.MAX, 3, 7, E4m3.NAN);
      }
      case E2M1 -> {
        divideToOdd();
        toSmallFloats(E2m1.MAX, 1, 1, 0);
      }
      case F32 -> throw new AssertionError("f32 is not encoded");
    }
  }

  private void divide() {
    for (int i = 0; i < quotients.length; i++) {
      quotients[i] = values[i] / quotients[i];
    }
  }

  /**
   * Quotients whose lowest bit tells whether they are exact: cut off, and odd where something was
   * cut off. Rounded to nearest, a quotient just below a tie of two 4-bit codes would become the
   * tie, and go to the wrong code, a whole step away.
   */
  private void divideToOdd() {
    for (int i = 0; i < quotients.length; i++) {
      double quotient = (double) values[i] / quotients[i];
      quotients[i] = (float) quotient;
      rests[i] = (float) (quotient - quotients[i]);
    }
    reinterpret(quotients, bits);
    reinterpret(rests, stepped);
    for (int i = 0; i < bits.length; i++) {
      int inexact = ((stepped[i] & MAGNITUDE) + MAGNITUDE) >>> 31;
      int tooLarge = ((stepped[i] ^ bits[i]) >>> 31) & inexact;
      bits[i] = (bits[i] - tooLarge) | inexact;
    }
    MemorySegment.copy(
        MemorySegment.ofArray(bits),
        0,
        MemorySegment.ofArray(quotients),
        0,
        DType.F32.bytes(bits.length));
  }

  /** The codes, as they travel. */
  void pack(byte[] packed) {
    if (codes == Codes.E2M1) {
      for (int i = 0; i < bits.length / 2; i++) {
        packed[i] = (byte) (bits[2 * i] | (bits[2 * i + 1] << 4));
      }
      if (bits.length % 2 == 1) {
        packed[packed.length - 1] = (byte) bits[bits.length - 1];
      }
      return;
    }
    for (int i = 0; i < bits.length; i++) {
      packed[i] = (byte) bits[i];
    }
  }

  /** Puts what the codes of a group decode to in place of its values. */
  void decode(int from, int to, float scale) {
    switch (codes) {
      case INT8 -> {
        for (int i = from; i < to; i++) {
          values[i] = Float.isNaN(values[i]) ? Float.NaN : (byte) bits[i] * scale;
        }
      }
      case E4M3 -> {
        for (int i = from; i < to; i++) {
          values[i] = E4m3.decode(bits[i]) * scale;
        }
      }
      case E2M1 -> {
        for (int i = from; i < to; i++) {
          values[i] = E2m1.decode(bits[i]) * scale;
        }
      }
      case F32 -> throw new AssertionError("f32 is not decoded");
    }
  }

  /** Gives the row back; the inverse of {@link #load}. */
  void store(MemorySegment rows, long from) {
    MemorySegment.copy(values, 0, rows, DType.LE_FLOAT, DType.F32.bytes(from), values.length);
  }

  private void toIntegers() {
    float max = Codes.INT8.max();
    for (int i = 0; i < quotients.length; i++) {
      quotients[i] = Math.max(-max, Math.min(max, quotients[i])) + INTEGER_STEP;
    }
    reinterpret(quotients, bits);
    for (int i = 0; i < bits.length; i++) {
      int isNumber = ((bits[i] & MAGNITUDE) - INFINITY) >> 31;
      bits[i] &= isNumber & 0xFF;
    }
  }

  /**
   * Rounds half to even, saturates at {@code max}.
   *
   * @param mantissa bits
   * @param bias of exponents: below 2^(1 − bias) values are multiples of 2^(1 − bias − mantissa)
   * @param nan code of NaN, without its sign
   */
  private void toSmallFloats(float max, int mantissa, int bias, int nan) {
    reinterpret(quotients, bits);
    // A sum as large as this has no bits below the least multiple; what is added is rounded to it.
    float step = Math.scalb(1f, F32_MANTISSA + 1 - bias - mantissa);
    for (int i = 0; i < quotients.length; i++) {
      quotients[i] = Math.abs(quotients[i]) + step;
    }
    reinterpret(quotients, stepped);
    int drop = F32_MANTISSA - mantissa;
    int half = (1 << (drop - 1)) - 1;
    int most = Float.floatToRawIntBits(max);
    int least = Float.floatToRawIntBits(Math.scalb(1f, 1 - bias));
    int rebias = (127 - bias) << F32_MANTISSA;
    int belowLeast = (2 << mantissa) - 1;
    int signShift = 31 - codes.bits() + 1;
    int sign = 1 << (codes.bits() - 1);
    for (int i = 0; i < bits.length; i++) {
      int raw = bits[i];
      int magnitude = raw & MAGNITUDE;
      int positive = Math.min(magnitude, most) - rebias;
      int normal = (positive + half + ((positive >>> drop) & 1)) >>> drop;
      int isSmall = (magnitude - least) >> 31;
      int isNan = (INFINITY - magnitude) >> 31;
      int code = (stepped[i] & belowLeast & isSmall) | (normal & ~isSmall);
      bits[i] = (code & ~isNan) | (nan & isNan) | ((raw >>> signShift) & sign);
    }
  }

  private static void reinterpret(float[] from, int[] to) {
    MemorySegment.copy(
        MemorySegment.ofArray(from), 0, MemorySegment.ofArray(to), 0, DType.F32.bytes(from.length));
  }
}

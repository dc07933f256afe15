package org.sparkmoe.kernels.gemm;

import static jdk.incubator.vector.VectorOperators.ASHR;
import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.sparkmoe.kernels.simd.Simd.FLOATS;
import static org.sparkmoe.kernels.simd.Simd.INTS;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.ShortVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;
import org.sparkmoe.kernels.tensor.E2m1;

/**
 * Registers of codes as f32, less their zero points. Every step is exact, so that the product with
 * a factor of {@link CodeFactors} is the weight, rounded once.
 *
 * <p>A lane holds bytes of four columns, as {@link CodePanels} stores them. Loops take four columns
 * a turn, with few shifts and shuffles: these compete with multiplications for the same units. Runs
 * that begin or end within four columns are unpacked one column after the other.
 */
final class CodeValues {
  /** What e4m3 values are too small by, see {@link #e4m3}. */
  static final float E4M3_LIFT = 0x1p120f;

  private static final int E4M3_BITS = 0x87F00000;

  /** The same for bf16. */
  private static final short E4M3_HALVES = (short) 0x87F0;

  /** 2²³: an integer below it, or-ed into the lowest bits, is added. */
  static final int UNITS = 0x4B000000;

  /** 2¹⁹: the same for an integer 4 bits further up. */
  static final int SIXTEENTHS = 0x49000000;

  /** The upper of a pair of bf16. */
  static final int UPPER_HALF = 0xFFFF0000;

  /**
   * Whether codes of odd columns are used where they stand, a byte further up, which takes
   * constants of their own: more registers than narrow ones come in. Elsewhere they are loaded from
   * a byte further up, one column after the other.
   */
  static final boolean IN_PLACE = LANES >= 16;

  /** {@link #UNITS} and {@link #SIXTEENTHS} for codes of odd columns. */
  static final int ODD_UNITS = IN_PLACE ? 0x47000000 : UNITS;

  static final int ODD_SIXTEENTHS = IN_PLACE ? 0x45000000 : SIXTEENTHS;

  /** A whole table of e2m1 fits a register. */
  private static final boolean WIDE_TABLE = LANES >= 16;

  /** A whole table of e2m1 as bf16 fits a register. */
  private static final boolean HALVES_TABLE = LANES >= 8;

  /** Whether there is {@link #e2m1(IntVector, int)}: the magnitudes fit a register as bf16. */
  static final boolean E2M1_IN_HALVES = LANES >= 4;

  /** The magnitudes of e2m1 fit a register. */
  private static final boolean TABLE = LANES >= 8;

  private static final IntVector E2M1 = e2m1Table();

  private static final VectorSpecies<Short> SHORTS =
      VectorSpecies.of(short.class, INTS.vectorShape());

  private static final ShortVector E2M1_HALVES = e2m1Halves();

  /** As many bytes as a register of f32 has lanes, but no fewer than the JVM has registers for. */
  private static final VectorSpecies<Byte> BYTES =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, LANES * Byte.SIZE)));

  private CodeValues() {}

  /** Bytes of scales or zero points, zero-extended. */
  static IntVector unsigned(MemorySegment bytes, long fromByte) {
    return (IntVector)
        bytes(bytes, fromByte).convertShape(VectorOperators.ZERO_EXTEND_B2I, INTS, 0);
  }

  /** Bytes of scales, sign-extended. */
  static IntVector signed(MemorySegment bytes, long fromByte) {
    return (IntVector) bytes(bytes, fromByte).convertShape(VectorOperators.B2I, INTS, 0);
  }

  private static ByteVector bytes(MemorySegment bytes, long fromByte) {
    return ByteVector.fromMemorySegment(BYTES, bytes, fromByte, ByteOrder.LITTLE_ENDIAN);
  }

  /** Codes of four columns. */
  static IntVector quads(MemorySegment codes, long fromByte) {
    return IntVector.fromMemorySegment(INTS, codes, fromByte, ByteOrder.LITTLE_ENDIAN);
  }

  /** The bytes of one column of four, zero-extended. */
  static IntVector unsigned(IntVector quads, int column) {
    return quads.lanewise(LSHR, column * Byte.SIZE).and(0xFF);
  }

  /** The bytes of one column of four, sign-extended. */
  static IntVector signed(IntVector quads, int column) {
    return quads.lanewise(LSHL, (3 - column) * Byte.SIZE).lanewise(ASHR, 3 * Byte.SIZE);
  }

  /**
   * Sign-extended e4m3 codes, divided by {@link #E4M3_LIFT}: sign, exponent and mantissa move to
   * where f32 has them, and f32's bias is larger by 120. That is exact for e4m3's subnormals too,
   * which become f32's.
   */
  static FloatVector e4m3(IntVector signed) {
    return signed.lanewise(LSHL, 20).and(E4M3_BITS).reinterpretAsFloats();
  }

  /** The same for codes of the first and third of four columns, as pairs of bf16. */
  static IntVector e4m3Even(IntVector quads) {
    ShortVector upper = quads.reinterpretAsShorts().lanewise(LSHL, 8);
    return upper.lanewise(ASHR, 4).and(E4M3_HALVES).reinterpretAsInts();
  }

  /** The same for codes of the second and fourth of four columns. */
  static IntVector e4m3Odd(IntVector quads) {
    return quads.reinterpretAsShorts().lanewise(ASHR, 4).and(E4M3_HALVES).reinterpretAsInts();
  }

  /**
   * Zero-extended bytes.
   *
   * @param zero 2²³ + the zero points
   */
  static FloatVector bytes(IntVector unsigned, FloatVector zero) {
    return unsigned.or(UNITS).reinterpretAsFloats().sub(zero);
  }

  /** The zero points of odd columns of four, in the form that those take. */
  static FloatVector odd(FloatVector zero) {
    return IN_PLACE ? zero.sub(0x1p23f - 0x1p15f) : zero;
  }

  /** The same for codes in the high halves of bytes. */
  static FloatVector oddHigh(FloatVector zero) {
    return IN_PLACE ? zero.sub(0x1p19f - 0x1p11f) : zero;
  }

  /**
   * The uint4 codes in the low halves of bytes.
   *
   * @param zero 2²³ + the zero points
   */
  static FloatVector uint4Low(IntVector pairs, FloatVector zero) {
    return pairs.and(0xF).or(UNITS).reinterpretAsFloats().sub(zero);
  }

  /**
   * The uint4 codes in the high halves of bytes.
   *
   * @param zero 2¹⁹ + the zero points
   */
  static FloatVector uint4High(IntVector pairs, FloatVector zero) {
    return pairs.and(0xF0).or(SIXTEENTHS).reinterpretAsFloats().sub(zero);
  }

  /** The e2m1 codes in the low halves of bytes. */
  static FloatVector e2m1Low(IntVector pairs) {
    return e2m1(pairs);
  }

  /** The e2m1 codes in the high halves of bytes. */
  static FloatVector e2m1High(IntVector pairs) {
    return e2m1(pairs.lanewise(LSHR, 4));
  }

  private static FloatVector e2m1(IntVector codes) {
    if (WIDE_TABLE) {
      return codes.and(0xF).selectFrom(E2M1).reinterpretAsFloats();
    }
    IntVector magnitude = TABLE ? codes.and(7).selectFrom(E2M1) : magnitude(codes.and(7));
    IntVector sign = codes.and(8).lanewise(LSHL, 28);
    return magnitude.or(sign).reinterpretAsFloats();
  }

  /**
   * The e2m1 codes at a bit of each half of a lane, as pairs of bf16; see {@link #E2M1_IN_HALVES}.
   *
   * @param bit 0, 4, 8 or 12
   */
  static IntVector e2m1(IntVector quads, int bit) {
    ShortVector codes = quads.reinterpretAsShorts();
    ShortVector names = bit == 0 ? codes : codes.lanewise(LSHR, bit);
    if (HALVES_TABLE) {
      return names.and((short) 0xF).selectFrom(E2M1_HALVES).reinterpretAsInts();
    }
    ShortVector sign = names.and((short) 8).lanewise(LSHL, 12);
    return names.and((short) 7).selectFrom(E2M1_HALVES).or(sign).reinterpretAsInts();
  }

  /** Exponent and mantissa moved and rebiased; 0 and ½ are subnormals, 1 and 1½ less 1. */
  private static IntVector magnitude(IntVector codes) {
    IntVector moved = codes.lanewise(LSHL, 22);
    IntVector normal = moved.add(126 << 23);
    IntVector subnormal = moved.add(127 << 23).reinterpretAsFloats().sub(1).reinterpretAsInts();
    return normal.blend(subnormal, codes.compare(VectorOperators.LT, 2));
  }

  private static IntVector e2m1Table() {
    int[] table = new int[Math.max(16, LANES)];
    for (int code = 0; code < table.length; code++) {
      table[code] = Float.floatToRawIntBits(E2m1.decode(code));
    }
    return IntVector.fromArray(INTS, table, 0);
  }

  /** As bf16, again and again. */
  private static ShortVector e2m1Halves() {
    short[] table = new short[SHORTS.length()];
    for (int i = 0; i < table.length; i++) {
      table[i] = (short) (Float.floatToRawIntBits(E2m1.decode(i % 16)) >>> 16);
    }
    return ShortVector.fromArray(SHORTS, table, 0);
  }

  static FloatVector load(MemorySegment values, long fromByte) {
    return FloatVector.fromMemorySegment(FLOATS, values, fromByte, ByteOrder.LITTLE_ENDIAN);
  }
}

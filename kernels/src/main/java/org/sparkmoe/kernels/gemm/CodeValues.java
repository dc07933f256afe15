package org.sparkmoe.kernels.gemm;

import static org.sparkmoe.kernels.simd.Simd.FLOATS;
import static org.sparkmoe.kernels.simd.Simd.INTS;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.ByteVector;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.E2m1;

/**
 * Registers of codes as f32, less their zero points. Every step is exact, so that the product with
 * a factor of {@link CodeFactors} is the weight, rounded once.
 */
final class CodeValues {
  /** What e4m3 values are too small by, see {@link #e4m3}. */
  static final float E4M3_LIFT = 0x1p120f;

  private static final int E4M3_BITS = 0x87F00000;

  /** 2²³: an integer below it, or-ed into the lowest bits, is added. */
  static final int UNITS = 0x4B000000;

  /** 2¹⁹: the same for an integer 4 bits further up. */
  static final int SIXTEENTHS = 0x49000000;

  /** A whole table of e2m1 fits a register. */
  private static final boolean WIDE_TABLE = LANES >= 16;

  /** The magnitudes of e2m1 fit a register. */
  private static final boolean TABLE = LANES >= 8;

  private static final IntVector E2M1 = e2m1Table();

  /** As many bytes as a register of f32 has lanes, but no fewer than the JVM has registers for. */
  private static final VectorSpecies<Byte> BYTES =
      VectorSpecies.of(byte.class, VectorShape.forBitSize(Math.max(64, LANES * Byte.SIZE)));

  private CodeValues() {}

  /** Bytes of a matrix, zero-extended. */
  static IntVector unsigned(MemorySegment codes, long fromByte) {
    return (IntVector)
        bytes(codes, fromByte).convertShape(VectorOperators.ZERO_EXTEND_B2I, INTS, 0);
  }

  /** Bytes of a matrix, sign-extended. */
  static IntVector signed(MemorySegment codes, long fromByte) {
    return (IntVector) bytes(codes, fromByte).convertShape(VectorOperators.B2I, INTS, 0);
  }

  private static ByteVector bytes(MemorySegment codes, long fromByte) {
    return ByteVector.fromMemorySegment(BYTES, codes, fromByte, ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * Sign-extended e4m3 codes, divided by {@link #E4M3_LIFT}: sign, exponent and mantissa move to
   * where f32 has them, and f32's bias is larger by 120. That is exact for e4m3's subnormals too,
   * which become f32's.
   */
  static FloatVector e4m3(IntVector signed) {
    return signed.lanewise(VectorOperators.LSHL, 20).and(E4M3_BITS).reinterpretAsFloats();
  }

  /** Sign-extended int8 codes. */
  static FloatVector int8(IntVector signed) {
    return (FloatVector) signed.convert(VectorOperators.I2F, 0);
  }

  /**
   * Zero-extended uint8 codes.
   *
   * @param zero 2²³ + the zero points
   */
  static FloatVector uint8(IntVector unsigned, FloatVector zero) {
    return unsigned.or(UNITS).reinterpretAsFloats().sub(zero);
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
    return e2m1(pairs.lanewise(VectorOperators.LSHR, 4));
  }

  private static FloatVector e2m1(IntVector codes) {
    if (WIDE_TABLE) {
      return codes.and(0xF).selectFrom(E2M1).reinterpretAsFloats();
    }
    IntVector magnitude = TABLE ? codes.and(7).selectFrom(E2M1) : magnitude(codes.and(7));
    IntVector sign = codes.and(8).lanewise(VectorOperators.LSHL, 28);
    return magnitude.or(sign).reinterpretAsFloats();
  }

  /** Exponent and mantissa moved and rebiased; 0 and ½ are subnormals, 1 and 1½ less 1. */
  private static IntVector magnitude(IntVector codes) {
    IntVector moved = codes.lanewise(VectorOperators.LSHL, 22);
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

  /** Zero points, from zero-extended bytes, as {@link #uint4High} or the others take them. */
  static FloatVector zeros(CodeType type, boolean high, IntVector zeros) {
    return (type == CodeType.UINT4 && high
            ? zeros.lanewise(VectorOperators.LSHL, 4).or(SIXTEENTHS)
            : zeros.or(UNITS))
        .reinterpretAsFloats();
  }

  static FloatVector load(MemorySegment values, long fromByte) {
    return FloatVector.fromMemorySegment(FLOATS, values, fromByte, ByteOrder.LITTLE_ENDIAN);
  }
}

package org.sparkmoe.kernels.gemm;

import static org.sparkmoe.kernels.simd.Simd.FLOATS;
import static org.sparkmoe.kernels.simd.Simd.INTS;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import org.sparkmoe.kernels.tensor.DType;

/** Widens a stretch of a panel to f32. Exact, for every bit pattern. */
final class PanelWidener {
  private static final int HALF = Panels.WIDTH / 2;
  private static final long ROW = Panels.WIDTH * Float.BYTES;
  private static final long UPPER = HALF * Float.BYTES;
  private static final int HIGH = 0xFFFF0000;

  private static final int F16_MAGNITUDE = 0x7FFF;
  private static final int F16_TO_F32_EXPONENT = (127 - 15) << 23;
  private static final int F16_INFINITY = 0x1F << 23;
  private static final int F16_LEAST_NORMAL = 1 << 23;
  private static final int SIGN = 0x80000000;

  private PanelWidener() {}

  /**
   * Widens {@code depth} steps of k.
   *
   * @param data panels, see {@link Panels}
   * @param fromByte start of the stretch in data
   * @param to receives depth × 32 f32 from byte {@code toByte}
   * @param stride bytes from one column's weights to the next column's
   */
  static void widen(
      MemorySegment data,
      DType dtype,
      long fromByte,
      int depth,
      MemorySegment to,
      long toByte,
      long stride) {
    switch (dtype) {
      case F32 -> {
        for (int k = 0; k < depth; k++) {
          MemorySegment.copy(data, fromByte + k * ROW, to, toByte + k * stride, ROW);
        }
      }
      case BF16 -> widenBf16(data, fromByte, depth, to, toByte, stride);
      case F16 -> widenF16(data, fromByte, depth, to, toByte, stride);
    }
  }

  private static void widenBf16(
      MemorySegment data, long fromByte, int depth, MemorySegment to, long toByte, long stride) {
    for (int k = 0; k < depth; k++) {
      for (int lane = 0; lane < HALF; lane += LANES) {
        IntVector pairs = load(data, fromByte, k, lane);
        long at = toByte + k * stride + (long) lane * Float.BYTES;
        store(pairs.lanewise(VectorOperators.LSHL, 16).reinterpretAsFloats(), to, at);
        store(pairs.and(HIGH).reinterpretAsFloats(), to, at + UPPER);
      }
    }
  }

  private static void widenF16(
      MemorySegment data, long fromByte, int depth, MemorySegment to, long toByte, long stride) {
    for (int k = 0; k < depth; k++) {
      for (int lane = 0; lane < HALF; lane += LANES) {
        IntVector pairs = load(data, fromByte, k, lane);
        long at = toByte + k * stride + (long) lane * Float.BYTES;
        store(f16ToFloat(pairs), to, at);
        store(f16ToFloat(pairs.lanewise(VectorOperators.LSHR, 16)), to, at + UPPER);
      }
    }
  }

  private static void store(FloatVector values, MemorySegment to, long toByte) {
    values.intoMemorySegment(to, toByte, ByteOrder.LITTLE_ENDIAN);
  }

  private static IntVector load(MemorySegment data, long fromByte, int k, int lane) {
    long from = fromByte + (long) (k * HALF + lane) * Integer.BYTES;
    return IntVector.fromMemorySegment(INTS, data, from, ByteOrder.LITTLE_ENDIAN);
  }

  /**
   * The f16 in the low half of each lane. Exponents are rebiased; infinities and NaNs are rebiased
   * once more; subnormals are normalized by a subtraction, which is exact and, unlike a product of
   * subnormals, fast.
   */
  static FloatVector f16ToFloat(IntVector bits) {
    IntVector magnitude = bits.and(F16_MAGNITUDE).lanewise(VectorOperators.LSHL, 13);
    IntVector normal = magnitude.add(F16_TO_F32_EXPONENT);
    IntVector special = normal.add(F16_TO_F32_EXPONENT);
    IntVector subnormal =
        normal
            .add(F16_LEAST_NORMAL)
            .reinterpretAsFloats()
            .sub(
                FloatVector.broadcast(
                    FLOATS, Float.intBitsToFloat(F16_TO_F32_EXPONENT + F16_LEAST_NORMAL)))
            .reinterpretAsInts();
    return normal
        .blend(special, magnitude.compare(VectorOperators.GE, F16_INFINITY))
        .blend(subnormal, magnitude.compare(VectorOperators.LT, F16_LEAST_NORMAL))
        .or(bits.lanewise(VectorOperators.LSHL, 16).and(SIGN))
        .reinterpretAsFloats();
  }
}

package org.sparkmoe.kernels.gemm;

import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.sparkmoe.kernels.simd.Simd.INTS;
import static org.sparkmoe.kernels.simd.Simd.LANES;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.ScaleType;

/**
 * What the codes of a panel and a group are multiplied by: {@code scale · global}, rounded to f32,
 * times {@link CodePanels#lift}; and behind it what is subtracted from them first, in the form that
 * {@link CodeValues} takes.
 */
final class CodeFactors {
  /** Values of a group: 32 factors, 32 zero points. */
  static final int VALUES = 2 * Panels.WIDTH;

  private static final int WIDTH = Panels.WIDTH;
  private static final int HALF = WIDTH / 2;
  private static final int HIGH = 0xFFFF0000;

  /** The bits of 2⁻¹²⁷. */
  private static final int LEAST_E8M0 = 0x00400000;

  private CodeFactors() {}

  /**
   * Widens the scales and zero points of a group.
   *
   * @param to receives {@link #VALUES} f32 from byte {@code toByte}
   */
  static void expand(CodePanels w, int panel, int group, MemorySegment to, long toByte) {
    long first = ((long) panel * w.format().groups(w.cols()) + group) * WIDTH;
    scales(w, first, to, toByte);
    CodeType codes = w.format().codes();
    if (codes == CodeType.UINT4 || codes == CodeType.UINT8) {
      zeros(w, first, to, toByte + WIDTH * Float.BYTES);
    }
  }

  private static void scales(CodePanels w, long first, MemorySegment to, long toByte) {
    if ((float) w.global() == w.global()) {
      // f32 · f32 fits f64: rounding it to f32 is what a product of f32 does
      inRegisters(w, first, (float) w.global(), to, toByte);
    } else if (w.scaleOfCodeOrNull() != null) {
      byName(w, first, to, toByte);
    } else {
      oneByOne(w, first, to, toByte);
    }
  }

  private static void byName(CodePanels w, long first, MemorySegment to, long toByte) {
    float[] scaleOfCode = w.scaleOfCodeOrNull();
    MemorySegment scales = w.scales();
    for (int n = 0; n < WIDTH; n++) {
      int code = scales.get(ValueLayout.JAVA_BYTE, first + n) & 0xFF;
      to.set(DType.LE_FLOAT, toByte + (long) n * Float.BYTES, scaleOfCode[code]);
    }
  }

  private static void inRegisters(
      CodePanels w, long first, float global, MemorySegment to, long toByte) {
    ScaleType type = w.format().scales();
    long from = first * type.bytes();
    float lift = w.lift();
    for (int lane = 0; lane < HALF; lane += LANES) {
      FloatVector low = low(type, w.scales(), from, lane);
      FloatVector high = high(type, w.scales(), from, lane);
      store(low.mul(global).mul(lift), to, toByte, lane);
      store(high.mul(global).mul(lift), to, toByte, lane + HALF);
    }
  }

  /** Scales of outputs from {@code lane}. */
  private static FloatVector low(ScaleType type, MemorySegment scales, long from, int lane) {
    return switch (type) {
      case F32 -> load(scales, from + 4L * lane).reinterpretAsFloats();
      case BF16 -> load(scales, from + 4L * lane).lanewise(LSHL, 16).reinterpretAsFloats();
      case F16 -> PanelWidener.f16ToFloat(load(scales, from + 4L * lane));
      case E4M3 -> e4m3(scales, from + lane);
      case E8M0 -> e8m0(scales, from + lane);
    };
  }

  /** Scales of outputs from {@code lane + 16}. */
  private static FloatVector high(ScaleType type, MemorySegment scales, long from, int lane) {
    return switch (type) {
      case F32 -> load(scales, from + 4L * (lane + HALF)).reinterpretAsFloats();
      case BF16 -> load(scales, from + 4L * lane).and(HIGH).reinterpretAsFloats();
      case F16 -> PanelWidener.f16ToFloat(load(scales, from + 4L * lane).lanewise(LSHR, 16));
      case E4M3 -> e4m3(scales, from + lane + HALF);
      case E8M0 -> e8m0(scales, from + lane + HALF);
    };
  }

  private static FloatVector e4m3(MemorySegment scales, long from) {
    return CodeValues.e4m3(CodeValues.signed(scales, from)).mul(CodeValues.E4M3_LIFT);
  }

  /** The exponent of f32; 0 stands for a subnormal. */
  private static FloatVector e8m0(MemorySegment scales, long from) {
    IntVector codes = CodeValues.unsigned(scales, from);
    return codes
        .lanewise(LSHL, 23)
        .blend(LEAST_E8M0, codes.compare(VectorOperators.EQ, 0))
        .reinterpretAsFloats();
  }

  private static void oneByOne(CodePanels w, long first, MemorySegment to, long toByte) {
    boolean pairs = w.format().scales().bytes() == Short.BYTES;
    for (int n = 0; n < WIDTH; n++) {
      long index = first + (pairs ? n % HALF * 2 + n / HALF : n);
      float factor = (float) (w.format().scales().get(w.scales(), index) * w.global());
      to.set(DType.LE_FLOAT, toByte + (long) n * Float.BYTES, factor * w.lift());
    }
  }

  private static void zeros(CodePanels w, long first, MemorySegment to, long toByte) {
    CodeType codes = w.format().codes();
    for (int lane = 0; lane < WIDTH; lane += LANES) {
      IntVector zeros =
          w.zerosOrNull() == null
              ? IntVector.broadcast(INTS, codes.zero())
              : CodeValues.unsigned(w.zerosOrNull(), first + lane);
      store(CodeValues.zeros(codes, lane >= HALF, zeros), to, toByte, lane);
    }
  }

  private static void store(FloatVector values, MemorySegment to, long toByte, int lane) {
    long at = toByte + (long) lane * Float.BYTES;
    values.intoMemorySegment(to, at, ByteOrder.LITTLE_ENDIAN);
  }

  private static IntVector load(MemorySegment values, long fromByte) {
    return IntVector.fromMemorySegment(INTS, values, fromByte, ByteOrder.LITTLE_ENDIAN);
  }
}

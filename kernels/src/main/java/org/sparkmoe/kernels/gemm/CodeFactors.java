package org.sparkmoe.kernels.gemm;

import static jdk.incubator.vector.VectorOperators.LSHL;
import static jdk.incubator.vector.VectorOperators.LSHR;
import static org.sparkmoe.kernels.simd.Simd.FLOATS;
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
 * What the codes of a panel and a group, or the sums over them, are multiplied by: {@code scale ·
 * global}, rounded to f32, times {@link CodePanels#lift}; and behind it what is subtracted from
 * them first, in the form that {@link CodeValues} takes.
 */
final class CodeFactors {
  /** Values of a group: 32 factors, 32 zero points. */
  static final int VALUES = 2 * Panels.WIDTH;

  /** Groups of a panel for which there is room. */
  static final int MOST_GROUPS = 512;

  /** Values of scratch: 128 KiB. */
  static final int SCRATCH_VALUES = MOST_GROUPS * VALUES;

  private static final int WIDTH = Panels.WIDTH;
  private static final int HALF = WIDTH / 2;
  private static final int HIGH = 0xFFFF0000;

  /** The bits of 2⁻¹²⁷. */
  private static final int LEAST_E8M0 = 0x00400000;

  private CodeFactors() {}

  /** Bytes of {@code groups} groups. */
  static long bytes(int groups) {
    return (long) groups * VALUES * Float.BYTES;
  }

  /**
   * Widens the scales and zero points of some groups.
   *
   * @param group the first
   * @param count how many
   * @param to receives {@link #VALUES} f32 a group from byte {@code toByte}
   */
  static void expand(CodePanels w, int panel, int group, int count, MemorySegment to, long toByte) {
    long first = ((long) panel * w.format().groups(w.cols()) + group) * WIDTH;
    scales(w, first, count, to, toByte);
    if (hasZeros(w.format().codes())) {
      for (int i = 0; i < count; i++) {
        zeros(w, first + (long) i * WIDTH, to, toByte + bytes(i) + WIDTH * Float.BYTES);
      }
    }
  }

  private static boolean hasZeros(CodeType codes) {
    return switch (codes) {
      case UINT4, UINT8, INT8 -> true;
      case E4M3, E2M1 -> false;
    };
  }

  /** One loop for each type: a loop that meets several makes objects of its registers. */
  private static void scales(CodePanels w, long first, int count, MemorySegment to, long toByte) {
    ScaleType type = w.format().scales();
    if (w.scaleOfCodeOrNull() != null) {
      byName(w, first, count, to, toByte);
    } else if (type.bytes() > 1 && (float) w.global() != w.global()) {
      oneByOne(w, first, count, to, toByte);
    } else {
      switch (type) {
        case F32 -> f32(w, first, count, to, toByte);
        case BF16 -> bf16(w, first, count, to, toByte);
        case F16 -> f16(w, first, count, to, toByte);
        case E4M3 -> e4m3(w, first, count, to, toByte);
        case E8M0 -> e8m0(w, first, count, to, toByte);
      }
    }
  }

  /** What f32 leaves of a global scale. */
  private static float rest(double global) {
    return (float) (global - (float) global);
  }

  /**
   * Whether the two f32 that a global scale is split into give {@code scale · global} rounded to
   * f32, as {@link #expand} has to. They always do where the global scale is an f32.
   */
  static boolean isExact(float scale, double global) {
    float high = (float) global;
    return Math.fma(scale, high, scale * rest(global)) == (float) (scale * global);
  }

  private static void byName(CodePanels w, long first, int count, MemorySegment to, long toByte) {
    float[] scaleOfCode = w.scaleOfCodeOrNull();
    for (int i = 0; i < count * WIDTH; i++) {
      int code = w.scales().get(ValueLayout.JAVA_BYTE, first + i) & 0xFF;
      to.set(DType.LE_FLOAT, place(toByte, i), scaleOfCode[code]);
    }
  }

  private static void oneByOne(CodePanels w, long first, int count, MemorySegment to, long toByte) {
    boolean pairs = w.format().scales().bytes() == Short.BYTES;
    for (int i = 0; i < count * WIDTH; i++) {
      int n = i % WIDTH;
      long index = first + i - n + (pairs ? n % HALF * 2 + n / HALF : n);
      float factor = (float) (w.format().scales().get(w.scales(), index) * w.global());
      to.set(DType.LE_FLOAT, place(toByte, i), factor * w.lift());
    }
  }

  /** The byte of factor {@code i}, counted through all groups. */
  private static long place(long toByte, int i) {
    return toByte + bytes(i / WIDTH) + (long) (i % WIDTH) * Float.BYTES;
  }

  private static void f32(CodePanels w, long first, int count, MemorySegment to, long toByte) {
    MemorySegment scales = w.scales();
    float high = (float) w.global();
    float lift = w.lift();
    for (int i = 0; i < count * WIDTH; i += LANES) {
      FloatVector scale = load(scales, (first + i) * Float.BYTES).reinterpretAsFloats();
      store(scale.mul(high).mul(lift), to, place(toByte, i));
    }
  }

  private static void bf16(CodePanels w, long first, int count, MemorySegment to, long toByte) {
    MemorySegment scales = w.scales();
    float high = (float) w.global();
    float lift = w.lift();
    for (int i = 0; i < count * HALF; i += LANES) {
      IntVector pairs = load(scales, (first + 2L * i) * Short.BYTES);
      FloatVector lower = pairs.lanewise(LSHL, 16).reinterpretAsFloats();
      FloatVector upper = pairs.and(HIGH).reinterpretAsFloats();
      long at = place(toByte, i / HALF * WIDTH + i % HALF);
      store(lower.mul(high).mul(lift), to, at);
      store(upper.mul(high).mul(lift), to, at + HALF * Float.BYTES);
    }
  }

  private static void f16(CodePanels w, long first, int count, MemorySegment to, long toByte) {
    MemorySegment scales = w.scales();
    float high = (float) w.global();
    float lift = w.lift();
    for (int i = 0; i < count * HALF; i += LANES) {
      IntVector pairs = load(scales, (first + 2L * i) * Short.BYTES);
      FloatVector lower = PanelWidener.f16ToFloat(pairs);
      FloatVector upper = PanelWidener.f16ToFloat(pairs.lanewise(LSHR, 16));
      long at = place(toByte, i / HALF * WIDTH + i % HALF);
      store(lower.mul(high).mul(lift), to, at);
      store(upper.mul(high).mul(lift), to, at + HALF * Float.BYTES);
    }
  }

  private static void e4m3(CodePanels w, long first, int count, MemorySegment to, long toByte) {
    MemorySegment scales = w.scales();
    FloatVector high = FloatVector.broadcast(FLOATS, (float) w.global());
    float rest = rest(w.global());
    float lift = w.lift();
    for (int i = 0; i < count * WIDTH; i += LANES) {
      FloatVector small = CodeValues.e4m3(CodeValues.signed(scales, first + i));
      FloatVector scale = small.mul(CodeValues.E4M3_LIFT);
      store(scale.fma(high, scale.mul(rest)).mul(lift), to, place(toByte, i));
    }
  }

  private static void e8m0(CodePanels w, long first, int count, MemorySegment to, long toByte) {
    MemorySegment scales = w.scales();
    FloatVector high = FloatVector.broadcast(FLOATS, (float) w.global());
    float rest = rest(w.global());
    float lift = w.lift();
    for (int i = 0; i < count * WIDTH; i += LANES) {
      IntVector codes = CodeValues.unsigned(scales, first + i);
      // the exponent of f32; 0 stands for a subnormal
      FloatVector scale =
          codes
              .lanewise(LSHL, 23)
              .blend(LEAST_E8M0, codes.compare(VectorOperators.EQ, 0))
              .reinterpretAsFloats();
      store(scale.fma(high, scale.mul(rest)).mul(lift), to, place(toByte, i));
    }
  }

  /** One loop for each kind, as for scales. */
  private static void zeros(CodePanels w, long first, MemorySegment to, long toByte) {
    CodeType codes = w.format().codes();
    MemorySegment stored = w.zerosOrNull();
    if (stored == null) {
      zeroConstant(codes, to, toByte);
    } else if (codes == CodeType.UINT4) {
      zeroNibbles(stored, first, to, toByte);
    } else {
      zeroBytes(stored, first, to, toByte);
    }
  }

  private static void zeroConstant(CodeType codes, MemorySegment to, long toByte) {
    int zero = codes == CodeType.INT8 ? CodeType.UINT8.zero() : codes.zero();
    float low = 0x1p23f + zero;
    float high = codes == CodeType.UINT4 ? 0x1p19f + zero : low;
    for (int lane = 0; lane < HALF; lane += LANES) {
      long at = toByte + (long) lane * Float.BYTES;
      store(FloatVector.broadcast(FLOATS, low), to, at);
      store(FloatVector.broadcast(FLOATS, high), to, at + HALF * Float.BYTES);
    }
  }

  private static void zeroNibbles(MemorySegment zeros, long first, MemorySegment to, long toByte) {
    for (int lane = 0; lane < HALF; lane += LANES) {
      IntVector lower = CodeValues.unsigned(zeros, first + lane);
      IntVector upper = CodeValues.unsigned(zeros, first + lane + HALF).lanewise(LSHL, 4);
      long at = toByte + (long) lane * Float.BYTES;
      store(lower.or(CodeValues.UNITS).reinterpretAsFloats(), to, at);
      store(upper.or(CodeValues.SIXTEENTHS).reinterpretAsFloats(), to, at + HALF * Float.BYTES);
    }
  }

  private static void zeroBytes(MemorySegment zeros, long first, MemorySegment to, long toByte) {
    for (int lane = 0; lane < WIDTH; lane += LANES) {
      IntVector units = CodeValues.unsigned(zeros, first + lane).or(CodeValues.UNITS);
      store(units.reinterpretAsFloats(), to, toByte + (long) lane * Float.BYTES);
    }
  }

  private static void store(FloatVector values, MemorySegment to, long atByte) {
    values.intoMemorySegment(to, atByte, ByteOrder.LITTLE_ENDIAN);
  }

  private static IntVector load(MemorySegment values, long fromByte) {
    return IntVector.fromMemorySegment(INTS, values, fromByte, ByteOrder.LITTLE_ENDIAN);
  }
}

package org.sparkmoe.kernels.quant.weight;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.E2m1;
import org.sparkmoe.kernels.tensor.E4m3;
import org.sparkmoe.kernels.tensor.E8m0;
import org.sparkmoe.kernels.tensor.QuantFormat;

/** The scale of weights that share one. */
final class Scales {
  private static final float LARGEST_F16 = 65504;
  private static final float LEAST_F16 = 0x1p-24f;
  private static final int LEAST_E4M3 = 1;

  private Scales() {}

  /** Stores the scale of weights of magnitude up to {@code amax}; it is positive and finite. */
  static void store(
      QuantFormat format, float amax, float inverseGlobal, MemorySegment scales, long index) {
    // Any scale serves zeros; 1 is one in all types.
    float scale = amax == 0 ? 1 / inverseGlobal : amax / steps(format.codes());
    // Subnormal f32 scales would leave codes too few bits.
    float normal = Math.max(scale, Float.MIN_NORMAL);
    switch (format.scales()) {
      case F32 -> DType.F32.set(scales, index, normal);
      case BF16 -> DType.BF16.set(scales, index, normal);
      case F16 -> DType.F16.set(scales, index, Math.clamp(scale, LEAST_F16, LARGEST_F16));
      case E8M0 -> scales.set(ValueLayout.JAVA_BYTE, index, (byte) E8m0.encodeUp(scale));
      case E4M3 ->
          scales.set(
              ValueLayout.JAVA_BYTE,
              index,
              (byte) Math.max(E4m3.encode(scale * inverseGlobal), LEAST_E4M3));
    }
  }

  private static float steps(CodeType codes) {
    return switch (codes) {
      case E4M3 -> E4m3.MAX;
      case INT8 -> 127;
      // -8 to 7: half a step is lost at either end.
      case UINT4 -> 7.5f;
      case E2M1 -> E2m1.MAX;
      case UINT8 -> throw new AssertionError("no quantizer makes uint8");
    };
  }
}

package org.sparkmoe.kernels.quant;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.sparkmoe.kernels.quant.ActivationScheme.Codes;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.E4m3;
import org.sparkmoe.kernels.tensor.E8m0;
import org.sparkmoe.kernels.tensor.ScaleType;

/**
 * The scale of values whose largest magnitude is {@code amax}; formulas in f32:
 *
 * <ul>
 *   <li>INT8: {@code max(amax, 1e-10) / 127};
 *   <li>FP8 per token: {@code max(amax / 448, 1 / (448 · 512))}; per tensor or block: {@code
 *       max(amax, 1e-10) / 448};
 *   <li>per token, where the scheme bounds magnitudes: of {@code min(amax, bound)}; this is what
 *       FBGEMM's and vLLM's kernels make of {@code scale_ub};
 *   <li>FP8 with E8M0 scales: of {@code max(amax, 1e-10) / 448} the next power of two upwards;
 *   <li>NVFP4: of {@code amax / (6 · tensor scale)} the e4m3 value, times the tensor scale; the
 *       tensor scale of values up to amax is {@code max(amax, 1e-10) / (448 · 6)}.
 * </ul>
 */
final class ScaleRule {
  private static final float SMALLEST_AMAX = 1e-10f;
  private static final float LEAST_TOKEN_SCALE = 1 / (448f * 512f);

  private ScaleRule() {}

  static float ofTensor(ActivationScheme scheme, float amax) {
    float most = scheme.codes().max() * (scheme.scales() == ScaleType.E4M3 ? E4m3.MAX : 1);
    return Math.max(amax, SMALLEST_AMAX) / most;
  }

  /** The scale as it travels: the bits of an f32, or a byte. */
  static int code(ActivationScheme scheme, float tensorScale, float amax) {
    float checked = Float.isInfinite(amax) ? Float.NaN : Math.min(amax, scheme.mostPeak());
    float max = scheme.codes().max();
    return switch (scheme.scales()) {
      case E4M3 -> E4m3.encode(checked / (max * tensorScale));
      case E8M0 -> E8m0.encodeUp(Math.max(checked, SMALLEST_AMAX) / max);
      default ->
          Float.floatToRawIntBits(
              scheme.codes() == Codes.E4M3 && scheme.granularity() == Granularity.TOKEN
                  ? Math.max(checked / max, LEAST_TOKEN_SCALE)
                  : Math.max(checked, SMALLEST_AMAX) / max);
    };
  }

  /** What codes of the group are multiplied by. */
  static float value(ActivationScheme scheme, float tensorScale, int code) {
    return switch (scheme.scales()) {
      case E4M3 -> E4m3.decode(code) * tensorScale;
      case E8M0 -> E8m0.decode(code);
      default -> Float.intBitsToFloat(code);
    };
  }

  static void store(ScaleType type, MemorySegment scales, long index, int code) {
    if (type.bytes() == 1) {
      scales.set(ValueLayout.JAVA_BYTE, index, (byte) code);
    } else {
      DType.F32.set(scales, index, Float.intBitsToFloat(code));
    }
  }

  static int load(ScaleType type, MemorySegment scales, long index) {
    return type.bytes() == 1
        ? scales.get(ValueLayout.JAVA_BYTE, index)
        : Float.floatToRawIntBits(DType.F32.get(scales, index));
  }
}

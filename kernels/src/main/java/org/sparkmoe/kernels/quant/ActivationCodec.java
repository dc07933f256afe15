package org.sparkmoe.kernels.quant;

import java.io.Serializable;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Encodes rows of activations into codes and scales, and back. A value that travels with the plan;
 * it holds the scalar scale of a per-tensor scheme, so dispatching rows cannot lose it.
 *
 * <p>INT8, per group of values that share a scale: {@code s = max(amax, 1e-10) / 127}, {@code q =
 * clamp(rint(x / s), ±127)} with ties to even, decoded as {@code q · s} in f32. A dynamic
 * per-tensor scale is {@link #tensorScale computed over all tokens} first.
 */
public final class ActivationCodec implements Serializable {
  private static final long serialVersionUID = 1;

  private static final float SMALLEST_AMAX = 1e-10f;
  private static final float INT8_MAX = 127;

  private final ActivationScheme scheme;
  private final float tensorScale;

  private ActivationCodec(ActivationScheme scheme, float tensorScale) {
    this.scheme = scheme;
    this.tensorScale = tensorScale;
  }

  /** The codec of a scheme whose scales, if any, travel with the rows. */
  public static ActivationCodec of(ActivationScheme scheme) {
    if (scheme.granularity() == Granularity.TENSOR) {
      throw new IllegalArgumentException(
          "a scheme with one scale per tensor needs that scale: it does not travel with the rows");
    }
    return new ActivationCodec(scheme, Float.NaN);
  }

  /** The codec of a scheme with one scale for all tokens. */
  public static ActivationCodec perTensor(ActivationScheme scheme, float scale) {
    if (scheme.granularity() != Granularity.TENSOR) {
      throw new IllegalArgumentException(
          "scales per %s travel with the rows, a scale for the tensor was given"
              .formatted(scheme.granularity()));
    }
    if (!(scale > 0) || Float.isInfinite(scale)) {
      throw new IllegalArgumentException("scale " + scale + " must be positive and finite");
    }
    return new ActivationCodec(scheme, scale);
  }

  /** The scale of INT8 codes for values of largest magnitude {@code amax}. */
  public static float tensorScale(float amax) {
    return Math.max(amax, SMALLEST_AMAX) / INT8_MAX;
  }

  public ActivationScheme scheme() {
    return scheme;
  }

  /**
   * Encodes {@code rows} rows.
   *
   * @param hidden width of a row
   * @param in rows × hidden f32, finite
   * @param codes receives rows × {@link ActivationScheme#codeBytes}
   * @param scales receives rows × {@link ActivationScheme#scalesPerToken} f32
   */
  public void encode(
      int rows, int hidden, MemorySegment in, MemorySegment codes, MemorySegment scales) {
    if (scheme.granularity() == Granularity.NONE) {
      MemorySegment.copy(in, 0, codes, 0, rows * scheme.codeBytes(hidden));
      return;
    }
    int span = scheme.scaleSpan(hidden);
    int perToken = scheme.scalesPerToken(hidden);
    for (int row = 0; row < rows; row++) {
      long base = (long) row * hidden;
      for (int from = 0, group = 0; from < hidden; from += span, group++) {
        int to = Math.min(hidden, from + span);
        float scale = perToken == 0 ? tensorScale : tensorScale(amax(in, base + from, base + to));
        if (perToken > 0) {
          DType.F32.set(scales, (long) row * perToken + group, scale);
        }
        for (long i = base + from; i < base + to; i++) {
          codes.set(ValueLayout.JAVA_BYTE, i, quantize(DType.F32.get(in, i), scale));
        }
      }
    }
  }

  /**
   * Decodes {@code rows} rows; the inverse of {@link #encode} up to rounding.
   *
   * @param out receives rows × hidden f32
   */
  public void decode(
      int rows, int hidden, MemorySegment codes, MemorySegment scales, MemorySegment out) {
    if (scheme.granularity() == Granularity.NONE) {
      MemorySegment.copy(codes, 0, out, 0, rows * scheme.codeBytes(hidden));
      return;
    }
    int span = scheme.scaleSpan(hidden);
    int perToken = scheme.scalesPerToken(hidden);
    for (int row = 0; row < rows; row++) {
      long base = (long) row * hidden;
      for (int from = 0, group = 0; from < hidden; from += span, group++) {
        int to = Math.min(hidden, from + span);
        float scale =
            perToken == 0 ? tensorScale : DType.F32.get(scales, (long) row * perToken + group);
        for (long i = base + from; i < base + to; i++) {
          DType.F32.set(out, i, codes.get(ValueLayout.JAVA_BYTE, i) * scale);
        }
      }
    }
  }

  private static byte quantize(float value, float scale) {
    double q = Math.rint(value / scale);
    return (byte) Math.clamp(q, -INT8_MAX, INT8_MAX);
  }

  private static float amax(MemorySegment in, long from, long to) {
    float amax = 0;
    for (long i = from; i < to; i++) {
      amax = Math.max(amax, Math.abs(DType.F32.get(in, i)));
    }
    return amax;
  }
}

package org.sparkmoe.kernels.quant;

import java.io.Serializable;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.sparkmoe.kernels.quant.ActivationScheme.Codes;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.E2m1;
import org.sparkmoe.kernels.tensor.E4m3;

/**
 * Encodes rows of activations into codes and scales, and back. A value that travels with the plan;
 * it holds the scalar scale of a scheme that has one, so dispatching rows cannot lose it.
 *
 * <p>Values that share a scale {@code s}: {@code q = round(clamp(x / s, ±max))}, ties to even,
 * decoded as {@code q · s}, all in f32; {@link ScaleRule} says what {@code s} is. A group with a
 * value that is not finite gets a NaN for a scale, so all its values decode to NaN. A dynamic
 * per-tensor scale is {@link #tensorScale computed over all tokens} first.
 */
public final class ActivationCodec implements Serializable {
  private static final long serialVersionUID = 1;

  /** Leaves activations as they are. */
  public static final ActivationCodec NONE = new ActivationCodec(ActivationScheme.NONE, Float.NaN);

  private final ActivationScheme scheme;
  private final float tensorScale;

  private ActivationCodec(ActivationScheme scheme, float tensorScale) {
    this.scheme = scheme;
    this.tensorScale = tensorScale;
  }

  /** The codec of a scheme whose scales, if any, all travel with the rows. */
  public static ActivationCodec of(ActivationScheme scheme) {
    if (scheme.hasTensorScale()) {
      throw new IllegalArgumentException(
          "%s needs its scale for the tensor: it does not travel with the rows"
              .formatted(scheme.label()));
    }
    return new ActivationCodec(scheme, Float.NaN);
  }

  /**
   * The codec of a scheme with a scale for all tokens.
   *
   * @param scale what decoded values are multiplied by: amax / 448 for FP8 per tensor, amax / (448
   *     · 6) for NVFP4
   */
  public static ActivationCodec perTensor(ActivationScheme scheme, float scale) {
    if (!scheme.hasTensorScale()) {
      throw new IllegalArgumentException(
          "scales of %s all travel with the rows, a scale for the tensor was given"
              .formatted(scheme.label()));
    }
    if (!(scale > 0) || Float.isInfinite(scale)) {
      throw new IllegalArgumentException("scale " + scale + " must be positive and finite");
    }
    return new ActivationCodec(scheme, scale);
  }

  /**
   * The scale for all tokens of a scheme that has one, for values of magnitude up to {@code amax}.
   */
  public static float tensorScale(ActivationScheme scheme, float amax) {
    return ScaleRule.ofTensor(scheme, amax);
  }

  public ActivationScheme scheme() {
    return scheme;
  }

  /** Whether codes are the values themselves. */
  public boolean isIdentity() {
    return scheme.granularity() == Granularity.NONE;
  }

  /**
   * Encodes {@code rows} rows.
   *
   * @param hidden width of a row
   * @param in rows × hidden f32
   * @param codes receives rows × {@link ActivationScheme#codeBytes}
   * @param scales receives rows × {@link ActivationScheme#scaleBytes}
   */
  public void encode(
      int rows, int hidden, MemorySegment in, MemorySegment codes, MemorySegment scales) {
    if (isIdentity()) {
      MemorySegment.copy(in, 0, codes, 0, rows * scheme.codeBytes(hidden));
      return;
    }
    int span = scheme.scaleSpan(hidden);
    int perToken = scheme.scalesPerToken(hidden);
    float[] values = new float[hidden];
    byte[] packed = new byte[(int) scheme.codeBytes(hidden)];
    for (int row = 0; row < rows; row++) {
      MemorySegment.copy(
          in, DType.LE_FLOAT, DType.F32.bytes((long) row * hidden), values, 0, hidden);
      for (int from = 0, group = 0; from < hidden; from += span, group++) {
        int to = Math.min(hidden, from + span);
        float scale = tensorScale;
        if (perToken > 0) {
          int code = ScaleRule.code(scheme, tensorScale, amax(values, from, to));
          ScaleRule.store(scheme.scales(), scales, (long) row * perToken + group, code);
          scale = ScaleRule.value(scheme, tensorScale, code);
        }
        pack(values, from, to, scale, packed);
      }
      MemorySegment.copy(
          packed, 0, codes, ValueLayout.JAVA_BYTE, (long) row * packed.length, packed.length);
    }
  }

  /**
   * Decodes {@code rows} rows; the inverse of {@link #encode} up to rounding.
   *
   * @param out receives rows × hidden f32
   */
  public void decode(
      int rows, int hidden, MemorySegment codes, MemorySegment scales, MemorySegment out) {
    if (isIdentity()) {
      MemorySegment.copy(codes, 0, out, 0, rows * scheme.codeBytes(hidden));
      return;
    }
    int span = scheme.scaleSpan(hidden);
    int perToken = scheme.scalesPerToken(hidden);
    float[] values = new float[hidden];
    byte[] packed = new byte[(int) scheme.codeBytes(hidden)];
    for (int row = 0; row < rows; row++) {
      MemorySegment.copy(
          codes, ValueLayout.JAVA_BYTE, (long) row * packed.length, packed, 0, packed.length);
      for (int from = 0, group = 0; from < hidden; from += span, group++) {
        int to = Math.min(hidden, from + span);
        float scale = tensorScale;
        if (perToken > 0) {
          long index = (long) row * perToken + group;
          scale =
              ScaleRule.value(scheme, tensorScale, ScaleRule.load(scheme.scales(), scales, index));
        }
        unpack(packed, from, to, scale, values);
      }
      MemorySegment.copy(
          values, 0, out, DType.LE_FLOAT, DType.F32.bytes((long) row * hidden), hidden);
    }
  }

  /**
   * Replaces a row by what its codes decode to.
   *
   * @param values holds the row
   * @param from where it starts
   * @param width of the row
   */
  public void requantize(float[] values, int from, int width) {
    if (isIdentity()) {
      return;
    }
    int span = scheme.scaleSpan(width);
    for (int first = from; first < from + width; first += span) {
      int to = Math.min(from + width, first + span);
      float scale = tensorScale;
      if (scheme.scalesPerToken(width) > 0) {
        int code = ScaleRule.code(scheme, tensorScale, amax(values, first, to));
        scale = ScaleRule.value(scheme, tensorScale, code);
      }
      round(values, first, to, scale);
    }
  }

  /** As {@link #requantize(float[], int, int)}, {@code rows} rows one after the other. */
  public void requantize(int rows, int width, MemorySegment values) {
    if (isIdentity()) {
      return;
    }
    float[] row = new float[width];
    for (int i = 0; i < rows; i++) {
      long from = DType.F32.bytes((long) i * width);
      MemorySegment.copy(values, DType.LE_FLOAT, from, row, 0, width);
      requantize(row, 0, width);
      MemorySegment.copy(row, 0, values, DType.LE_FLOAT, from, width);
    }
  }

  private void round(float[] values, int from, int to, float scale) {
    switch (scheme.codes()) {
      case INT8 -> {
        for (int i = from; i < to; i++) {
          values[i] = Float.isNaN(values[i]) ? Float.NaN : int8(values[i], scale) * scale;
        }
      }
      case E4M3 -> {
        for (int i = from; i < to; i++) {
          values[i] = E4m3.decode(E4m3.encode(values[i] / scale)) * scale;
        }
      }
      case E2M1 -> {
        for (int i = from; i < to; i++) {
          values[i] = E2m1.decode(e2m1(values[i], scale)) * scale;
        }
      }
      case F32 -> throw new AssertionError("f32 is not rounded");
    }
  }

  private void pack(float[] values, int from, int to, float scale, byte[] packed) {
    switch (scheme.codes()) {
      case INT8 -> {
        for (int i = from; i < to; i++) {
          packed[i] = (byte) int8(values[i], scale);
        }
      }
      case E4M3 -> {
        for (int i = from; i < to; i++) {
          packed[i] = (byte) E4m3.encode(values[i] / scale);
        }
      }
      case E2M1 -> {
        for (int i = from; i < to; i++) {
          int code = e2m1(values[i], scale);
          packed[i / 2] = (byte) ((i & 1) == 0 ? code : (packed[i / 2] & 0xF) | (code << 4));
        }
      }
      case F32 -> throw new AssertionError("f32 is not packed");
    }
  }

  private void unpack(byte[] packed, int from, int to, float scale, float[] values) {
    switch (scheme.codes()) {
      case INT8 -> {
        for (int i = from; i < to; i++) {
          values[i] = packed[i] * scale;
        }
      }
      case E4M3 -> {
        for (int i = from; i < to; i++) {
          values[i] = E4m3.decode(packed[i]) * scale;
        }
      }
      case E2M1 -> {
        for (int i = from; i < to; i++) {
          values[i] = E2m1.decode((i & 1) == 0 ? packed[i / 2] : packed[i / 2] >> 4) * scale;
        }
      }
      case F32 -> throw new AssertionError("f32 is not packed");
    }
  }

  private static int int8(float value, float scale) {
    return (int) Math.clamp(Math.rint(value / scale), -Codes.INT8.max(), Codes.INT8.max());
  }

  /** A scale of 0 stands for a block of zeros. */
  private static int e2m1(float value, float scale) {
    return scale == 0 ? 0 : E2m1.encode(value / scale);
  }

  private static float amax(float[] values, int from, int to) {
    float amax = 0;
    for (int i = from; i < to; i++) {
      amax = Math.max(amax, Math.abs(values[i]));
    }
    return amax;
  }
}

package org.sparkmoe.kernels.quant;

import java.io.Serializable;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.E2m1;
import org.sparkmoe.kernels.tensor.E4m3;

/**
 * Encodes rows of activations into codes and scales, and back. A value that travels with the plan;
 * it holds the scalar scale of a scheme that has one, so dispatching rows cannot lose it.
 *
 * <p>Values that share a scale {@code s}: {@code q = round(clamp(x / s, ±max))}, ties to even,
 * decoded as {@code q · s}, all in f32, except that 4-bit codes are nearest to the exact quotient;
 * {@link ScaleRule} says what {@code s} is. A group with a value that is not finite gets a NaN for
 * a scale, so all its values decode to NaN. A dynamic per-tensor scale is {@link #tensorScale
 * computed over all tokens} first.
 */
public final class ActivationCodec implements Serializable {
  private static final long serialVersionUID = 1;

  /** Leaves activations as they are. */
  public static final ActivationCodec NONE =
      new ActivationCodec(ActivationScheme.NONE, Float.NaN, null);

  private final ActivationScheme scheme;
  private final float tensorScale;
  private final PeakMeter meterOrNull;

  private ActivationCodec(ActivationScheme scheme, float tensorScale, PeakMeter meterOrNull) {
    this.scheme = scheme;
    this.tensorScale = tensorScale;
    this.meterOrNull = meterOrNull;
  }

  /** The codec of a scheme whose scales, if any, all travel with the rows. */
  public static ActivationCodec of(ActivationScheme scheme) {
    if (scheme.hasTensorScale()) {
      throw new IllegalArgumentException(
          "%s needs its scale for the tensor: it does not travel with the rows"
              .formatted(scheme.label()));
    }
    return new ActivationCodec(scheme, Float.NaN, null);
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
    return new ActivationCodec(scheme, scale, null);
  }

  /**
   * Leaves activations as they are and measures them: where kernels would requantize a row, its
   * largest magnitude is noted. Every call makes another codec, with a {@link #peak} of its own.
   */
  public static ActivationCodec measuring() {
    return new ActivationCodec(ActivationScheme.NONE, Float.NaN, new PeakMeter());
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

  /** The scale for the whole tensor, NaN where the scheme has none. */
  public float tensorScale() {
    return tensorScale;
  }

  /** The largest magnitude that a {@link #measuring} codec was shown, 0 of any other. */
  public float peak() {
    return meterOrNull == null ? 0 : meterOrNull.peak();
  }

  /** Whether rows need not be shown to it: it leaves them as they are and measures nothing. */
  public boolean isIdentity() {
    return isUnquantized() && meterOrNull == null;
  }

  /** Whether codes are the values themselves. */
  private boolean isUnquantized() {
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
    if (isUnquantized()) {
      MemorySegment.copy(in, 0, codes, 0, rows * scheme.codeBytes(hidden));
      return;
    }
    int perToken = scheme.scalesPerToken(hidden);
    RowCoder coder = new RowCoder(scheme.codes(), hidden);
    int[] scaleCodes = new int[perToken];
    float[] rowScales = new float[scheme.groups(hidden)];
    byte[] packed = new byte[(int) scheme.codeBytes(hidden)];
    for (int row = 0; row < rows; row++) {
      coder.load(in, (long) row * hidden);
      scale(coder, hidden, scaleCodes, rowScales);
      coder.encode();
      coder.pack(packed);
      for (int group = 0; group < perToken; group++) {
        ScaleRule.store(scheme.scales(), scales, (long) row * perToken + group, scaleCodes[group]);
      }
      MemorySegment.copy(
          packed, 0, codes, ValueLayout.JAVA_BYTE, (long) row * packed.length, packed.length);
    }
  }

  /**
   * Divides each group of a row by its scale.
   *
   * @param codes receives the scales as they travel, where they do
   * @param scales receives their values
   */
  private void scale(RowCoder coder, int width, int[] codes, float[] scales) {
    int span = scheme.scaleSpan(width);
    for (int from = 0, group = 0; from < width; from += span, group++) {
      int to = Math.min(width, from + span);
      scales[group] = tensorScale;
      if (codes.length > 0) {
        codes[group] = ScaleRule.code(scheme, tensorScale, coder.amax(from, to));
        scales[group] = ScaleRule.value(scheme, tensorScale, codes[group]);
      }
      coder.divide(from, to, scales[group]);
    }
  }

  /**
   * Decodes {@code rows} rows; the inverse of {@link #encode} up to rounding.
   *
   * @param out receives rows × hidden f32
   */
  public void decode(
      int rows, int hidden, MemorySegment codes, MemorySegment scales, MemorySegment out) {
    if (isUnquantized()) {
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
    requantize(1, width, MemorySegment.ofArray(values).asSlice(DType.F32.bytes(from)));
  }

  /** As {@link #requantize(float[], int, int)}, {@code rows} rows one after the other. */
  public void requantize(int rows, int width, MemorySegment values) {
    if (meterOrNull != null) {
      meterOrNull.see(values.asSlice(0, DType.F32.bytes((long) rows * width)));
    }
    if (isUnquantized()) {
      return;
    }
    RowCoder coder = new RowCoder(scheme.codes(), width);
    int span = scheme.scaleSpan(width);
    int[] scaleCodes = new int[scheme.scalesPerToken(width)];
    float[] scales = new float[scheme.groups(width)];
    for (int row = 0; row < rows; row++) {
      coder.load(values, (long) row * width);
      scale(coder, width, scaleCodes, scales);
      coder.encode();
      for (int from = 0, group = 0; from < width; from += span, group++) {
        coder.decode(from, Math.min(width, from + span), scales[group]);
      }
      coder.store(values, (long) row * width);
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

  @Override
  public boolean equals(Object other) {
    return other instanceof ActivationCodec that
        && scheme.equals(that.scheme)
        && Float.compare(tensorScale, that.tensorScale) == 0
        && Objects.equals(meterOrNull, that.meterOrNull);
  }

  @Override
  public int hashCode() {
    return Objects.hash(scheme, tensorScale, meterOrNull);
  }
}

package org.sparkmoe.kernels.quant;

import java.io.Serializable;
import java.util.Locale;
import org.sparkmoe.kernels.tensor.ScaleType;

/**
 * Codes and scales of quantized activations.
 *
 * @param codes element type
 * @param granularity how many values share one scale
 * @param block values per scale where the granularity is {@link Granularity#BLOCK}, else 0
 * @param scales type of the scales that travel with the rows
 * @param mostPeak where the scale comes from the largest magnitude of a token, a larger one counts
 *     as this, and values beyond it saturate: FBGEMM's {@code activation_scale_ub}; infinite
 *     without
 */
public record ActivationScheme(
    Codes codes, Granularity granularity, int block, ScaleType scales, float mostPeak)
    implements Serializable {

  /** Element types. */
  public enum Codes {
    /** The f32 values themselves, without scales. */
    F32(32, Float.POSITIVE_INFINITY),
    /** Symmetric int8, saturating at ±127, ties to even. */
    INT8(8, 127),
    /** {@link org.sparkmoe.kernels.tensor.E4m3}, saturating at ±448, ties to even. */
    E4M3(8, 448),
    /**
     * {@link org.sparkmoe.kernels.tensor.E2m1}, saturating at ±6, ties to even; two share a byte,
     * the lower half holds the first.
     */
    E2M1(4, 6);

    private final int bits;
    private final float max;

    Codes(int bits, float max) {
      this.bits = bits;
      this.max = max;
    }

    /** Bits of one code. */
    public int bits() {
      return bits;
    }

    /** The largest magnitude, at which values saturate. */
    public float max() {
      return max;
    }
  }

  /** How many values share one scale. */
  public enum Granularity {
    /** No scale: the codes are the values. */
    NONE,
    /** One scale for all tokens of the run, carried by the plan. */
    TENSOR,
    /** One scale per token, a FLOAT column. */
    TOKEN,
    /** One scale per {@code block} consecutive values of a token, the last block may be shorter. */
    BLOCK
  }

  /** Activations are f32. */
  public static final ActivationScheme NONE =
      new ActivationScheme(Codes.F32, Granularity.NONE, 0, ScaleType.F32);

  /**
   * NVFP4: e2m1, an e4m3 scale per 16 values, and one f32 scale for the tensor, which the plan
   * carries.
   */
  public static final ActivationScheme NVFP4 =
      new ActivationScheme(Codes.E2M1, Granularity.BLOCK, 16, ScaleType.E4M3);

  /** MXFP8: e4m3 and a power of two per 32 values. */
  public static final ActivationScheme MXFP8 = fp8PerBlock(32, ScaleType.E8M0);

  public ActivationScheme {
    if ((codes == Codes.F32) != (granularity == Granularity.NONE)) {
      throw new IllegalArgumentException(codes + " codes cannot have scales per " + granularity);
    }
    if ((granularity == Granularity.BLOCK) != (block > 0)) {
      throw new IllegalArgumentException("block " + block + " with scales per " + granularity);
    }
    boolean known =
        scales == ScaleType.F32
            || (granularity == Granularity.BLOCK
                && (scales == ScaleType.E8M0 || scales == ScaleType.E4M3));
    if (!known) {
      throw new IllegalArgumentException(scales + " scales per " + granularity);
    }
    boolean limited = mostPeak != Float.POSITIVE_INFINITY;
    if (limited && (!(mostPeak > 0) || granularity != Granularity.TOKEN)) {
      throw new IllegalArgumentException("peaks up to " + mostPeak + " per " + granularity);
    }
  }

  /** A scheme without a limit to the magnitudes that scales are made of. */
  public ActivationScheme(Codes codes, Granularity granularity, int block, ScaleType scales) {
    this(codes, granularity, block, scales, Float.POSITIVE_INFINITY);
  }

  /** INT8 with one f32 scale per tensor or per token. */
  public static ActivationScheme int8(Granularity granularity) {
    return new ActivationScheme(Codes.INT8, granularity, 0, ScaleType.F32);
  }

  /** INT8 with one f32 scale per {@code block} values. */
  public static ActivationScheme int8PerBlock(int block) {
    return new ActivationScheme(Codes.INT8, Granularity.BLOCK, block, ScaleType.F32);
  }

  /** FP8 (e4m3) with one f32 scale per tensor or per token. */
  public static ActivationScheme fp8(Granularity granularity) {
    return new ActivationScheme(Codes.E4M3, granularity, 0, ScaleType.F32);
  }

  /** FP8 (e4m3) with one f32 scale per token, of magnitudes up to {@code mostPeak}. */
  public static ActivationScheme fp8PerToken(float mostPeak) {
    return new ActivationScheme(Codes.E4M3, Granularity.TOKEN, 0, ScaleType.F32, mostPeak);
  }

  /** FP8 (e4m3) with one scale per {@code block} values, f32 or a power of two (E8M0). */
  public static ActivationScheme fp8PerBlock(int block, ScaleType scales) {
    return new ActivationScheme(Codes.E4M3, Granularity.BLOCK, block, scales);
  }

  /**
   * Whether a scale for the whole tensor takes part. It belongs to the plan, as dispatching rows
   * could lose it.
   */
  public boolean hasTensorScale() {
    return granularity == Granularity.TENSOR || scales == ScaleType.E4M3;
  }

  /** Scales that travel with each token of width {@code hidden}: 0, 1, or one per block. */
  public int scalesPerToken(int hidden) {
    return switch (granularity) {
      case NONE, TENSOR -> 0;
      case TOKEN -> 1;
      case BLOCK -> Math.ceilDiv(hidden, block);
    };
  }

  /** Bytes of the scales that travel with each token of width {@code hidden}. */
  public long scaleBytes(int hidden) {
    return (long) scalesPerToken(hidden) * scales.bytes();
  }

  /** Bytes of the codes of one token of width {@code hidden}. */
  public long codeBytes(int hidden) {
    return ((long) hidden * codes.bits() + 7) / 8;
  }

  /** Values of one token that share a scale. */
  int scaleSpan(int hidden) {
    return granularity == Granularity.BLOCK ? block : Math.max(1, hidden);
  }

  /** Groups of values of one token that share a scale. */
  int groups(int hidden) {
    return Math.ceilDiv(hidden, scaleSpan(hidden));
  }

  /** The name in plans and messages, for example {@code e4m3 per 128 values, f32 scales}. */
  public String label() {
    String text =
        switch (granularity) {
          case NONE -> "f32";
          case TENSOR -> codes + " per " + granularity;
          case TOKEN ->
              mostPeak == Float.POSITIVE_INFINITY
                  ? codes + " per " + granularity
                  : "%s per %s, of magnitudes up to %s".formatted(codes, granularity, mostPeak);
          case BLOCK -> "%s per %d values, %s scales".formatted(codes, block, scales);
        };
    return text.toLowerCase(Locale.ROOT);
  }
}

package org.sparkmoe.kernels.quant;

import java.io.Serializable;

/**
 * Codes and scale granularity of dispatched activations.
 *
 * @param codes element type on the wire
 * @param granularity how many values share one f32 scale
 * @param block values per scale where the granularity is {@link Granularity#BLOCK}, else 0
 */
public record ActivationScheme(Codes codes, Granularity granularity, int block)
    implements Serializable {

  /** Element types on the wire. */
  public enum Codes {
    /** The f32 values themselves, without scales. */
    F32(4),
    /** Symmetric int8, saturating at ±127, ties to even. */
    INT8(1);

    private final int bytes;

    Codes(int bytes) {
      this.bytes = bytes;
    }

    public int bytes() {
      return bytes;
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

  /** Activations travel as f32. */
  public static final ActivationScheme NONE = new ActivationScheme(Codes.F32, Granularity.NONE, 0);

  public ActivationScheme {
    if ((codes == Codes.F32) != (granularity == Granularity.NONE)) {
      throw new IllegalArgumentException(codes + " codes cannot have scales per " + granularity);
    }
    if ((granularity == Granularity.BLOCK) != (block > 0)) {
      throw new IllegalArgumentException("block " + block + " with scales per " + granularity);
    }
  }

  public static ActivationScheme int8(Granularity granularity) {
    return new ActivationScheme(Codes.INT8, granularity, 0);
  }

  public static ActivationScheme int8PerBlock(int block) {
    return new ActivationScheme(Codes.INT8, Granularity.BLOCK, block);
  }

  /** Scales that travel with each token of width {@code hidden}: 0, 1, or one per block. */
  public int scalesPerToken(int hidden) {
    return switch (granularity) {
      case NONE, TENSOR -> 0;
      case TOKEN -> 1;
      case BLOCK -> Math.ceilDiv(hidden, block);
    };
  }

  /** Bytes of the codes of one token of width {@code hidden}. */
  public long codeBytes(int hidden) {
    return (long) hidden * codes.bytes();
  }

  /** Values of one token that share a scale. */
  int scaleSpan(int hidden) {
    return granularity == Granularity.BLOCK ? block : hidden;
  }
}

package org.sparkmoe.kernels.tensor;

/** Element types of quantized matrices. */
public enum CodeType {
  /** {@link E4m3}. */
  E4M3(8, 0) {
    @Override
    public float value(int code) {
      return E4m3.decode(code);
    }
  },
  /** Two's complement. */
  INT8(8, 0) {
    @Override
    public float value(int code) {
      return (byte) code;
    }
  },
  /** Unsigned, 128 stands for 0 unless zero points say otherwise. */
  UINT8(8, 128) {
    @Override
    public float value(int code) {
      return code & 0xFF;
    }
  },
  /** Unsigned, 8 stands for 0 unless zero points say otherwise. */
  UINT4(4, 8) {
    @Override
    public float value(int code) {
      return code & 0xF;
    }
  },
  /** {@link E2m1}. */
  E2M1(4, 0) {
    @Override
    public float value(int code) {
      return E2m1.decode(code);
    }
  };

  private final int bits;
  private final int zero;

  CodeType(int bits, int zero) {
    this.bits = bits;
    this.zero = zero;
  }

  /**
   * Bits of a code: 8, or 4, of which two share a byte, the one of the lower column in the low
   * half.
   */
  public int bits() {
    return bits;
  }

  /** What is subtracted from {@link #value} where a matrix has no zero points of its own. */
  public int zero() {
    return zero;
  }

  /** Bytes of {@code count} neighbouring codes. */
  public long bytes(long count) {
    return (count * bits + 7) / 8;
  }

  /** The number that a code stands for, before zero point and scale; exact. */
  public abstract float value(int code);
}

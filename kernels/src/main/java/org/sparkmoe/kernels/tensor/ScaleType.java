package org.sparkmoe.kernels.tensor;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Element types of scales, little-endian. */
public enum ScaleType {
  F32(4) {
    @Override
    public float get(MemorySegment data, long index) {
      return DType.F32.get(data, index);
    }
  },
  BF16(2) {
    @Override
    public float get(MemorySegment data, long index) {
      return DType.BF16.get(data, index);
    }
  },
  F16(2) {
    @Override
    public float get(MemorySegment data, long index) {
      return DType.F16.get(data, index);
    }
  },
  /** {@link E4m3}. */
  E4M3(1) {
    @Override
    public float get(MemorySegment data, long index) {
      return E4m3.decode(data.get(ValueLayout.JAVA_BYTE, index));
    }
  },
  /** {@link E8m0}. */
  E8M0(1) {
    @Override
    public float get(MemorySegment data, long index) {
      return E8m0.decode(data.get(ValueLayout.JAVA_BYTE, index));
    }
  };

  private final int bytes;

  ScaleType(int bytes) {
    this.bytes = bytes;
  }

  /** Bytes of one scale. */
  public int bytes() {
    return bytes;
  }

  /** The scale at {@code index}, counted in scales; exact. */
  public abstract float get(MemorySegment data, long index);
}

package org.sparkmoe.datasets.safetensors;

import java.util.Optional;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Every element type that the safetensors format defines ({@code Dtype} in safetensors' {@code
 * tensor.rs}), by its name in the header.
 */
public enum SafetensorsDType {
  BOOL(8),
  F4(4),
  F6_E2M3(6),
  F6_E3M2(6),
  U8(8),
  I8(8),
  F8_E5M2(8),
  F8_E4M3(8),
  F8_E8M0(8),
  F8_E4M3FNUZ(8),
  F8_E5M2FNUZ(8),
  I16(16),
  U16(16),
  F16(16),
  BF16(16),
  I32(32),
  U32(32),
  F32(32),
  C64(64),
  F64(64),
  I64(64),
  U64(64);

  private final int bits;

  SafetensorsDType(int bits) {
    this.bits = bits;
  }

  /** Bits of one element; less than 8 for packed types. */
  public int bits() {
    return bits;
  }

  /** The kernels' type with the same bytes, empty where the kernels have none. */
  public Optional<DType> kernelType() {
    return switch (this) {
      case F32 -> Optional.of(DType.F32);
      case BF16 -> Optional.of(DType.BF16);
      case F16 -> Optional.of(DType.F16);
      default -> Optional.empty();
    };
  }

  static Optional<SafetensorsDType> named(String name) {
    for (SafetensorsDType dtype : values()) {
      if (dtype.name().equals(name)) {
        return Optional.of(dtype);
      }
    }
    return Optional.empty();
  }
}

package org.sparkmoe.kernels.onednn;

import org.sparkmoe.kernels.tensor.DType;

/** Element types of oneDNN's memory ({@code dnnl_data_type_t}). */
enum ElementType {
  F16(1),
  BF16(2),
  F32(3),
  S32(4),
  S8(5);

  private final int code;

  ElementType(int code) {
    this.code = code;
  }

  int code() {
    return code;
  }

  static ElementType of(DType type) {
    return switch (type) {
      case F16 -> F16;
      case BF16 -> BF16;
      case F32 -> F32;
    };
  }
}

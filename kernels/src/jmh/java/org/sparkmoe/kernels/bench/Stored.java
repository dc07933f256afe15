package org.sparkmoe.kernels.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.E4m3;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;

/** How the weights of a benchmark are stored. */
public enum Stored {
  F32,
  BF16,
  W4A16_G128,
  FP8_CHANNEL,
  FP8_BLOCK,
  INT8_CHANNEL,
  MXFP4,
  NVFP4;

  private static final int E8M0_OF_ONE = 127;

  /** What the elements and their scales are. */
  public WeightFormat format() {
    return switch (this) {
      case F32 -> DType.F32;
      case BF16 -> DType.BF16;
      case W4A16_G128 -> QuantFormat.of(CodeType.UINT4, ScaleType.BF16, 1, 128);
      case FP8_CHANNEL -> QuantFormat.of(CodeType.E4M3, ScaleType.F32, 1, QuantFormat.ALL);
      case FP8_BLOCK -> QuantFormat.of(CodeType.E4M3, ScaleType.F32, 128, 128);
      case INT8_CHANNEL -> QuantFormat.of(CodeType.INT8, ScaleType.F32, 1, QuantFormat.ALL);
      case MXFP4 -> QuantFormat.of(CodeType.E2M1, ScaleType.E8M0, 1, 32);
      case NVFP4 -> QuantFormat.of(CodeType.E2M1, ScaleType.E4M3, 1, 16);
    };
  }

  /** A random matrix of N × K. */
  Weight random(int rows, int cols, Arena arena, long seed) {
    return switch (format()) {
      case DType dtype -> {
        MemorySegment data = arena.allocate(dtype.bytes(rows, cols), 64);
        RandomValues.fill(data, dtype, 1 / Math.sqrt(cols), seed);
        yield new Matrix(data, dtype, rows, cols);
      }
      case QuantFormat quantized -> random(quantized, rows, cols, arena, seed);
    };
  }

  private static QuantizedMatrix random(
      QuantFormat format, int rows, int cols, Arena arena, long seed) {
    MemorySegment codes = arena.allocate(rows * format.codes().bytes(cols), 64);
    RandomValues.fill(codes.asSlice(0, codes.byteSize() / 2 * 2), DType.BF16, 1, seed);
    for (long i = 0; i < codes.byteSize(); i++) {
      boolean nan = (codes.get(ValueLayout.JAVA_BYTE, i) & E4m3.NAN) == E4m3.NAN;
      if (format.codes() == CodeType.E4M3 && nan) {
        codes.set(ValueLayout.JAVA_BYTE, i, (byte) 0);
      }
    }
    long count = format.scaleCount(rows, cols);
    MemorySegment scales = arena.allocate(count * format.scales().bytes(), 64);
    for (long i = 0; i < count; i++) {
      float scale = (1 + i % 7) / 4096f;
      switch (format.scales()) {
        case F32 -> DType.F32.set(scales, i, scale);
        case BF16 -> DType.BF16.set(scales, i, scale);
        case F16 -> DType.F16.set(scales, i, scale);
        case E4M3 -> scales.set(ValueLayout.JAVA_BYTE, i, (byte) E4m3.encode((1 + i % 7) / 64f));
        case E8M0 -> scales.set(ValueLayout.JAVA_BYTE, i, (byte) (E8M0_OF_ONE - 8 - i % 3));
      }
    }
    return QuantizedMatrix.of(codes, format, rows, cols, scales);
  }
}

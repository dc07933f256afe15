package org.sparkmoe.kernels.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Optional;
import org.sparkmoe.kernels.quant.weight.WeightQuantizer;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.tensor.Weight;

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

  private Optional<WeightQuantizer> quantizer() {
    return switch (this) {
      case F32, BF16 -> Optional.empty();
      case W4A16_G128 -> Optional.of(WeightQuantizer.uint4PerGroup(128, ScaleType.BF16));
      case FP8_CHANNEL -> Optional.of(WeightQuantizer.fp8PerChannel());
      case FP8_BLOCK -> Optional.of(WeightQuantizer.fp8PerBlock());
      case INT8_CHANNEL -> Optional.of(WeightQuantizer.int8PerChannel());
      case MXFP4 -> Optional.of(WeightQuantizer.mxfp4());
      case NVFP4 -> Optional.of(WeightQuantizer.nvfp4());
    };
  }

  /** How the weights are, before they are quantized. */
  private DType plain() {
    return this == BF16 ? DType.BF16 : DType.F32;
  }

  /** Bits of an element, without its scale. */
  public int bits() {
    return quantizer()
        .map(quantizer -> quantizer.format().codes().bits())
        .orElse(plain().bytes() * Byte.SIZE);
  }

  /**
   * A random weight of N × K, quantized where it is to be: codes come as often as in a checkpoint,
   * which matters because CPUs are slow with subnormal numbers.
   */
  Weight random(int rows, int cols, Arena arena, long seed) {
    Optional<WeightQuantizer> quantizer = quantizer();
    if (quantizer.isEmpty()) {
      return plain(rows, cols, arena, seed);
    }
    try (Arena scratch = Arena.ofShared()) {
      return quantizer.get().quantize(plain(rows, cols, scratch, seed), arena);
    }
  }

  private Matrix plain(int rows, int cols, Arena arena, long seed) {
    MemorySegment data = arena.allocate(plain().bytes((long) rows * cols), 64);
    RandomValues.fill(data, plain(), 1 / Math.sqrt(cols), seed);
    return new Matrix(data, plain(), rows, cols);
  }
}

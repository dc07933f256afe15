package org.sparkmoe.kernels.bench;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.Random;
import org.sparkmoe.kernels.quant.weight.WeightQuantizer;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;
import org.sparkmoe.kernels.tensor.Weight;

/** How the weights of a benchmark are stored. */
public enum Stored {
  F32,
  BF16,
  W4A16_G128,
  /** The same, neighbouring columns in different groups. */
  W4A16_ACT_ORDER,
  /** Unsigned codes with zero points. */
  W8A16_G128,
  FP8_CHANNEL,
  FP8_BLOCK,
  INT8_CHANNEL,
  MXFP4,
  NVFP4;

  private Optional<WeightQuantizer> quantizer() {
    return switch (this) {
      case F32, BF16 -> Optional.empty();
      case W4A16_G128, W4A16_ACT_ORDER ->
          Optional.of(WeightQuantizer.uint4PerGroup(128, ScaleType.BF16));
      case W8A16_G128, INT8_CHANNEL -> Optional.of(WeightQuantizer.int8PerChannel());
      case FP8_CHANNEL -> Optional.of(WeightQuantizer.fp8PerChannel());
      case FP8_BLOCK -> Optional.of(WeightQuantizer.fp8PerBlock());
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
      QuantizedMatrix quantized = quantizer.get().quantize(plain(rows, cols, scratch, seed), arena);
      return switch (this) {
        case W4A16_ACT_ORDER -> shuffled(quantized);
        case W8A16_G128 -> grouped(quantized, arena);
        default -> quantized;
      };
    }
  }

  /** Each row's scale for all of its groups, and codes and zero points shifted by 128. */
  private static QuantizedMatrix grouped(QuantizedMatrix w, Arena arena) {
    QuantFormat format = new QuantFormat(CodeType.UINT8, ScaleType.F32, 1, 128, true, false);
    int groups = format.groups(w.cols());
    long count = (long) w.rows() * groups;
    MemorySegment scales = arena.allocate(DType.F32.bytes(count), 64);
    for (long i = 0; i < count; i++) {
      DType.F32.set(scales, i, w.scale((int) (i / groups), 0));
    }
    for (long i = 0; i < w.codes().byteSize(); i++) {
      byte code = w.codes().get(ValueLayout.JAVA_BYTE, i);
      w.codes().set(ValueLayout.JAVA_BYTE, i, (byte) (code ^ 0x80));
    }
    MemorySegment zeros = arena.allocate(count, 64).fill((byte) 0x80);
    return new QuantizedMatrix(w.codes(), format, w.rows(), w.cols(), scales, 1, zeros, null);
  }

  /**
   * As many columns in each group, but any: the same for all weights with as many inputs, as gate
   * and up projections have them.
   */
  private static QuantizedMatrix shuffled(QuantizedMatrix w) {
    QuantFormat format = w.format();
    List<Integer> groups = new ArrayList<>();
    for (int k = 0; k < w.cols(); k++) {
      groups.add(k / format.colSpan());
    }
    Collections.shuffle(groups, new Random(w.cols()));
    return new QuantizedMatrix(
        w.codes(),
        new QuantFormat(
            format.codes(), format.scales(), format.rowSpan(), format.colSpan(), false, true),
        w.rows(),
        w.cols(),
        w.scales(),
        w.global(),
        null,
        groups.stream().mapToInt(Integer::intValue).toArray());
  }

  private Matrix plain(int rows, int cols, Arena arena, long seed) {
    MemorySegment data = arena.allocate(plain().bytes((long) rows * cols), 64);
    RandomValues.fill(data, plain(), 1 / Math.sqrt(cols), seed);
    return new Matrix(data, plain(), rows, cols);
  }
}

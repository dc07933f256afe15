package org.sparkmoe.kernels.testing;

import static org.sparkmoe.kernels.tensor.QuantFormat.ALL;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.List;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.E4m3;
import org.sparkmoe.kernels.tensor.E8m0;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;

/** Random quantized weights of every kind that checkpoints hold. */
public final class QuantizedTensors {
  private QuantizedTensors() {}

  /**
   * A kind of weight.
   *
   * @param size of the weights, about; 1 keeps the scale of a product's input
   * @param global scale of the matrix
   * @param lists which columns are in which group, where a list says so
   */
  public record Kind(String name, QuantFormat format, double size, double global, Lists lists) {
    public Kind(String name, QuantFormat format, double size, double global) {
      this(name, format, size, global, Lists.ANY);
    }

    Kind(String name, QuantFormat format) {
      this(name, format, 1, 1);
    }

    /** The same with scales and weights {@code factor} times as large. */
    public Kind times(double factor) {
      return new Kind(name + " times " + factor, format, size * factor, global, lists);
    }

    Kind with(Lists other) {
      return new Kind(name, format, size, global, other);
    }

    @Override
    public String toString() {
      return name;
    }
  }

  /** Lists of groups. */
  public enum Lists {
    /** A group may have any number of columns. */
    ANY,
    /** As many columns in each group as by position, of each matrix other ones. */
    EQUAL,
    /** The same, and gate and up projections have the same ones, as quantizers make them. */
    SHARED
  }

  /** Every kind. */
  public static List<Kind> kinds() {
    return List.of(
        new Kind("fp8 tensor", plain(CodeType.E4M3, ScaleType.F32, ALL, ALL)),
        new Kind("fp8 channel", plain(CodeType.E4M3, ScaleType.BF16, 1, ALL)),
        new Kind("fp8 block", plain(CodeType.E4M3, ScaleType.F32, 128, 128)),
        new Kind("fp8 block, odd", plain(CodeType.E4M3, ScaleType.F32, 24, 40)),
        new Kind("fp8 block, e8m0", plain(CodeType.E4M3, ScaleType.E8M0, 128, 128)),
        new Kind("fp8, large scales", plain(CodeType.E4M3, ScaleType.F32, 1, ALL)).times(1e6),
        new Kind("mxfp8", plain(CodeType.E4M3, ScaleType.E8M0, 1, 32)),
        new Kind("int8 channel", plain(CodeType.INT8, ScaleType.F32, 1, ALL)),
        new Kind("int8 tensor", plain(CodeType.INT8, ScaleType.F32, ALL, ALL)),
        new Kind("uint4 g32", plain(CodeType.UINT4, ScaleType.BF16, 1, 32)),
        new Kind("uint4 g64, zeros", grouped(CodeType.UINT4, ScaleType.F16, 64, true, false)),
        new Kind("uint4 g128", plain(CodeType.UINT4, ScaleType.BF16, 1, 128)),
        new Kind("uint4 g128, f32", plain(CodeType.UINT4, ScaleType.F32, 1, 128)),
        new Kind("uint4 channel", plain(CodeType.UINT4, ScaleType.F16, 1, ALL)),
        new Kind("uint4 act-order", grouped(CodeType.UINT4, ScaleType.F16, 32, true, true)),
        new Kind("uint8 g64", plain(CodeType.UINT8, ScaleType.BF16, 1, 64)),
        new Kind("uint8 g32, zeros", grouped(CodeType.UINT8, ScaleType.F16, 32, true, false)),
        new Kind("uint8 g128, zeros", grouped(CodeType.UINT8, ScaleType.BF16, 128, true, false)),
        new Kind("uint8 channel, zeros", grouped(CodeType.UINT8, ScaleType.F32, ALL, true, false)),
        new Kind(
            "uint8 tensor, zeros",
            new QuantFormat(CodeType.UINT8, ScaleType.F32, ALL, ALL, true, false)),
        new Kind("uint8 act-order", grouped(CodeType.UINT8, ScaleType.BF16, 32, false, true)),
        new Kind("uint8 act-order, zeros", grouped(CodeType.UINT8, ScaleType.F16, 64, true, true)),
        new Kind(
                "uint8 act-order, equal groups",
                grouped(CodeType.UINT8, ScaleType.F16, 64, true, true))
            .with(Lists.EQUAL),
        new Kind(
                "uint4 act-order, equal groups, shared",
                grouped(CodeType.UINT4, ScaleType.BF16, 32, true, true))
            .with(Lists.SHARED),
        new Kind("nvfp4", plain(CodeType.E2M1, ScaleType.E4M3, 1, 16), 1, 0x1.6p-9),
        new Kind("nvfp4, reciprocal", plain(CodeType.E2M1, ScaleType.E4M3, 1, 16), 1, 1 / 811.0),
        new Kind("w4a8", plain(CodeType.UINT4, ScaleType.F32, 1, 128), 1, 1 / 3.0),
        new Kind("mxfp4", plain(CodeType.E2M1, ScaleType.E8M0, 1, 32)));
  }

  private static QuantFormat plain(CodeType codes, ScaleType scales, int rowSpan, int colSpan) {
    return QuantFormat.of(codes, scales, rowSpan, colSpan);
  }

  private static QuantFormat grouped(
      CodeType codes, ScaleType scales, int span, boolean zeros, boolean ordered) {
    return new QuantFormat(codes, scales, 1, span, zeros, ordered);
  }

  /** Codes of every value, subnormals included, and scales within a factor of 4. */
  public static QuantizedMatrix matrix(int rows, int cols, Kind kind, RandomTensors random) {
    QuantFormat format = kind.format();
    byte[] codes = new byte[(int) (rows * format.codes().bytes(cols))];
    for (int i = 0; i < codes.length; i++) {
      do {
        codes[i] = (byte) random.below(256);
      } while (format.codes() == CodeType.E4M3 && (codes[i] & 0x7F) == E4m3.NAN);
    }
    int count = (int) format.scaleCount(rows, cols);
    MemorySegment scales = MemorySegment.ofArray(new byte[count * format.scales().bytes()]);
    double typical =
        kind.size() / (spread(format.codes()) * Math.sqrt(Math.max(1, cols)) * kind.global());
    for (int i = 0; i < count; i++) {
      set(scales, format.scales(), i, (float) (typical * Math.pow(4, random.normals(1, 0.3)[0])));
    }
    byte[] zeros = new byte[format.zeros() ? count : 0];
    int most = 1 << format.codes().bits();
    for (int i = 0; i < zeros.length; i++) {
      // the least and the largest among them
      zeros[i] = (byte) (i < 2 ? i * (most - 1) : most / 4 + random.below(most / 2));
    }
    return new QuantizedMatrix(
        MemorySegment.ofArray(codes),
        format,
        rows,
        cols,
        scales,
        kind.global(),
        format.zeros() ? MemorySegment.ofArray(zeros) : null,
        format.ordered() ? groups(cols, kind, random) : null);
  }

  private static int[] groups(int cols, Kind kind, RandomTensors random) {
    int[] groups = new int[cols];
    for (int k = 0; k < cols; k++) {
      groups[k] =
          kind.lists() == Lists.ANY
              ? random.below(kind.format().groups(cols))
              : k / kind.format().colSpan();
    }
    for (int k = cols - 1; k > 0; k--) {
      int other = random.below(k + 1);
      int kept = groups[k];
      groups[k] = groups[other];
      groups[other] = kept;
    }
    return groups;
  }

  /** The matrix with the groups of another. */
  private static QuantizedMatrix like(QuantizedMatrix other, QuantizedMatrix w) {
    return new QuantizedMatrix(
        w.codes(),
        w.format(),
        w.rows(),
        w.cols(),
        w.scales(),
        w.global(),
        w.zerosOrNull(),
        other.groupOfOrNull());
  }

  /** Deviation of uniform codes. */
  private static double spread(CodeType codes) {
    return switch (codes) {
      case E4M3 -> 110;
      case INT8, UINT8 -> 74;
      case UINT4 -> 4.6;
      case E2M1 -> 2.9;
    };
  }

  private static void set(MemorySegment scales, ScaleType type, int index, float value) {
    switch (type) {
      case F32 -> DType.F32.set(scales, index, value);
      case BF16 -> DType.BF16.set(scales, index, value);
      case F16 -> DType.F16.set(scales, index, value);
      case E4M3 -> scales.set(ValueLayout.JAVA_BYTE, index, (byte) E4m3.encode(value));
      case E8M0 -> scales.set(ValueLayout.JAVA_BYTE, index, (byte) E8m0.encodeUp(value));
    }
  }

  /** A gated expert. */
  public static ExpertWeights expert(
      int hidden, int intermediate, boolean biases, Kind kind, RandomTensors random) {
    QuantizedMatrix gate = matrix(intermediate, hidden, kind, random);
    QuantizedMatrix up = matrix(intermediate, hidden, kind, random);
    return new ExpertWeights(
        gate,
        kind.lists() == Lists.SHARED ? like(gate, up) : up,
        matrix(hidden, intermediate, kind, random),
        biases ? random.normals(intermediate, 0.3) : null,
        biases ? random.normals(intermediate, 0.3) : null,
        biases ? random.normals(hidden, 0.3) : null);
  }
}

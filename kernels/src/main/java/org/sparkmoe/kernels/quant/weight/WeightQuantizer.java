package org.sparkmoe.kernels.quant.weight;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.SegmentAllocator;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.E2m1;
import org.sparkmoe.kernels.tensor.E4m3;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;

/**
 * Rounds a matrix to the nearest codes of a format. Weights that share a scale {@code s}:
 *
 * <pre>
 *   s = stored(amax / steps)                     amax: the largest magnitude among them
 *   code = clamp(round(w / s))                   half to even, saturating; the quotient in f32
 * </pre>
 *
 * <table>
 *   <caption>Formats</caption>
 *   <tr><th>format</th><th>steps</th><th>s is stored as</th><th>codes</th></tr>
 *   <tr><td>FP8 per 128 × 128</td><td>448</td><td>f32</td><td>e4m3, ±448</td></tr>
 *   <tr><td>FP8 per channel</td><td>448</td><td>f32</td><td>e4m3, ±448</td></tr>
 *   <tr><td>INT8 per channel</td><td>127</td><td>f32</td><td>−127 to 127</td></tr>
 *   <tr><td>UINT4 per group</td><td>7.5</td><td>bf16 or f16</td><td>0 to 15, 8 is zero</td></tr>
 *   <tr><td>NVFP4</td><td>6</td><td>e4m3, times the global scale</td><td>e2m1, ±6</td></tr>
 *   <tr><td>MXFP4</td><td>6</td><td>e8m0, the next power of two upwards</td><td>e2m1, ±6</td></tr>
 * </table>
 *
 * <p>Codes are rounded by the scale as stored. No scale is 0: where all weights are, it is 1, and
 * where they are tiny, the smallest that the type holds. Immutable.
 */
public final class WeightQuantizer {
  /** Rows and columns of a block of FP8. */
  public static final int FP8_BLOCK = 128;

  /** Columns that share an e4m3 scale in NVFP4. */
  public static final int NVFP4_GROUP = 16;

  /** Columns that share a power of two in MXFP4. */
  public static final int MXFP4_GROUP = 32;

  private final QuantFormat format;

  private WeightQuantizer(CodeType codes, ScaleType scales, int rowSpan, int colSpan) {
    this.format = QuantFormat.of(codes, scales, rowSpan, colSpan);
  }

  /** E4M3 with an f32 scale per 128 × 128 weights; blocks at the edges may be partial. */
  public static WeightQuantizer fp8PerBlock() {
    return new WeightQuantizer(CodeType.E4M3, ScaleType.F32, FP8_BLOCK, FP8_BLOCK);
  }

  /** E4M3 with an f32 scale per row. */
  public static WeightQuantizer fp8PerChannel() {
    return new WeightQuantizer(CodeType.E4M3, ScaleType.F32, 1, QuantFormat.ALL);
  }

  /** Symmetric INT8 with an f32 scale per row. */
  public static WeightQuantizer int8PerChannel() {
    return new WeightQuantizer(CodeType.INT8, ScaleType.F32, 1, QuantFormat.ALL);
  }

  /**
   * Symmetric 4-bit integers with a scale per {@code group} columns of a row.
   *
   * @param scales BF16 or F16
   */
  public static WeightQuantizer uint4PerGroup(int group, ScaleType scales) {
    if (scales != ScaleType.BF16 && scales != ScaleType.F16) {
      throw new IllegalArgumentException("scales of 4-bit groups are bf16 or f16, not " + scales);
    }
    return new WeightQuantizer(CodeType.UINT4, scales, 1, group);
  }

  /** E2M1 with an e4m3 scale per 16 columns of a row and a global scale. */
  public static WeightQuantizer nvfp4() {
    return new WeightQuantizer(CodeType.E2M1, ScaleType.E4M3, 1, NVFP4_GROUP);
  }

  /** E2M1 with a power of two per 32 columns of a row. */
  public static WeightQuantizer mxfp4() {
    return new WeightQuantizer(CodeType.E2M1, ScaleType.E8M0, 1, MXFP4_GROUP);
  }

  public QuantFormat format() {
    return format;
  }

  /**
   * The largest magnitude in a matrix, 0 where it is empty; not finite where one of its weights is
   * not.
   */
  public static float amax(Matrix matrix) {
    float amax = 0;
    float[] values = new float[matrix.cols()];
    for (int row = 0; row < matrix.rows(); row++) {
      Rows.read(matrix, row, values);
      for (float value : values) {
        amax = Math.max(amax, Math.abs(value));
      }
    }
    return amax;
  }

  /**
   * The reciprocal of the global scale of matrices whose largest magnitude is {@code amax}, as
   * checkpoints store it: {@code 448 · 6 / amax} in f32 for NVFP4, at most 2¹⁰⁰; 1 for formats
   * without.
   */
  public float inverseGlobal(float amax) {
    return format.scales() == ScaleType.E4M3 && amax > 0
        ? Math.min(E4m3.MAX * E2m1.MAX / amax, 0x1p100f)
        : 1;
  }

  /** As {@link #quantize(Matrix, float, SegmentAllocator)}, with a global scale of its own. */
  public QuantizedMatrix quantize(Matrix matrix, SegmentAllocator memory) {
    return quantize(matrix, inverseGlobal(amax(matrix)), memory);
  }

  /**
   * Quantizes a matrix of finite weights.
   *
   * @param inverseGlobal {@link #inverseGlobal} of it, or of several matrices that share one
   * @param memory takes codes and scales
   */
  public QuantizedMatrix quantize(Matrix matrix, float inverseGlobal, SegmentAllocator memory) {
    int rows = matrix.rows();
    int cols = matrix.cols();
    QuantizedMatrix result =
        new QuantizedMatrix(
            memory.allocate(rows * format.codes().bytes(cols), Long.BYTES),
            format,
            rows,
            cols,
            memory.allocate(format.scaleCount(rows, cols) * format.scales().bytes(), Long.BYTES),
            1 / (double) inverseGlobal,
            null,
            null);
    float[] values = new float[cols];
    float[] amax = new float[format.groups(cols)];
    byte[] line = new byte[Math.toIntExact(format.codes().bytes(cols))];
    int to;
    for (int from = 0; from < rows; from = to) {
      to = (int) Math.min(rows, (long) from + format.rowSpan());
      Arrays.fill(amax, 0);
      for (int row = from; row < to; row++) {
        Rows.read(matrix, row, values);
        measure(values, amax);
      }
      long first = (long) (from / format.rowSpan()) * amax.length;
      for (int group = 0; group < amax.length; group++) {
        Scales.store(format, amax[group], inverseGlobal, result.scales(), first + group);
      }
      for (int row = from; row < to; row++) {
        Rows.read(matrix, row, values);
        for (int group = 0; group < amax.length; group++) {
          encode(values, group, result.scale(row, group), line);
        }
        MemorySegment.copy(
            line, 0, result.codes(), ValueLayout.JAVA_BYTE, (long) row * line.length, line.length);
      }
    }
    return result;
  }

  private void measure(float[] values, float[] amax) {
    for (int group = 0; group < amax.length; group++) {
      int last = last(group, values.length);
      float most = amax[group];
      for (int i = first(group); i < last; i++) {
        most = Math.max(most, Math.abs(values[i]));
      }
      amax[group] = most;
    }
  }

  private void encode(float[] values, int group, float scale, byte[] line) {
    int first = first(group);
    int last = last(group, values.length);
    switch (format.codes()) {
      case E4M3 -> {
        for (int i = first; i < last; i++) {
          line[i] = (byte) E4m3.encode(values[i] / scale);
        }
      }
      case INT8 -> {
        for (int i = first; i < last; i++) {
          line[i] = (byte) Math.clamp(Math.rint(values[i] / scale), -127, 127);
        }
      }
      case UINT4 -> {
        for (int i = first; i < last; i++) {
          setHalf(line, i, (int) Math.clamp(Math.rint(values[i] / scale), -8, 7) + 8);
        }
      }
      case E2M1 -> {
        for (int i = first; i < last; i++) {
          setHalf(line, i, E2m1.encode(values[i] / scale));
        }
      }
      case UINT8 -> throw new AssertionError("no quantizer makes uint8");
    }
  }

  /** The lower half first: setting it clears the upper one of the row before. */
  private static void setHalf(byte[] line, int col, int code) {
    line[col / 2] = (byte) ((col & 1) == 0 ? code : line[col / 2] | (code << 4));
  }

  private int first(int group) {
    return (int) Math.min(Integer.MAX_VALUE, (long) group * format.colSpan());
  }

  private int last(int group, int cols) {
    return (int) Math.min(cols, (group + 1L) * format.colSpan());
  }
}

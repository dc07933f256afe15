package org.sparkmoe.kernels.gemm;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;

/**
 * Panels of codes, with a scale, and where the format has them a zero point, for each of the 32
 * outputs and each group of columns. Where a format shares a scale among rows, each row has a copy:
 * then panels need not begin where a scale does.
 *
 * <p>Bytes of four neighbouring columns stand together, so that a register of 32-bit integers holds
 * them for as many outputs as it has lanes. 8-bit codes of (panel, four columns) are 16 × 4 bytes
 * of the first half of the outputs, and then those of the other half. 4-bit ones are 16 × 4 bytes,
 * in pairs (n, n + 16), low half first. Int8 codes are shifted by 128, as if they were uint8.
 * 16-bit scales stand in pairs, too.
 *
 * @param codes panels × ⌈K / 4⌉ × 4 × 32 codes, and {@link #SLACK}
 * @param format of the codes and scales
 * @param rows N, output features
 * @param cols K, input features
 * @param scales panels × groups × 32 scales, as stored
 * @param global multiplies every scale
 * @param zerosOrNull panels × groups × 32 bytes and {@link #SLACK}, where the format has zero
 *     points
 * @param groupOfOrNull K ints, where the format is ordered
 * @param orderOrNull K ints, where columns are sorted: the value of x that each meets
 * @param scaleOfCodeOrNull the factor that a byte of a scale stands for, where {@link CodeFactors}
 *     would miss one by a bit
 * @param lift the power of two that factors are multiplied by, because {@link CodeValues} leaves
 *     codes that much smaller
 * @param bytes of all segments
 */
record CodePanels(
    MemorySegment codes,
    QuantFormat format,
    int rows,
    int cols,
    MemorySegment scales,
    double global,
    MemorySegment zerosOrNull,
    MemorySegment groupOfOrNull,
    MemorySegment orderOrNull,
    float[] scaleOfCodeOrNull,
    float lift,
    long bytes)
    implements PanelMatrix {
  /** Columns that stand together. */
  static final int QUAD = 4;

  /** Bytes past the last code, scale or zero point that a register may load. */
  static final int SLACK = 8;

  static final int WIDTH = Panels.WIDTH;

  /** Bytes of the codes of one panel and {@code cols} columns. */
  static long panelBytes(CodeType codes, int cols) {
    return (long) Math.ceilDiv(cols, QUAD) * QUAD * WIDTH * codes.bits() / 8;
  }

  /** Where the codes of the four columns with {@code k} start. */
  long byteOf(int panel, int k) {
    return panel * panelBytes(format.codes(), cols) + panelBytes(format.codes(), k / QUAD * QUAD);
  }

  /** Whether no four columns that stand together have different groups, or are less than four. */
  boolean hasWholeQuads() {
    int group = format.colSpan();
    return cols % QUAD == 0 && !format.ordered() && (group >= cols || group % QUAD == 0);
  }

  /** Whether there are steps that take codes of four columns together. */
  boolean knowsQuads() {
    return switch (format.codes()) {
      case E4M3 -> lift == CodeValues.E4M3_LIFT;
      case E2M1 -> CodeValues.E2M1_IN_HALVES;
      case INT8, UINT8, UINT4 -> true;
    };
  }

  /**
   * Whether the scale of a group multiplies the sum over its columns, instead of each weight: then
   * {@code c = fma(s, factor, c)}, with an s for each group that starts at +0.
   *
   * <p>Codes of e4m3 have to be lifted one by one anyway (see {@link CodeValues#e4m3}), and groups
   * of e2m1 are too short for sums of their own where rows are many. Columns of act-order that are
   * not sorted have a group each, and where quads are not whole, registers don't take them. What
   * decides is the format and K alone, so that a row has the same bits in a batch of any size.
   */
  boolean sumsGroups() {
    return switch (format.codes()) {
      case UINT4, INT8, UINT8 -> hasWholeQuads();
      case E2M1, E4M3 -> false;
    };
  }

  /** Columns of a group; the last may have fewer. */
  int groupCols() {
    return Math.max(1, Math.min(format.colSpan(), cols));
  }

  /** The group of column {@code k}. */
  int group(int k) {
    return groupOfOrNull == null
        ? k / format.colSpan()
        : groupOfOrNull.get(ValueLayout.JAVA_INT, (long) k * Integer.BYTES);
  }

  /** The column behind the run from {@code k} that has one group, {@code end} at most. */
  int runEnd(int k, int end) {
    int group = group(k);
    if (groupOfOrNull == null) {
      return (int) Math.min(end, (group + 1L) * format.colSpan());
    }
    int last = k + 1;
    while (last < end && group(last) == group) {
      last++;
    }
    return last;
  }
}

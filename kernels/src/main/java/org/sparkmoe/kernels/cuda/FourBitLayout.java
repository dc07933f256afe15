package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_BYTE;
import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteOrder;
import java.util.Locale;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/**
 * A matrix of four-bit codes as {@code fourbit.cu} reads it: units of 8 rows × 128 columns, whose
 * codes lie in the order of the registers that multiply them; then scales, f32 beside UINT4 and as
 * stored beside E2M1, then a zero point for each scale of UINT4, all in the order of units, rows
 * and groups, and last the 256 numbers that scales of E2M1 stand for. A group that spans several
 * units has its scale in each.
 *
 * @param rows N
 * @param cols K
 */
record FourBitLayout(QuantFormat format, int rows, int cols) implements WeightLayout {
  /** Columns of a unit. */
  static final int UNIT_COLS = 128;

  private static final int UNIT_ROWS = 8;
  private static final int ROW_BYTES = UNIT_COLS / 2;
  private static final int UNIT_BYTES = UNIT_ROWS * ROW_BYTES;
  private static final int WORDS = 4;
  private static final int LANES = 4;
  private static final int TABLE = 256;
  private static final ValueLayout.OfShort LE_SHORT =
      ValueLayout.JAVA_SHORT_UNALIGNED.withOrder(ByteOrder.LITTLE_ENDIAN);

  /** Whether the kernels of {@code fourbit.cu} multiply by weights of that format. */
  static boolean fits(QuantFormat format) {
    return !format.ordered() && span(format) > 0;
  }

  /** Columns of a unit that share a scale; 0 where the kernels have no such groups. */
  private static int span(QuantFormat format) {
    int cols = format.colSpan();
    return switch (format.codes()) {
      case UINT4 -> cols == 32 || cols == 64 ? cols : isWhole(cols) ? UNIT_COLS : 0;
      case E2M1 ->
          (cols == 16 || cols == 32) && format.scales().bytes() == 1 && !format.zeros() ? cols : 0;
      case E4M3, INT8, UINT8 -> 0;
    };
  }

  private static boolean isWhole(int cols) {
    return cols == QuantFormat.ALL || cols % UNIT_COLS == 0;
  }

  /** What the kernels for a format that fits are called. */
  static String kernels(QuantFormat format) {
    return "%s_%d".formatted(format.codes().name().toLowerCase(Locale.ROOT), span(format));
  }

  private boolean looksUp() {
    return format.codes() == CodeType.E2M1;
  }

  private int above() {
    return Math.ceilDiv(rows, UNIT_ROWS);
  }

  private int beside() {
    return Math.ceilDiv(cols, UNIT_COLS);
  }

  /** Groups of a row in a unit. */
  private int groups() {
    return UNIT_COLS / span(format);
  }

  private long units() {
    return (long) above() * beside();
  }

  private long scales() {
    return units() * UNIT_ROWS * groups();
  }

  private long scalesAt() {
    return units() * UNIT_BYTES;
  }

  private long zerosAt() {
    return scalesAt() + Gpu.aligned(looksUp() ? scales() : scales() * Float.BYTES);
  }

  private long tableAt() {
    return zerosAt() + Gpu.aligned(looksUp() ? 0 : scales());
  }

  @Override
  public long bytes() {
    return tableAt() + (looksUp() ? (long) TABLE * Float.BYTES : 0);
  }

  /** Struct {@code Units} of {@code fourbit.cu}. */
  @Override
  public MemorySegment argument(Arena arena) {
    return arena.allocateFrom(
        JAVA_INT,
        above(),
        beside(),
        Math.toIntExact(scalesAt()),
        Math.toIntExact(zerosAt()),
        Math.toIntExact(tableAt()));
  }

  @Override
  public MemorySegment image(QuantizedMatrix matrix, Arena arena) {
    MemorySegment image = arena.allocate(bytes(), Long.BYTES);
    MemorySegment line = MemorySegment.ofArray(new byte[beside() * ROW_BYTES]);
    long stored = format.codes().bytes(cols);
    for (int row = 0; row < rows; row++) {
      MemorySegment.copy(matrix.codes(), row * stored, line, 0, stored);
      for (int unit = 0; unit < beside(); unit++) {
        long at = (long) row / UNIT_ROWS * beside() + unit;
        codes(line, unit, image, at * UNIT_BYTES + (long) row % UNIT_ROWS * ROW_BYTES);
        scales(matrix, row, unit, image, (at * UNIT_ROWS + row % UNIT_ROWS) * groups());
      }
    }
    if (looksUp()) {
      byte[] every = new byte[TABLE];
      for (int code = 0; code < TABLE; code++) {
        every[code] = (byte) code;
        double scale = format.scales().get(MemorySegment.ofArray(every), code);
        image.set(JAVA_FLOAT, tableAt() + 4L * code, (float) (scale * matrix.global()));
      }
    }
    return image;
  }

  /** The codes of a row in a unit: word i of lane q at 4 q + i. */
  private static void codes(MemorySegment line, int unit, MemorySegment image, long to) {
    for (int i = 0; i < WORDS; i++) {
      for (int q = 0; q < LANES; q++) {
        long from = (long) unit * ROW_BYTES + 16L * i + 2L * q;
        int word = spread(line.get(LE_SHORT, from)) | spread(line.get(LE_SHORT, from + 8)) << 8;
        image.set(JAVA_INT, to + (q * WORDS + i) * 4L, word);
      }
    }
  }

  /** Of four codes the first and third to the lower half, the others to the upper one. */
  private static int spread(int codes) {
    return (codes & 0xF) | (codes & 0xF0) << 12 | (codes & 0xF00) >> 4 | (codes & 0xF000) << 8;
  }

  private void scales(QuantizedMatrix matrix, int row, int unit, MemorySegment image, long first) {
    for (int g = 0; g < groups(); g++) {
      // Padding belongs to the last group.
      int col = Math.min(unit * UNIT_COLS + g * span(format), cols - 1);
      int group = matrix.group(col);
      if (looksUp()) {
        long from = (long) (row / format.rowSpan()) * format.groups(cols) + group;
        image.set(JAVA_BYTE, scalesAt() + first + g, matrix.scales().get(JAVA_BYTE, from));
      } else {
        image.set(JAVA_FLOAT, scalesAt() + 4 * (first + g), matrix.scale(row, group));
        image.set(JAVA_BYTE, zerosAt() + first + g, (byte) matrix.zero(row, group));
      }
    }
  }
}

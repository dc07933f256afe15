package org.sparkmoe.kernels.gemm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Optional;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.ScaleType;

/** Brings quantized weights into {@link CodePanels}. */
final class CodePacker {
  private static final int WIDTH = Panels.WIDTH;
  private static final int HALF = WIDTH / 2;
  private static final int QUAD = CodePanels.QUAD;
  private static final long ALIGNMENT = 64;

  /** Columns transposed at once: short enough for the block to stay in the first-level cache. */
  private static final int BLOCK = 512;

  private CodePacker() {}

  /**
   * Bytes of each part, padded to cache lines.
   *
   * @param list an int for each column: its group, or its place in the matrix
   */
  private record Sizes(long codes, long scales, long zeros, long list) {
    static Sizes of(QuantFormat format, boolean listed, int rows, int cols) {
      long panels = Panels.count(rows);
      long scales = panels * format.groups(cols) * WIDTH;
      long codes = panels * CodePanels.panelBytes(format.codes(), cols);
      return new Sizes(
          padded(codes + CodePanels.SLACK),
          padded(scales * format.scales().bytes() + CodePanels.SLACK),
          format.zeros() ? padded(scales + CodePanels.SLACK) : 0,
          listed ? padded((long) cols * Integer.BYTES) : 0);
    }

    private static long padded(long bytes) {
      return Math.ceilDiv(bytes, ALIGNMENT) * ALIGNMENT;
    }

    long all() {
      return codes + scales + zeros + list;
    }
  }

  /** Bytes that {@link #pack} makes of an N × K matrix. */
  static long bytes(QuantFormat format, int rows, int cols) {
    return Sizes.of(format, format.ordered(), rows, cols).all();
  }

  /** Columns as they are. */
  static CodePanels pack(QuantizedMatrix w, Arena arena) {
    return pack(w, Optional.empty(), arena);
  }

  /** Columns in the order of their groups, which is that of {@code w}. */
  static CodePanels packSorted(QuantizedMatrix w, ColumnOrder order, Arena arena) {
    try (Arena scratch = Arena.ofConfined()) {
      QuantizedMatrix sorted = order.sort(w, scratch);
      return pack(sorted, Optional.of(order).filter(any -> !any.isNatural()), arena);
    }
  }

  private static CodePanels pack(QuantizedMatrix w, Optional<ColumnOrder> order, Arena arena) {
    boolean listed = w.format().ordered() || order.isPresent();
    Sizes sizes = Sizes.of(w.format(), listed, w.rows(), w.cols());
    MemorySegment memory = arena.allocate(sizes.all(), ALIGNMENT);
    MemorySegment codes = memory.asSlice(0, sizes.codes());
    MemorySegment scales = memory.asSlice(sizes.codes(), sizes.scales());
    MemorySegment zeros = memory.asSlice(sizes.codes() + sizes.scales(), sizes.zeros());
    MemorySegment list = memory.asSlice(sizes.all() - sizes.list(), sizes.list());
    for (int panel = 0; panel < Panels.count(w.rows()); panel++) {
      packCodes(w, panel, codes);
      packScales(w, panel, scales, zeros);
    }
    if (w.format().ordered()) {
      MemorySegment.copy(w.groupOfOrNull(), 0, list, ValueLayout.JAVA_INT, 0, w.cols());
    }
    order.ifPresent(columns -> columns.copyTo(list));
    float lift = lift(w);
    return new CodePanels(
        codes,
        w.format(),
        w.rows(),
        w.cols(),
        scales,
        w.global(),
        w.format().zeros() ? zeros : null,
        w.format().ordered() ? list : null,
        order.isPresent() ? list : null,
        needsNames(w) ? scaleOfCode(w, lift) : null,
        lift,
        sizes.all());
  }

  private static void packCodes(QuantizedMatrix w, int panel, MemorySegment codes) {
    CodeType type = w.format().codes();
    long rowBytes = type.bytes(w.cols());
    byte[] row = new byte[BLOCK];
    byte[] block = new byte[(int) CodePanels.panelBytes(type, BLOCK)];
    for (int k = 0; k < w.cols(); k += BLOCK) {
      int depth = Math.min(BLOCK, w.cols() - k);
      Arrays.fill(block, (byte) 0);
      for (int n = 0; n < rowsIn(w, panel); n++) {
        long from = (panel * WIDTH + n) * rowBytes + type.bytes(k);
        MemorySegment.copy(w.codes(), ValueLayout.JAVA_BYTE, from, row, 0, (int) type.bytes(depth));
        if (type.bits() == 4) {
          pair(row, depth, n, block);
        } else {
          spread(row, depth, n, type == CodeType.INT8 ? 0x80 : 0, block);
        }
      }
      long to = panel * CodePanels.panelBytes(type, w.cols()) + CodePanels.panelBytes(type, k);
      int bytes = (int) CodePanels.panelBytes(type, depth);
      MemorySegment.copy(block, 0, codes, ValueLayout.JAVA_BYTE, to, bytes);
    }
  }

  private static void spread(byte[] row, int depth, int n, int shift, byte[] block) {
    int first = n * QUAD;
    for (int i = 0; i < depth; i++) {
      block[i / QUAD * QUAD * WIDTH + first + i % QUAD] = (byte) (row[i] ^ shift);
    }
  }

  private static void pair(byte[] row, int depth, int n, byte[] block) {
    int shift = n < HALF ? 0 : 4;
    int first = n % HALF * QUAD;
    for (int i = 0; i < depth; i++) {
      int code = (row[i / 2] >>> ((i & 1) * 4)) & 0xF;
      block[i / QUAD * QUAD * HALF + first + i % QUAD] |= (byte) (code << shift);
    }
  }

  private static void packScales(
      QuantizedMatrix w, int panel, MemorySegment scales, MemorySegment zeros) {
    int groups = w.format().groups(w.cols());
    int size = w.format().scales().bytes();
    for (int n = 0; n < rowsIn(w, panel); n++) {
      int row = panel * WIDTH + n;
      // 16-bit scales stand in pairs, like 16-bit weights
      int place = size == Short.BYTES ? n % HALF * 2 + n / HALF : n;
      for (int group = 0; group < groups; group++) {
        long source = (long) (row / w.format().rowSpan()) * groups + group;
        long first = ((long) panel * groups + group) * WIDTH;
        MemorySegment.copy(w.scales(), source * size, scales, (first + place) * size, size);
        if (w.format().zeros()) {
          byte zero = w.zerosOrNull().get(ValueLayout.JAVA_BYTE, source);
          zeros.set(ValueLayout.JAVA_BYTE, first + n, zero);
        }
      }
    }
  }

  private static int rowsIn(QuantizedMatrix w, int panel) {
    return Math.min(WIDTH, w.rows() - panel * WIDTH);
  }

  /** {@link CodeValues#E4M3_LIFT} for e4m3, unless a scale is too large for it; else 1. */
  private static float lift(QuantizedMatrix w) {
    if (w.format().codes() != CodeType.E4M3) {
      return 1;
    }
    long count = w.format().scaleCount(w.rows(), w.cols());
    float most = 0;
    for (long i = 0; i < count; i++) {
      most = Math.max(most, factor(w.format().scales(), w.scales(), i, w.global()));
    }
    return most < Float.MAX_VALUE / CodeValues.E4M3_LIFT ? CodeValues.E4M3_LIFT : 1;
  }

  private static float factor(ScaleType type, MemorySegment scales, long index, double global) {
    return (float) (type.get(scales, index) * global);
  }

  /** Whether scales are bytes, and one of them has no factor that f32 arithmetic makes of it. */
  private static boolean needsNames(QuantizedMatrix w) {
    if (w.format().scales().bytes() > 1) {
      return false;
    }
    for (int code = 0; code < 256; code++) {
      float scale = (float) scale(w, code);
      if (Float.isFinite(scale) && !CodeFactors.isExact(scale, w.global())) {
        return true;
      }
    }
    return false;
  }

  private static double scale(QuantizedMatrix w, int code) {
    return w.format().scales().get(MemorySegment.ofArray(new byte[] {(byte) code}), 0);
  }

  private static float[] scaleOfCode(QuantizedMatrix w, float lift) {
    float[] factors = new float[256];
    for (int code = 0; code < factors.length; code++) {
      factors[code] = (float) (scale(w, code) * w.global()) * lift;
    }
    return factors;
  }
}

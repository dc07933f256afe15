package org.sparkmoe.kernels.gemm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;

/**
 * Brings weights into panels: output features in groups of 32, and within a group, for each k, the
 * 32 weights that meet x[k] side by side.
 *
 * <p>16-bit weights stand in pairs (0, 16), (1, 17), … (15, 31), low half first. A register of such
 * pairs, seen as 32-bit integers, widens into two registers of neighbouring columns with a shift
 * and a mask, on every register width.
 */
final class Panels {
  /** Output features of a panel. */
  static final int WIDTH = 32;

  private static final int HALF = WIDTH / 2;

  /** Columns transposed at once: short enough for the block to stay in the first-level cache. */
  private static final int BLOCK = 128;

  static final long ALIGNMENT = 64;

  private Panels() {}

  static int count(int rows) {
    return Math.ceilDiv(rows, WIDTH);
  }

  static PlainPanels pack(Matrix weight, Arena arena) {
    DType dtype = weight.dtype();
    long bytes = dtype.bytes((long) count(weight.rows()) * WIDTH * weight.cols());
    MemorySegment data = arena.allocate(bytes, ALIGNMENT);
    for (int panel = 0; panel < count(weight.rows()); panel++) {
      for (int k = 0; k < weight.cols(); k += BLOCK) {
        int depth = Math.min(BLOCK, weight.cols() - k);
        if (dtype == DType.F32) {
          packF32(weight, panel, k, depth, data);
        } else {
          packPairs(weight, panel, k, depth, data);
        }
      }
    }
    return new PlainPanels(data, dtype, weight.rows(), weight.cols());
  }

  private static void packF32(Matrix weight, int panel, int k, int depth, MemorySegment data) {
    float[] row = new float[depth];
    float[] block = new float[depth * WIDTH];
    for (int n = 0; n < rowsIn(weight, panel); n++) {
      long from = sourceByte(weight, panel * WIDTH + n, k);
      MemorySegment.copy(weight.data(), DType.LE_FLOAT, from, row, 0, depth);
      for (int i = 0; i < depth; i++) {
        block[i * WIDTH + n] = row[i];
      }
    }
    MemorySegment.copy(block, 0, data, DType.LE_FLOAT, panelByte(weight, panel, k), block.length);
  }

  private static void packPairs(Matrix weight, int panel, int k, int depth, MemorySegment data) {
    short[] row = new short[depth];
    int[] block = new int[depth * HALF];
    for (int n = 0; n < rowsIn(weight, panel); n++) {
      long from = sourceByte(weight, panel * WIDTH + n, k);
      MemorySegment.copy(weight.data(), DType.LE_SHORT, from, row, 0, depth);
      int shift = n < HALF ? 0 : 16;
      for (int i = 0; i < depth; i++) {
        block[i * HALF + n % HALF] |= Short.toUnsignedInt(row[i]) << shift;
      }
    }
    MemorySegment.copy(block, 0, data, DType.LE_INT, panelByte(weight, panel, k), block.length);
  }

  private static int rowsIn(Matrix weight, int panel) {
    return Math.min(WIDTH, weight.rows() - panel * WIDTH);
  }

  private static long sourceByte(Matrix weight, int row, int k) {
    return weight.dtype().bytes((long) row * weight.cols() + k);
  }

  private static long panelByte(Matrix weight, int panel, int k) {
    return byteOf(weight.dtype(), weight.cols(), panel, k);
  }

  /** A weight of any kind. */
  static PanelMatrix pack(Weight weight, Arena arena) {
    return switch (weight) {
      case Matrix matrix -> pack(matrix, arena);
      case QuantizedMatrix matrix -> CodePacker.pack(matrix, arena);
    };
  }

  /** Bytes that {@link #pack(Weight, Arena)} makes of an N × K matrix. */
  static long bytes(WeightFormat format, int rows, int cols) {
    return switch (format) {
      case DType dtype -> dtype.bytes((long) count(rows) * WIDTH * cols);
      case QuantFormat quantized -> CodePacker.bytes(quantized, rows, cols);
    };
  }

  /** Where the weights of (panel, k) start. */
  static long byteOf(DType dtype, int cols, int panel, int k) {
    return dtype.bytes(((long) panel * cols + k) * WIDTH);
  }
}

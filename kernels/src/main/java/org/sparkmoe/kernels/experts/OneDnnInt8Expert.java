package org.sparkmoe.kernels.experts;

import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.onednn.Int8Product;
import org.sparkmoe.kernels.onednn.RowBlocks;
import org.sparkmoe.kernels.quant.ActivationCodec;
import org.sparkmoe.kernels.quant.ActivationScheme;
import org.sparkmoe.kernels.quant.ActivationScheme.Codes;
import org.sparkmoe.kernels.quant.ActivationScheme.Granularity;
import org.sparkmoe.kernels.simd.Simd;
import org.sparkmoe.kernels.tensor.CodeType;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * An expert whose weights and rows are both int8, for oneDNN: codes are multiplied by codes, with
 * exact sums, and each sum by the scales of its row and its output.
 *
 * <p>Rows come as the f32 values that their codes decode to. Encoding those once more gives the
 * same codes, because the largest code of a row is always ±127 (or the scale is the plan's), and
 * the same scale to the last bit but one.
 *
 * @param upOrNull null where the activation is ungated
 * @param input how rows of X were quantized
 * @param inner how the intermediate is
 */
record OneDnnInt8Expert(
    Projection gate,
    Projection upOrNull,
    Projection down,
    Activation activation,
    ActivationCodec input,
    ActivationCodec inner)
    implements PreparedExpert {

  /**
   * One projection.
   *
   * @param codes N × K, packed
   * @param scales of the N outputs
   * @param biasOrNull N values
   */
  record Projection(
      Int8Product product,
      MemorySegment codes,
      float[] scales,
      float[] biasOrNull,
      int rows,
      int cols) {

    static Projection of(QuantizedMatrix w, float[] biasOrNull, Arena arena) {
      Int8Product product = Int8Product.of(w.rows(), w.cols());
      float[] scales = new float[w.rows()];
      for (int n = 0; n < scales.length; n++) {
        scales[n] = w.scale(n, 0);
      }
      return new Projection(
          product, product.pack(w.codes(), arena), scales, biasOrNull, w.rows(), w.cols());
    }

    /** Of the sums of a row for a panel of outputs, their values. */
    void finish(int[] sums, int panel, float rowScale, float[] to, int at) {
      int first = product.firstOutput(panel);
      int count = product.outputs(panel);
      for (int i = 0; i < count; i++) {
        to[at + i] = sums[i] * (rowScale * scales[first + i]);
      }
      if (biasOrNull != null) {
        for (int i = 0; i < count; i++) {
          to[at + i] += biasOrNull[first + i];
        }
      }
    }
  }

  /** Whether a weight is of the kind whose products with {@code rows} are sums of codes. */
  static boolean multiplies(Weight weight, ActivationCodec rows) {
    return multiplies(weight.format(), weight.cols(), rows.scheme());
  }

  /** As above, for some rows of int8. */
  static boolean holds(WeightFormat format, int cols) {
    return multiplies(format, cols, ActivationScheme.int8(Granularity.TOKEN));
  }

  private static boolean multiplies(WeightFormat format, int cols, ActivationScheme rows) {
    boolean scaledByRow =
        rows.granularity() == Granularity.TOKEN || rows.granularity() == Granularity.TENSOR;
    return rows.codes() == Codes.INT8
        && scaledByRow
        && cols <= Int8Product.MOST_COLS
        && format instanceof QuantFormat quant
        && quant.codes() == CodeType.INT8
        && quant.groups(cols) == 1
        && !quant.zeros()
        && !quant.ordered();
  }

  /** Values of workspace for {@code rows} rows. */
  static long workspaceValues(int rows, int hidden, int intermediate) {
    long block = RowBlocks.size(Math.clamp(rows, 1, RowBlocks.MOST));
    return codeValues(block, Math.max(hidden, intermediate))
        + block
        + block * intermediate
        + 2 * block * Int8Product.PANEL;
  }

  private static long codeValues(long rows, int cols) {
    return Math.ceilDiv(rows * cols, Float.BYTES);
  }

  /** Computes rows × H from rows × H, f32. */
  void forward(int rows, MemorySegment x, MemorySegment y, Workspace ws) {
    int mark = ws.mark();
    int block = RowBlocks.size(Math.clamp(rows, 1, RowBlocks.MOST));
    Buffers buffers =
        new Buffers(
            ws.nativeSegment(codeValues(block, Math.max(hidden(), intermediate()))),
            ws.nativeSegment(block),
            ws.nativeSegment((long) block * intermediate()),
            ws.nativeSegment((long) block * Int8Product.PANEL),
            ws.nativeSegment((long) block * Int8Product.PANEL),
            new int[Int8Product.PANEL],
            new float[2 * Simd.padded(Int8Product.PANEL)]);
    for (int from = 0; from < rows; from += RowBlocks.MOST) {
      int count = Math.min(RowBlocks.MOST, rows - from);
      long row = DType.F32.bytes(hidden());
      forward(count, x.asSlice(from * row, count * row), y.asSlice(from * row), buffers);
    }
    ws.release(mark);
  }

  /**
   * Memory of a call.
   *
   * @param codes of a block of rows
   * @param scales of its rows
   * @param wide rows × I f32
   * @param gateSums rows × outputs of a panel, int32
   * @param upSums likewise
   * @param sums of one row
   * @param values of one row: the gate's, and the other projection's
   */
  private record Buffers(
      MemorySegment codes,
      MemorySegment scales,
      MemorySegment wide,
      MemorySegment gateSums,
      MemorySegment upSums,
      int[] sums,
      float[] values) {}

  private void forward(int count, MemorySegment x, MemorySegment y, Buffers b) {
    int size = RowBlocks.size(count);
    encode(input, count, size, hidden(), x, b);
    Int8Product product = gate.product();
    for (int panel = 0; panel < product.panels(); panel++) {
      product.run(panel, size, b.codes(), gate.codes(), b.gateSums());
      if (upOrNull != null) {
        product.run(panel, size, b.codes(), upOrNull.codes(), b.upSums());
      }
      activate(panel, count, b);
    }
    encode(inner, count, size, intermediate(), b.wide(), b);
    for (int panel = 0; panel < down.product().panels(); panel++) {
      down.product().run(panel, size, b.codes(), down.codes(), b.gateSums());
      int outputs = down.product().outputs(panel);
      for (int row = 0; row < count; row++) {
        take(b.gateSums(), row, outputs, b.sums());
        down.finish(b.sums(), panel, DType.F32.get(b.scales(), row), b.values(), 0);
        long to = (long) row * hidden() + down.product().firstOutput(panel);
        MemorySegment.copy(b.values(), 0, y, DType.LE_FLOAT, DType.F32.bytes(to), outputs);
      }
    }
  }

  /** Rows that only fill the block up become zeros. */
  private static void encode(
      ActivationCodec codec, int count, int size, int width, MemorySegment rows, Buffers b) {
    MemorySegment codes = b.codes();
    codec.encode(count, width, rows, codes, b.scales());
    long bytes = (long) count * width;
    codes.asSlice(bytes, (long) size * width - bytes).fill((byte) 0);
    if (codec.scheme().granularity() == Granularity.TENSOR) {
      tensorScales(codec.tensorScale(), count, width, rows, b.scales());
    }
  }

  /** A code cannot be NaN; a row with one has NaN for its scale instead. */
  private static void tensorScales(
      float scale, int count, int width, MemorySegment rows, MemorySegment scales) {
    float[] row = new float[width];
    for (int i = 0; i < count; i++) {
      MemorySegment.copy(
          rows, DType.LE_FLOAT, DType.F32.bytes((long) i * width), row, 0, row.length);
      boolean nan = false;
      for (float value : row) {
        nan |= Float.isNaN(value);
      }
      DType.F32.set(scales, i, nan ? Float.NaN : scale);
    }
  }

  private void activate(int panel, int count, Buffers b) {
    int outputs = gate.product().outputs(panel);
    int first = gate.product().firstOutput(panel);
    int up = Simd.padded(Int8Product.PANEL);
    float[] values = b.values();
    for (int row = 0; row < count; row++) {
      float scale = DType.F32.get(b.scales(), row);
      take(b.gateSums(), row, outputs, b.sums());
      gate.finish(b.sums(), panel, scale, values, 0);
      if (upOrNull != null) {
        take(b.upSums(), row, outputs, b.sums());
        upOrNull.finish(b.sums(), panel, scale, values, up);
      }
      VectorActivation.apply(activation, values, 0, up, outputs);
      long to = (long) row * intermediate() + first;
      MemorySegment.copy(values, 0, b.wide(), DType.LE_FLOAT, DType.F32.bytes(to), outputs);
    }
  }

  private static void take(MemorySegment sums, int row, int outputs, int[] to) {
    MemorySegment.copy(sums, JAVA_INT, (long) row * outputs * Integer.BYTES, to, 0, outputs);
  }

  @Override
  public int hidden() {
    return gate.cols();
  }

  @Override
  public int intermediate() {
    return gate.rows();
  }

  @Override
  public long computedRows(int rows) {
    return RowBlocks.computed(rows);
  }

  @Override
  public long bytes() {
    return gate.product().bytes()
        + down.product().bytes()
        + (upOrNull == null ? 0 : upOrNull.product().bytes());
  }
}

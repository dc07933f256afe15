package org.sparkmoe.datasets.checkpoint.write;

import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import org.sparkmoe.datasets.safetensors.SafetensorsDType;
import org.sparkmoe.kernels.tensor.QuantFormat;
import org.sparkmoe.kernels.tensor.QuantizedMatrix;

/** The tensors that one quantized linear module becomes: codes, scales, and what a format adds. */
final class LinearStore {
  /** {@code weight_shape}: rows and columns before packing. */
  static final Field SHAPE =
      new Field(
          ".weight_shape",
          SafetensorsDType.I64,
          (format, rows, cols) -> new long[] {2},
          weight ->
              MemorySegment.ofArray(
                  bytes(2 * Long.BYTES).putLong(weight.rows()).putLong(weight.cols()).array()));

  /** {@code weight_global_scale}: what weights are divided by. */
  static final Field INVERSE_GLOBAL =
      new Field(
          ".weight_global_scale",
          SafetensorsDType.F32,
          (format, rows, cols) -> new long[] {1},
          weight ->
              MemorySegment.ofArray(
                  bytes(Float.BYTES).putFloat((float) (1 / weight.global())).array()));

  private final List<Field> fields;

  private LinearStore(List<Field> fields) {
    this.fields = fields;
  }

  /** Wide elements first, so that each tensor starts at a multiple of its element's size. */
  static LinearStore of(Field... fields) {
    return new LinearStore(
        Arrays.stream(fields)
            .sorted(Comparator.comparingInt(field -> -field.dtype().bits()))
            .toList());
  }

  /**
   * One tensor of a module.
   *
   * @param suffix what follows the module's name
   * @param dtype element type in the file
   */
  record Field(String suffix, SafetensorsDType dtype, Shape shape, Data data) {

    /** The codes row by row, in elements of {@code dtype}. */
    static Field codes(String suffix, SafetensorsDType dtype) {
      return new Field(
          suffix,
          dtype,
          (format, rows, cols) ->
              new long[] {rows, (long) cols * format.codes().bits() / dtype.bits()},
          QuantizedMatrix::codes);
    }

    /** The grid of scales. */
    static Field scales(String suffix, SafetensorsDType dtype) {
      return new Field(
          suffix,
          dtype,
          (format, rows, cols) ->
              new long[] {Math.ceilDiv(rows, format.rowSpan()), format.groups(cols)},
          QuantizedMatrix::scales);
    }
  }

  /** The shape of a tensor of a module of rows × cols. */
  interface Shape {
    long[] of(QuantFormat format, int rows, int cols);
  }

  /** The data of a tensor. */
  interface Data {
    MemorySegment of(QuantizedMatrix weight);
  }

  /** The tensors of a module. */
  List<Entry> entries(String module, QuantFormat format, int rows, int cols) {
    return fields.stream()
        .map(
            field ->
                new Entry(
                    module + field.suffix(), field.dtype(), field.shape().of(format, rows, cols)))
        .toList();
  }

  /** Their data, in the same order. */
  List<MemorySegment> data(QuantizedMatrix weight) {
    return fields.stream().map(field -> field.data().of(weight)).toList();
  }

  private static ByteBuffer bytes(int count) {
    return ByteBuffer.allocate(count).order(ByteOrder.LITTLE_ENDIAN);
  }
}

package org.sparkmoe.kernels.tensor;

import java.lang.foreign.MemorySegment;

/**
 * A row-major matrix in its stored width: the weight of a linear map {@code y = x Wᵀ}, rows are
 * outputs, columns inputs.
 *
 * @param data exactly {@code rows × cols} elements, little-endian; borrowed, its owner decides how
 *     long it lives
 * @param dtype element type
 * @param rows output features
 * @param cols input features
 */
public record Matrix(MemorySegment data, DType dtype, int rows, int cols) implements Weight {

  public Matrix {
    if (rows < 0 || cols < 0) {
      throw new IllegalArgumentException("matrix of " + rows + " x " + cols);
    }
    long expected = dtype.bytes((long) rows * cols);
    if (data.byteSize() != expected) {
      throw new IllegalArgumentException(
          "a %d x %d matrix of %s takes %d bytes, not %d"
              .formatted(rows, cols, dtype, expected, data.byteSize()));
    }
  }

  /** A matrix over a copy of {@code values}, row-major f32, on the heap. */
  public static Matrix of(int rows, int cols, float... values) {
    return new Matrix(MemorySegment.ofArray(values.clone()), DType.F32, rows, cols);
  }

  @Override
  public DType format() {
    return dtype;
  }

  @Override
  public double value(int row, int col) {
    return get(row, col);
  }

  /** The element at (row, col), widened to f32. */
  public float get(int row, int col) {
    return dtype.get(data, (long) row * cols + col);
  }

  @Override
  public long bytes() {
    return data.byteSize();
  }
}

package org.sparkmoe.datasets.safetensors;

import java.util.Arrays;

/**
 * A tensor as a file's header describes it; the header has been checked.
 *
 * @param name as in the header
 * @param dtype element type
 * @param shape outermost dimension first, empty for a scalar; do not modify
 * @param begin first byte, counted from the start of the file
 * @param end byte after the last, counted from the start of the file
 */
public record TensorInfo(String name, SafetensorsDType dtype, long[] shape, long begin, long end) {

  /** Bytes of data. */
  public long bytes() {
    return end - begin;
  }

  /** Whether the shape is exactly {@code expected}. */
  public boolean hasShape(long... expected) {
    return Arrays.equals(shape, expected);
  }

  /** For messages: {@code BF16 [8, 64]}. */
  public String typeAndShape() {
    return dtype + " " + Arrays.toString(shape);
  }
}

package org.sparkmoe.datasets.checkpoint.write;

import org.sparkmoe.datasets.safetensors.SafetensorsDType;

/**
 * A tensor to be written.
 *
 * @param name in the file
 * @param dtype element type
 * @param shape outermost dimension first; do not modify
 */
record Entry(String name, SafetensorsDType dtype, long... shape) {

  /** Bytes of data. */
  long bytes() {
    long elements = 1;
    for (long dimension : shape) {
      elements = Math.multiplyExact(elements, dimension);
    }
    return elements * dtype.bits() / 8;
  }
}

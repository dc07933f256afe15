package org.sparkmoe.datasets.checkpoint.quant;

import java.lang.foreign.MemorySegment;

/** The data of tensors, by name. */
public interface TensorBytes {

  /**
   * Fills {@code to} with the tensor's bytes from {@code first} on.
   *
   * @throws org.sparkmoe.datasets.InputException if the file cannot be read
   */
  void read(String tensor, long first, MemorySegment to);

  /** How messages name the tensor, with its file. */
  String label(String tensor);
}

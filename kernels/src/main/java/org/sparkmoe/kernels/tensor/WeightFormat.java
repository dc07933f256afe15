package org.sparkmoe.kernels.tensor;

import java.io.Serializable;

/** How the elements of a weight matrix are stored: plainly, or as codes with scales. */
public sealed interface WeightFormat extends Serializable permits DType, QuantFormat {

  /** Bytes of a matrix of {@code rows} × {@code cols}: elements, or codes, scales and the like. */
  long bytes(int rows, int cols);

  /** The name in plans and messages, for example {@code bf16} or {@code uint4 per 1x128}. */
  String label();
}

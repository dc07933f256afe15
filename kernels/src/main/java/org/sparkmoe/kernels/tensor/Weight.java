package org.sparkmoe.kernels.tensor;

/**
 * The weight of a linear map {@code y = x Wᵀ} as its checkpoint stores it: rows are outputs,
 * columns inputs.
 */
public sealed interface Weight permits Matrix, QuantizedMatrix {

  /** Output features, N. */
  int rows();

  /** Input features, K. */
  int cols();

  /** How the elements are stored. */
  WeightFormat format();

  /** The exact value of the element at (row, col), as far as an f64 holds it. */
  double value(int row, int col);

  /** Bytes held. */
  long bytes();
}

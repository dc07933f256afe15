package org.sparkmoe.kernels.gemm;

import org.sparkmoe.kernels.tensor.Weight;

/**
 * A copy of a weight as its checkpoint stores it, N × K.
 *
 * @param weight the copy
 */
public record StoredMatrix(Weight weight) implements PackedMatrix {

  @Override
  public int rows() {
    return weight.rows();
  }

  @Override
  public int cols() {
    return weight.cols();
  }

  @Override
  public long bytes() {
    return weight.bytes();
  }
}

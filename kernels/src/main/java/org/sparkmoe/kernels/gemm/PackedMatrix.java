package org.sparkmoe.kernels.gemm;

/** A weight matrix in the order in which a {@link Gemm} reads it, in its stored width. */
public sealed interface PackedMatrix permits StoredMatrix, PanelMatrix, TileMatrix {

  /** N, output features. */
  int rows();

  /** K, input features. */
  int cols();

  /** Bytes held. */
  long bytes();

  /**
   * {@code matrix} as what a kernel packs.
   *
   * @throws IllegalArgumentException for a matrix that another kernel packed
   */
  static <T extends PackedMatrix> T as(Class<T> order, PackedMatrix matrix) {
    if (!order.isInstance(matrix)) {
      throw new IllegalArgumentException(
          "weights packed as %s, this kernel reads %s; pack them with the kernel that multiplies"
              .formatted(matrix.getClass().getSimpleName(), order.getSimpleName()));
    }
    return order.cast(matrix);
  }
}

package org.sparkmoe.kernels.gemm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.sparkmoe.kernels.tensor.Weight;
import org.sparkmoe.kernels.tensor.WeightFormat;
import org.sparkmoe.kernels.tensor.Workspace;

/**
 * The product {@code Y = X Wᵀ + b}. A row of Y depends on its own row of X only: neither the number
 * of rows in a call nor a row's position changes one bit of it. Thread-safe.
 */
public sealed interface Gemm permits ScalarGemm, VectorGemm, OneDnnGemm {

  /**
   * Brings a weight matrix into the order this implementation reads.
   *
   * @param arena owns the copy; shared where several threads multiply
   */
  PackedMatrix pack(Weight weight, Arena arena);

  /** Bytes that {@link #pack} makes of an N × K matrix, at most. */
  long packedBytes(WeightFormat format, int rows, int cols);

  /**
   * Workspace of {@link #multiply}.
   *
   * @param rows M, at most
   * @param cols K, input features
   */
  long workspaceBytes(int rows, int cols);

  /**
   * Computes {@code Y = X Wᵀ + b}.
   *
   * @param rows M, may be 0
   * @param x M × K, row-major f32 little-endian; longer segments are fine
   * @param w N × K, packed by this implementation
   * @param biasOrNull N values, added after the sum over K
   * @param out M × N, row-major f32 little-endian, must not overlap x
   * @param ws at least {@link #workspaceBytes} free
   */
  void multiply(
      int rows,
      MemorySegment x,
      PackedMatrix w,
      float[] biasOrNull,
      MemorySegment out,
      Workspace ws);
}

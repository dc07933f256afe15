package org.sparkmoe.kernels.gemm;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import jdk.incubator.vector.FloatVector;
import org.sparkmoe.kernels.tensor.DType;

/**
 * Columns of a panel that have one group and are to be unpacked.
 *
 * @param codes of the matrix
 * @param from byte of the four columns with the run's first
 * @param first the run's first column of those
 * @param depth columns
 * @param scales holds 32 factors from byte {@code scalesByte}, or ones
 * @param factors holds {@link CodeFactors#VALUES}
 * @param at byte of the first of them
 * @param to receives depth rows of 32 f32
 * @param toByte of the first
 * @param stride bytes from one row to the next
 */
record ColumnRun(
    MemorySegment codes,
    long from,
    int first,
    int depth,
    MemorySegment scales,
    long scalesByte,
    MemorySegment factors,
    long at,
    MemorySegment to,
    long toByte,
    long stride) {
  /** Bytes from a group's factors to its zero points. */
  private static final long ZEROS = Panels.WIDTH * Float.BYTES;

  /** 32 factors that change nothing. */
  private static final MemorySegment ONES = ones();

  /**
   * Columns {@code k} to {@code k + depth}.
   *
   * @param scaled whether codes are multiplied by their factors
   */
  static ColumnRun of(
      CodePanels w,
      int panel,
      int k,
      int depth,
      boolean scaled,
      MemorySegment factors,
      long at,
      MemorySegment to,
      long toByte,
      long stride) {
    return new ColumnRun(
        w.codes(),
        w.byteOf(panel, k),
        k % CodePanels.QUAD,
        depth,
        scaled ? factors : ONES,
        scaled ? at : 0,
        factors,
        at,
        to,
        toByte,
        stride);
  }

  /** What codes of outputs from {@code lane} are multiplied by. */
  FloatVector factor(int lane) {
    return CodeValues.load(scales, scalesByte + (long) lane * Float.BYTES);
  }

  /** What is subtracted from them first. */
  FloatVector zero(int lane) {
    return CodeValues.load(factors, at + ZEROS + (long) lane * Float.BYTES);
  }

  /** Whether it begins and ends with four columns that stand together. */
  boolean isOfQuads() {
    return first == 0 && depth % CodePanels.QUAD == 0;
  }

  private static MemorySegment ones() {
    MemorySegment ones = Arena.global().allocate(Panels.WIDTH * Float.BYTES, Panels.ALIGNMENT);
    for (int n = 0; n < Panels.WIDTH; n++) {
      DType.F32.set(ones, n, 1);
    }
    return ones;
  }
}

package org.sparkmoe.kernels.combine;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.sparkmoe.kernels.tensor.DType;

/**
 * The weighted sum over the slots of one token, for those who hold its rows in several places: the
 * arithmetic of {@link WeightAndReduce}, slot by slot in the order of the calls. One thread at a
 * time.
 */
public final class SlotAccumulator {
  private final float[] sum;
  private final float[] row;

  /** Sums of {@code hidden} values. */
  public SlotAccumulator(int hidden) {
    this.sum = new float[hidden];
    this.row = new float[hidden];
  }

  /** Starts a token, at +0. */
  public void clear() {
    Arrays.fill(sum, 0);
  }

  /**
   * Adds the token's next slot.
   *
   * @param rows n × H f32
   * @param index of the slot's row among them
   */
  public void add(float weight, MemorySegment rows, long index) {
    long from = DType.F32.bytes(index * row.length);
    MemorySegment.copy(rows, DType.LE_FLOAT, from, row, 0, row.length);
    for (int h = 0; h < sum.length; h++) {
      sum[h] += weight * row[h];
    }
  }

  /** Stores the sum as row {@code index} of {@code out}, n × H f32. */
  public void store(MemorySegment out, long index) {
    long to = DType.F32.bytes(index * sum.length);
    MemorySegment.copy(sum, 0, out, DType.LE_FLOAT, to, sum.length);
  }
}

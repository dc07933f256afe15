package org.sparkmoe.kernels.combine;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.sparkmoe.kernels.tensor.DType;

/**
 * The weighted sum over the slots of one token, with the arithmetic of {@link WeightAndReduce}, for
 * those who hold its rows in several places and in any order. One thread at a time.
 */
public final class TokenSum {
  private static final int FIRST_SLOTS = 8;

  private final ExpertTree tree = new ExpertTree();
  private final float[] row;

  /** Sums that wait for what stands on their right, the newest last. */
  private float[][] sums = new float[2][];

  private int count;
  private int[] experts = new int[FIRST_SLOTS];
  private float[] weights = new float[FIRST_SLOTS];
  private MemorySegment[] sources = new MemorySegment[FIRST_SLOTS];
  private long[] indices = new long[FIRST_SLOTS];

  /** Sums of {@code hidden} values. */
  public TokenSum(int hidden) {
    this.row = new float[hidden];
  }

  /** Starts a token. */
  public void clear() {
    Arrays.fill(sources, 0, count, null);
    count = 0;
  }

  /**
   * Takes a slot, or a sum over the slots of several experts of a subtree of {@link ExpertTree},
   * with any of them for its expert.
   *
   * @param rows n × H f32, unchanged until {@link #store}
   * @param index of the slot's row among them
   */
  public void add(int expert, float weight, MemorySegment rows, long index) {
    if (count == experts.length) {
      grow();
    }
    // by insertion: slots are few
    int at = count++;
    for (; at > 0 && experts[at - 1] > expert; at--) {
      experts[at] = experts[at - 1];
      weights[at] = weights[at - 1];
      sources[at] = sources[at - 1];
      indices[at] = indices[at - 1];
    }
    experts[at] = expert;
    weights[at] = weight;
    sources[at] = rows;
    indices[at] = index;
  }

  private void grow() {
    experts = Arrays.copyOf(experts, 2 * count);
    weights = Arrays.copyOf(weights, 2 * count);
    sources = Arrays.copyOf(sources, 2 * count);
    indices = Arrays.copyOf(indices, 2 * count);
  }

  /** Stores the sum, 0 where nothing was added, as row {@code index} of {@code out}, n × H f32. */
  public void store(MemorySegment out, long index) {
    float[] total = sum();
    MemorySegment.copy(
        total, 0, out, DType.LE_FLOAT, DType.F32.bytes(index * row.length), row.length);
  }

  private float[] sum() {
    if (count == 0) {
      Arrays.fill(row, 0);
      return row;
    }
    tree.clear();
    int open = 0;
    for (int i = 0; i < count; i++) {
      int met = tree.pass(experts[i], i + 1 < count ? experts[i + 1] : ExpertTree.END);
      load(i);
      if (met == 0) {
        multiply(weights[i], row, waiting(open++));
        continue;
      }
      addProduct(weights[i], row, sums[open - 1]);
      for (; met > 1; met--) {
        open--;
        add(sums[open], sums[open - 1]);
      }
    }
    return sums[0];
  }

  private void load(int i) {
    long from = DType.F32.bytes(indices[i] * row.length);
    MemorySegment.copy(sources[i], DType.LE_FLOAT, from, row, 0, row.length);
  }

  private float[] waiting(int at) {
    if (at == sums.length) {
      sums = Arrays.copyOf(sums, 2 * at);
    }
    if (sums[at] == null) {
      sums[at] = new float[row.length];
    }
    return sums[at];
  }

  private static void multiply(float weight, float[] row, float[] product) {
    for (int h = 0; h < product.length; h++) {
      product[h] = weight * row[h];
    }
  }

  private static void addProduct(float weight, float[] row, float[] sum) {
    for (int h = 0; h < sum.length; h++) {
      sum[h] += weight * row[h];
    }
  }

  private static void add(float[] right, float[] left) {
    for (int h = 0; h < left.length; h++) {
      left[h] += right[h];
    }
  }
}

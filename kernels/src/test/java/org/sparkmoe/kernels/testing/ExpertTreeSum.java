package org.sparkmoe.kernels.testing;

import java.util.Optional;

/**
 * The definition of the order in which slots are summed, node by node of the binary tree of expert
 * ids.
 */
public final class ExpertTreeSum {
  /** Ids have 31 bits. */
  private static final int ROOT = 31;

  private final int[] experts;
  private final float[][] products;

  private ExpertTreeSum(int[] experts, float[][] products) {
    this.experts = experts;
    this.products = products;
  }

  /**
   * {@code Σ_slots weight · row}, each product rounded first.
   *
   * @param experts by slot, each of them once
   * @param rows by slot
   */
  public static float[] sum(int[] experts, float[] weights, float[][] rows) {
    float[][] products = new float[experts.length][];
    for (int slot = 0; slot < experts.length; slot++) {
      products[slot] = rows[slot].clone();
      for (int h = 0; h < products[slot].length; h++) {
        products[slot][h] *= weights[slot];
      }
    }
    return new ExpertTreeSum(experts, products).sum(ROOT, 0).orElseThrow();
  }

  /** Over the experts whose id, without its last {@code level} bits, is {@code prefix}. */
  private Optional<float[]> sum(int level, int prefix) {
    if (level == 0) {
      for (int slot = 0; slot < experts.length; slot++) {
        if (experts[slot] == prefix) {
          return Optional.of(products[slot]);
        }
      }
      return Optional.empty();
    }
    if (!chosen(level, prefix)) {
      return Optional.empty();
    }
    Optional<float[]> left = sum(level - 1, 2 * prefix);
    Optional<float[]> right = sum(level - 1, 2 * prefix + 1);
    if (left.isEmpty() || right.isEmpty()) {
      return left.or(() -> right);
    }
    float[] total = left.get().clone();
    for (int h = 0; h < total.length; h++) {
      total[h] += right.get()[h];
    }
    return Optional.of(total);
  }

  private boolean chosen(int level, int prefix) {
    for (int expert : experts) {
      if (expert >>> level == prefix) {
        return true;
      }
    }
    return false;
  }
}

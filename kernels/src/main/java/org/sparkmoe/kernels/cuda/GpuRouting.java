package org.sparkmoe.kernels.cuda;

import static java.lang.foreign.ValueLayout.JAVA_DOUBLE;
import static java.lang.foreign.ValueLayout.JAVA_INT;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/**
 * A routing rule as {@code choice.cu} numbers it.
 *
 * @param experts E
 * @param topK k
 * @param scoring 0 softmax, 1 sigmoid, 2 the logits themselves
 * @param groups of experts; 1 without a limit
 * @param kept groups that stay
 * @param groupScore 0 the best expert of a group, 1 the sum of the two best
 * @param normalization 0 none, 1 softmax, 2 sigmoid, 3 by the sum, 4 by the norm
 * @param epsilon added to the sum, or the p of the norm
 * @param floor smallest sum
 * @param scaling last factor of the weights
 */
public record GpuRouting(
    int experts,
    int topK,
    int scoring,
    int groups,
    int kept,
    int groupScore,
    int normalization,
    double epsilon,
    double floor,
    double scaling) {
  /** Experts whose scores fit into the shared memory of every GPU, with what selection needs. */
  public static final int MOST_EXPERTS = 512;

  private static final int INTS = 8;
  private static final int DOUBLES = 3;

  /** The structure {@code Rule}. */
  MemorySegment argument(Arena arena) {
    MemorySegment rule =
        arena.allocate(INTS * Integer.BYTES + DOUBLES * Double.BYTES, Double.BYTES);
    int[] numbers = {experts, topK, scoring, groups, kept, groupScore, normalization, 0};
    MemorySegment.copy(numbers, 0, rule, JAVA_INT, 0, INTS);
    double[] factors = {epsilon, floor, scaling};
    MemorySegment.copy(factors, 0, rule, JAVA_DOUBLE, INTS * Integer.BYTES, DOUBLES);
    return rule;
  }
}

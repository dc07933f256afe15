package org.sparkmoe.udfs.sql;

import java.io.Serializable;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Comparator;
import java.util.stream.IntStream;
import org.sparkmoe.kernels.combine.SlotAccumulator;

/**
 * The vectors of a token until all of its slots are there. They are held apart: a sum in the order
 * of arrival would have other bits from run to run.
 */
final class SlotVectors implements Serializable {
  private static final long serialVersionUID = 1;

  private static final int FIRST_SLOTS = 4;

  private int count;
  private int width;
  private int[] slots = new int[FIRST_SLOTS];
  private float[] weights = new float[FIRST_SLOTS];
  private float[][] vectors = new float[FIRST_SLOTS][];

  /**
   * Takes a slot.
   *
   * @throws IllegalArgumentException for a vector of another width
   */
  void add(int slot, float weight, float[] vector) {
    if (count > 0 && vector.length != width) {
      throw new IllegalArgumentException(
          "slot %d has a vector of %d values, slot %d of the same group one of %d"
              .formatted(slot, vector.length, slots[0], width));
    }
    if (count == slots.length) {
      slots = Arrays.copyOf(slots, 2 * count);
      weights = Arrays.copyOf(weights, 2 * count);
      vectors = Arrays.copyOf(vectors, 2 * count);
    }
    width = vector.length;
    slots[count] = slot;
    weights[count] = weight;
    vectors[count++] = vector;
  }

  void addAll(SlotVectors others) {
    for (int i = 0; i < others.count; i++) {
      add(others.slots[i], others.weights[i], others.vectors[i]);
    }
  }

  boolean isEmpty() {
    return count == 0;
  }

  /**
   * The weighted sum in the order of slots, with the arithmetic of the job.
   *
   * @throws IllegalArgumentException where a slot is there twice
   */
  float[] sum() {
    int[] order =
        IntStream.range(0, count)
            .boxed()
            .sorted(Comparator.comparingInt(i -> slots[i]))
            .mapToInt(Integer::intValue)
            .toArray();
    SlotAccumulator sum = new SlotAccumulator(width);
    for (int i = 0; i < count; i++) {
      if (i > 0 && slots[order[i]] == slots[order[i - 1]]) {
        throw new IllegalArgumentException(
            "slot %d is there twice in a group; group by the token".formatted(slots[order[i]]));
      }
      sum.add(weights[order[i]], MemorySegment.ofArray(vectors[order[i]]), 0);
    }
    float[] result = new float[width];
    sum.store(MemorySegment.ofArray(result), 0);
    return result;
  }
}

package org.sparkmoe.udfs.sql;

import java.io.Externalizable;
import java.io.IOException;
import java.io.ObjectInput;
import java.io.ObjectOutput;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.sparkmoe.kernels.combine.SlotAccumulator;
import org.sparkmoe.kernels.tensor.DType;

/**
 * The vectors of a token until all of its slots are there. They are held apart: a sum in the order
 * of arrival would have other bits from run to run.
 *
 * <p>Spark writes it as a Java object for every group that it shuffles, so it writes itself as a
 * few numbers and the bytes of its vectors.
 */
public final class SlotVectors implements Externalizable {
  private static final long serialVersionUID = 2;

  private static final int FIRST_SLOTS = 4;

  private int count;
  private int width;
  private int[] slots = new int[FIRST_SLOTS];
  private float[] weights = new float[FIRST_SLOTS];

  /** count × width. */
  private float[] vectors = new float[0];

  /** For {@link #readExternal}. */
  public SlotVectors() {}

  /**
   * Takes a slot.
   *
   * @throws IllegalArgumentException for a vector of another width
   */
  void add(int slot, float weight, float[] vector) {
    add(slot, weight, vector, 0, vector.length);
  }

  private void add(int slot, float weight, float[] from, int offset, int values) {
    if (count > 0 && values != width) {
      throw new IllegalArgumentException(
          "slot %d has a vector of %d values, slot %d of the same group one of %d"
              .formatted(slot, values, slots[0], width));
    }
    width = values;
    if (count == slots.length) {
      slots = Arrays.copyOf(slots, 2 * count);
      weights = Arrays.copyOf(weights, 2 * count);
    }
    int end = Math.multiplyExact(count + 1, width);
    if (end > vectors.length) {
      vectors = Arrays.copyOf(vectors, Math.multiplyExact(slots.length, width));
    }
    slots[count] = slot;
    weights[count] = weight;
    System.arraycopy(from, offset, vectors, count * width, width);
    count++;
  }

  void addAll(SlotVectors others) {
    for (int i = 0; i < others.count; i++) {
      add(others.slots[i], others.weights[i], others.vectors, i * others.width, others.width);
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
    int[] order = inOrder();
    SlotAccumulator sum = new SlotAccumulator(width);
    MemorySegment rows = MemorySegment.ofArray(vectors);
    for (int i = 0; i < count; i++) {
      if (i > 0 && slots[order[i]] == slots[order[i - 1]]) {
        throw new IllegalArgumentException(
            "slot %d is there twice in a group; group by the token".formatted(slots[order[i]]));
      }
      sum.add(weights[order[i]], rows, order[i]);
    }
    float[] result = new float[width];
    sum.store(MemorySegment.ofArray(result), 0);
    return result;
  }

  /** Indices by ascending slot. By insertion: slots are few, and mostly in order. */
  private int[] inOrder() {
    int[] order = new int[count];
    for (int i = 0; i < count; i++) {
      int at = i;
      for (; at > 0 && slots[order[at - 1]] > slots[i]; at--) {
        order[at] = order[at - 1];
      }
      order[at] = i;
    }
    return order;
  }

  @Override
  public void writeExternal(ObjectOutput out) throws IOException {
    out.writeInt(count);
    out.writeInt(width);
    for (int i = 0; i < count; i++) {
      out.writeInt(slots[i]);
      out.writeFloat(weights[i]);
    }
    byte[] bytes = new byte[Math.toIntExact(DType.F32.bytes((long) count * width))];
    MemorySegment.copy(vectors, 0, MemorySegment.ofArray(bytes), DType.LE_FLOAT, 0, count * width);
    out.write(bytes);
  }

  @Override
  public void readExternal(ObjectInput in) throws IOException {
    count = in.readInt();
    width = in.readInt();
    slots = new int[Math.max(count, FIRST_SLOTS)];
    weights = new float[slots.length];
    for (int i = 0; i < count; i++) {
      slots[i] = in.readInt();
      weights[i] = in.readFloat();
    }
    byte[] bytes = new byte[Math.toIntExact(DType.F32.bytes((long) count * width))];
    in.readFully(bytes);
    vectors = MemorySegment.ofArray(bytes).toArray(DType.LE_FLOAT);
  }
}

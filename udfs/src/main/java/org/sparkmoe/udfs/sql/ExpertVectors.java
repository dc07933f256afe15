package org.sparkmoe.udfs.sql;

import java.io.Externalizable;
import java.io.IOException;
import java.io.ObjectInput;
import java.io.ObjectOutput;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.sparkmoe.kernels.combine.TokenSum;
import org.sparkmoe.kernels.tensor.DType;

/**
 * The vectors of a token until all of its experts are there. They are held apart: a sum in the
 * order of arrival would have other bits from run to run.
 *
 * <p>Spark writes it as a Java object for every group that it shuffles, so it writes itself as a
 * few numbers and the bytes of its vectors.
 */
public final class ExpertVectors implements Externalizable {
  private static final long serialVersionUID = 2;

  private static final int FIRST_ROOM = 4;

  private int count;
  private int width;
  private int[] experts = new int[FIRST_ROOM];
  private float[] weights = new float[FIRST_ROOM];

  /** count × width. */
  private float[] vectors = new float[0];

  /** For {@link #readExternal}. */
  public ExpertVectors() {}

  /**
   * Takes what an expert made of the token.
   *
   * @throws IllegalArgumentException for a negative id, or a vector of another width
   */
  void add(int expert, float weight, float[] vector) {
    if (expert < 0) {
      throw new IllegalArgumentException("expert %d: ids are not negative".formatted(expert));
    }
    add(expert, weight, vector, 0, vector.length);
  }

  private void add(int expert, float weight, float[] from, int offset, int values) {
    if (count > 0 && values != width) {
      throw new IllegalArgumentException(
          "expert %d has a vector of %d values, expert %d of the same group one of %d"
              .formatted(expert, values, experts[0], width));
    }
    width = values;
    if (count == experts.length) {
      experts = Arrays.copyOf(experts, 2 * count);
      weights = Arrays.copyOf(weights, 2 * count);
    }
    int end = Math.multiplyExact(count + 1, width);
    if (end > vectors.length) {
      vectors = Arrays.copyOf(vectors, Math.multiplyExact(experts.length, width));
    }
    experts[count] = expert;
    weights[count] = weight;
    System.arraycopy(from, offset, vectors, count * width, width);
    count++;
  }

  void addAll(ExpertVectors others) {
    for (int i = 0; i < others.count; i++) {
      add(others.experts[i], others.weights[i], others.vectors, i * others.width, others.width);
    }
  }

  boolean isEmpty() {
    return count == 0;
  }

  /**
   * The weighted sum with the arithmetic of the job.
   *
   * @throws IllegalArgumentException where an expert is there twice
   */
  float[] sum() {
    int[] sorted = Arrays.copyOf(experts, count);
    Arrays.sort(sorted);
    for (int i = 1; i < count; i++) {
      if (sorted[i] == sorted[i - 1]) {
        throw new IllegalArgumentException(
            "expert %d is there twice in a group; group by the token".formatted(sorted[i]));
      }
    }
    TokenSum sum = new TokenSum(width);
    MemorySegment rows = MemorySegment.ofArray(vectors);
    for (int i = 0; i < count; i++) {
      sum.add(experts[i], weights[i], rows, i);
    }
    float[] result = new float[width];
    sum.store(MemorySegment.ofArray(result), 0);
    return result;
  }

  @Override
  public void writeExternal(ObjectOutput out) throws IOException {
    out.writeInt(count);
    out.writeInt(width);
    for (int i = 0; i < count; i++) {
      out.writeInt(experts[i]);
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
    experts = new int[Math.max(count, FIRST_ROOM)];
    weights = new float[experts.length];
    for (int i = 0; i < count; i++) {
      experts[i] = in.readInt();
      weights[i] = in.readFloat();
    }
    byte[] bytes = new byte[Math.toIntExact(DType.F32.bytes((long) count * width))];
    in.readFully(bytes);
    vectors = MemorySegment.ofArray(bytes).toArray(DType.LE_FLOAT);
  }
}

package org.sparkmoe.kernels.testing;

import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.sparkmoe.kernels.experts.ExpertWeights;
import org.sparkmoe.kernels.tensor.DType;
import org.sparkmoe.kernels.tensor.Matrix;

/** Normal random tensors from a seed; {@link #toString} names the seed for failure messages. */
public final class RandomTensors {
  private final long seed;
  private final SplittableRandom random;

  public RandomTensors(long seed) {
    this.seed = seed;
    this.random = new SplittableRandom(seed);
  }

  /** {@code count} values of N(0, scale²). */
  public float[] normals(int count, double scale) {
    float[] values = new float[count];
    for (int i = 0; i < count; i++) {
      values[i] = (float) (random.nextGaussian() * scale);
    }
    return values;
  }

  /** rows × cols activations of N(0, 1), on the heap. */
  public MemorySegment activations(int rows, int cols) {
    return MemorySegment.ofArray(normals(rows * cols, 1));
  }

  /** A weight of N(0, 1/cols), so that products keep the scale of their input. */
  public Matrix matrix(int rows, int cols, DType dtype) {
    float[] values = normals(rows * cols, 1 / Math.sqrt(Math.max(1, cols)));
    MemorySegment data = MemorySegment.ofArray(new byte[(int) dtype.bytes(values.length)]);
    for (int i = 0; i < values.length; i++) {
      dtype.set(data, i, values[i]);
    }
    return new Matrix(data, dtype, rows, cols);
  }

  /** An expert; without {@code gated} it has no w3. */
  public ExpertWeights expert(
      int hidden, int intermediate, boolean gated, boolean biases, DType dtype) {
    return new ExpertWeights(
        matrix(intermediate, hidden, dtype),
        gated ? matrix(intermediate, hidden, dtype) : null,
        matrix(hidden, intermediate, dtype),
        biases ? normals(intermediate, 0.3) : null,
        biases && gated ? normals(intermediate, 0.3) : null,
        biases ? normals(hidden, 0.3) : null);
  }

  /** A uniform integer below {@code bound}. */
  public int below(int bound) {
    return random.nextInt(bound);
  }

  /** k distinct expert ids for each token, tokens × k. */
  public int[] expertIds(int tokens, int k, int experts) {
    int[] ids = new int[tokens * k];
    for (int token = 0; token < tokens; token++) {
      int[] all = IntStream.range(0, experts).toArray();
      for (int slot = 0; slot < k; slot++) {
        int pick = slot + below(experts - slot);
        ids[token * k + slot] = all[pick];
        all[pick] = all[slot];
      }
    }
    return ids;
  }

  @Override
  public String toString() {
    return "seed " + seed;
  }
}

package org.sparkmoe.kernels.simd;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorShape;
import jdk.incubator.vector.VectorSpecies;

/**
 * The register width that all vector code uses. The preferred one of the machine, at most 512 bits;
 * {@code -Dspark.moe.vector.bits} asks for another, for tests and measurements. No result depends
 * on it.
 */
public final class Simd {
  /** Columns that every loop handles together: a multiple of the lanes of any width. */
  public static final int BLOCK = 32;

  private static final int MOST_BITS = 512;

  private static final VectorShape SHAPE =
      VectorShape.forBitSize(
          Integer.getInteger(
              "spark.moe.vector.bits",
              Math.min(MOST_BITS, FloatVector.SPECIES_PREFERRED.vectorBitSize())));

  public static final VectorSpecies<Float> FLOATS = VectorSpecies.of(float.class, SHAPE);
  public static final VectorSpecies<Integer> INTS = VectorSpecies.of(int.class, SHAPE);

  /** f32 values per register: 2, 4, 8 or 16. */
  public static final int LANES = FLOATS.length();

  private Simd() {}

  /** {@code count} rounded up to a multiple of {@link #BLOCK}. */
  public static int padded(int count) {
    return Math.multiplyExact(Math.ceilDiv(count, BLOCK), BLOCK);
  }

  static IntVector ints(int value) {
    return IntVector.broadcast(INTS, value);
  }

  static FloatVector floats(float value) {
    return FloatVector.broadcast(FLOATS, value);
  }
}

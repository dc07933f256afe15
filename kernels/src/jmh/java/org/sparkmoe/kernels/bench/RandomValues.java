package org.sparkmoe.kernels.bench;

import java.lang.foreign.MemorySegment;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.sparkmoe.kernels.tensor.DType;

/** Uniform random values from a seed, as fast as memory is written. */
public final class RandomValues {
  private static final int CHUNK = 1 << 20;

  private RandomValues() {}

  /**
   * Fills {@code data} with uniform values of mean 0.
   *
   * @param deviation their standard deviation
   */
  public static void fill(MemorySegment data, DType dtype, double deviation, long seed) {
    long count = data.byteSize() / dtype.bytes();
    int chunks = Math.toIntExact(Math.ceilDiv(count, CHUNK));
    float scale = (float) (deviation * Math.sqrt(12));
    IntStream.range(0, chunks)
        .parallel()
        .forEach(
            chunk -> {
              long from = (long) chunk * CHUNK;
              long to = Math.min(count, from + CHUNK);
              SplittableRandom random = new SplittableRandom(seed * 0x9E3779B97F4A7C15L + chunk);
              for (long i = from; i < to; i += 2) {
                long bits = random.nextLong();
                dtype.set(data, i, uniform((int) bits) * scale);
                if (i + 1 < to) {
                  dtype.set(data, i + 1, uniform((int) (bits >>> 32)) * scale);
                }
              }
            });
  }

  /** In [−½, ½). */
  private static float uniform(int bits) {
    return (bits >> 8) * 0x1p-24f;
  }
}

package org.sparkmoe.udfs.executor;

import java.util.Arrays;
import org.apache.spark.util.AccumulatorV2;
import org.sparkmoe.kernels.experts.ExpertClock;

/**
 * Nanoseconds of kernel time per expert, and the rows of all experts, added up over tasks. A task
 * that is retried counts again: this is what the run cost, not what it needed.
 */
public final class KernelTimes extends AccumulatorV2<long[], long[]> implements ExpertClock {
  private static final long serialVersionUID = 1;

  /** What these accumulators are registered as, so that listeners know them; more may follow. */
  public static final String NAME = "kernel ns by expert";

  /** Rows that kernels were given, and rows that they computed, stand behind the times. */
  private static final int MORE = 2;

  private final long[] counts;

  /** Times of {@code experts} experts, all zero. */
  public KernelTimes(int experts) {
    this.counts = new long[experts + MORE];
  }

  @Override
  public void ran(int expert, int rows, long computed, long elapsed) {
    counts[expert] += elapsed;
    counts[counts.length - 2] += rows;
    counts[counts.length - 1] += computed;
  }

  /** Nanoseconds by expert. */
  public long[] nanos() {
    return Arrays.copyOf(counts, counts.length - MORE);
  }

  /**
   * Nanoseconds of all experts together.
   *
   * @param value of an accumulator
   */
  public static long nanos(long[] value) {
    return Arrays.stream(value, 0, value.length - MORE).sum();
  }

  /** Rows that kernels were given: one for each token and expert that it chose. */
  public static long rows(long[] value) {
    return value[value.length - 2];
  }

  /** Rows that kernels computed for them, those among them that only fill tiles. */
  public static long computedRows(long[] value) {
    return value[value.length - 1];
  }

  @Override
  public void add(long[] more) {
    for (int i = 0; i < counts.length; i++) {
      counts[i] += more[i];
    }
  }

  @Override
  public void merge(AccumulatorV2<long[], long[]> other) {
    add(other.value());
  }

  /** The times by expert and the rows; what is in it, the static methods tell. */
  @Override
  public long[] value() {
    return counts.clone();
  }

  @Override
  public boolean isZero() {
    for (long count : counts) {
      if (count != 0) {
        return false;
      }
    }
    return true;
  }

  @Override
  public AccumulatorV2<long[], long[]> copy() {
    KernelTimes copy = new KernelTimes(counts.length - MORE);
    copy.add(counts);
    return copy;
  }

  @Override
  public void reset() {
    Arrays.fill(counts, 0);
  }
}

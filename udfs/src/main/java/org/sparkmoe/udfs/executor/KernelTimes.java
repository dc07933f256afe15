package org.sparkmoe.udfs.executor;

import java.util.Arrays;
import org.apache.spark.util.AccumulatorV2;
import org.sparkmoe.kernels.experts.ExpertClock;

/**
 * Nanoseconds of kernel time per expert, added up over tasks. A task that is retried counts again:
 * this is what the run cost, not what it needed.
 */
public final class KernelTimes extends AccumulatorV2<long[], long[]> implements ExpertClock {
  private static final long serialVersionUID = 1;

  /** What these accumulators are registered as, so that listeners know them; more may follow. */
  public static final String NAME = "kernel ns by expert";

  private final long[] nanos;

  /** Times of {@code experts} experts, all zero. */
  public KernelTimes(int experts) {
    this.nanos = new long[experts];
  }

  @Override
  public void ran(int expert, int rows, long elapsed) {
    nanos[expert] += elapsed;
  }

  @Override
  public void add(long[] more) {
    for (int expert = 0; expert < nanos.length; expert++) {
      nanos[expert] += more[expert];
    }
  }

  @Override
  public void merge(AccumulatorV2<long[], long[]> other) {
    add(other.value());
  }

  @Override
  public long[] value() {
    return nanos.clone();
  }

  @Override
  public boolean isZero() {
    for (long elapsed : nanos) {
      if (elapsed != 0) {
        return false;
      }
    }
    return true;
  }

  @Override
  public AccumulatorV2<long[], long[]> copy() {
    KernelTimes copy = new KernelTimes(nanos.length);
    copy.add(nanos);
    return copy;
  }

  @Override
  public void reset() {
    Arrays.fill(nanos, 0);
  }
}

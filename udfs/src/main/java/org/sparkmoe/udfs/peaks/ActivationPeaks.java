package org.sparkmoe.udfs.peaks;

import org.apache.spark.util.AccumulatorV2;
import org.sparkmoe.kernels.quant.LayerPeaks;

/**
 * The largest magnitudes over all tasks. A maximum does not depend on the order of tasks, and a
 * task that runs twice does not change it.
 */
public final class ActivationPeaks extends AccumulatorV2<LayerPeaks, LayerPeaks> {
  private static final long serialVersionUID = 1;

  private LayerPeaks peaks = LayerPeaks.NONE;

  /** Nothing is measured yet. */
  public ActivationPeaks() {}

  @Override
  public void add(LayerPeaks more) {
    peaks = peaks.max(more);
  }

  @Override
  public void merge(AccumulatorV2<LayerPeaks, LayerPeaks> other) {
    add(other.value());
  }

  @Override
  public LayerPeaks value() {
    return peaks;
  }

  @Override
  public boolean isZero() {
    return peaks.equals(LayerPeaks.NONE);
  }

  @Override
  public ActivationPeaks copy() {
    ActivationPeaks copy = new ActivationPeaks();
    copy.add(peaks);
    return copy;
  }

  @Override
  public void reset() {
    peaks = LayerPeaks.NONE;
  }
}

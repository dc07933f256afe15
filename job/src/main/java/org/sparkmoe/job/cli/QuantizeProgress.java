package org.sparkmoe.job.cli;

import java.io.PrintStream;
import org.sparkmoe.datasets.checkpoint.write.QuantizeListener;
import org.sparkmoe.datasets.checkpoint.write.TensorError;
import org.sparkmoe.job.plan.Amounts;

/** A line for each layer that was written. */
final class QuantizeProgress implements QuantizeListener {
  private final PrintStream out;
  private final int layers;
  private final WeightErrors errors;
  private final long start = System.nanoTime();
  private int done;
  private int current = -1;
  private long written;
  private long total;

  /**
   * Progress on {@code out}.
   *
   * @param layers how many there will be
   * @param errors collects what each weight lost
   */
  QuantizeProgress(PrintStream out, int layers, WeightErrors errors) {
    this.out = out;
    this.layers = layers;
    this.errors = errors;
  }

  @Override
  public void written(TensorError error, long writtenBytes, long totalBytes) {
    if (error.layer() != current) {
      end();
      current = error.layer();
    }
    written = writtenBytes;
    total = totalBytes;
    errors.add(error);
  }

  /** Tells of the layer that is complete. */
  void end() {
    if (current >= 0) {
      done++;
      out.printf(
          "layer %d done (%d of %d), %s of %s written, %s%n",
          current,
          done,
          layers,
          Amounts.bytes(written),
          Amounts.bytes(total),
          Amounts.seconds((System.nanoTime() - start) / 1e9));
      out.flush();
      current = -1;
    }
  }
}

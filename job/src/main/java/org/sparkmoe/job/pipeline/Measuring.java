package org.sparkmoe.job.pipeline;

import org.apache.spark.SparkContext;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Encoders;
import org.apache.spark.sql.Row;
import org.sparkmoe.kernels.quant.LayerPeaks;
import org.sparkmoe.udfs.executor.KernelTimes;
import org.sparkmoe.udfs.experts.ExpertFunction;
import org.sparkmoe.udfs.peaks.ActivationPeaks;
import org.sparkmoe.udfs.peaks.PeakFunction;
import org.sparkmoe.udfs.plan.LayerPlan;
import org.sparkmoe.udfs.replicated.ReplicatedFunction;

/** The pass over all tokens that measures intermediates, where one scale is for all of them. */
public final class Measuring {
  private Measuring() {}

  /** The largest magnitudes, of a plan whose codecs measure, without lanes. */
  static LayerPeaks replicated(Dataset<Row> rows, LayerPlan plan) {
    return run(rows, plan, new ReplicatedFunction(plan, times(rows, plan)));
  }

  /** As {@link #replicated}, of blocks that are where they belong. */
  static LayerPeaks expertParallel(Dataset<Row> blocks, LayerPlan plan) {
    return run(blocks, plan, new ExpertFunction(plan, times(blocks, plan)));
  }

  /** Nothing is written: what counts is told on the way. */
  private static LayerPeaks run(
      Dataset<Row> rows, LayerPlan plan, MapPartitionsFunction<Row, Row> function) {
    ActivationPeaks peaks = registered(rows.sparkSession().sparkContext());
    rows.mapPartitions(
            new PeakFunction(plan, function, peaks), Encoders.row(plan.tokens().outputSchema()))
        .write()
        .format("noop")
        .mode("overwrite")
        .save();
    return peaks.value();
  }

  /** A new accumulator of magnitudes, known to Spark. */
  public static ActivationPeaks registered(SparkContext context) {
    ActivationPeaks peaks = new ActivationPeaks();
    context.register(peaks, "largest magnitudes");
    return peaks;
  }

  private static KernelTimes times(Dataset<Row> rows, LayerPlan plan) {
    KernelTimes times = new KernelTimes(plan.spec().experts());
    rows.sparkSession().sparkContext().register(times, KernelTimes.NAME + ", measuring");
    return times;
  }
}

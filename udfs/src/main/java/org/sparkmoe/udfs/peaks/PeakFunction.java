package org.sparkmoe.udfs.peaks;

import java.util.Collections;
import java.util.Iterator;
import org.apache.spark.api.java.function.MapPartitionsFunction;
import org.apache.spark.sql.Row;
import org.sparkmoe.udfs.executor.TaskScope;
import org.sparkmoe.udfs.plan.LayerPlan;

/**
 * Runs a function of a plan whose codecs measure, drops its rows, and tells what was measured.
 *
 * <p>The tasks of an executor measure with the same codecs, so a task may tell of values that
 * another one saw, or one that failed. That does no harm: all of them are values of the same table,
 * and every value is told of by at least the task that completed with it.
 */
public final class PeakFunction implements MapPartitionsFunction<Row, Row> {
  private static final long serialVersionUID = 1;

  private final LayerPlan plan;
  private final MapPartitionsFunction<Row, Row> function;
  private final ActivationPeaks peaks;

  /** Measures in {@code function}, one of {@code plan}; {@code peaks} is registered. */
  public PeakFunction(
      LayerPlan plan, MapPartitionsFunction<Row, Row> function, ActivationPeaks peaks) {
    this.plan = plan;
    this.function = function;
    this.peaks = peaks;
  }

  @Override
  public Iterator<Row> call(Iterator<Row> rows) throws Exception {
    Iterator<Row> results = function.call(rows);
    while (results.hasNext()) {
      results.next();
    }
    peaks.add(TaskScope.current().layer(plan).codecs().peaks());
    return Collections.emptyIterator();
  }
}

package org.sparkmoe.job.metrics;

import com.codahale.metrics.Counter;
import com.codahale.metrics.Gauge;
import com.codahale.metrics.MetricRegistry;
import java.util.List;
import org.apache.spark.SparkContext;
import org.apache.spark.metrics.MetricsSystem;
import org.apache.spark.metrics.source.Source;
import scala.jdk.javaapi.CollectionConverters;

/**
 * The source {@code moe} of Spark's metrics, on the driver: a counter {@code STEP.METRIC} for each
 * step of a run and each {@link Metric}, and the gauges {@link #GFLOPS} and {@link #PADDING} of it.
 * The counters belong to the application: several runs in it add up.
 */
public final class RunMetrics implements Source {
  /** The name of the source. */
  public static final String NAME = "moe";

  /** Of a step: 10⁹ operations for each second inside kernels, since the application started. */
  public static final String GFLOPS = "gflops";

  /** Of a step: rows computed only to fill tiles, for each row that kernels were given. */
  public static final String PADDING = "padding";

  private final MetricRegistry registry = new MetricRegistry();

  private RunMetrics(List<String> steps) {
    // Spark takes what is there when the source is registered, and nothing that comes later.
    for (String step : steps) {
      for (Metric metric : Metric.values()) {
        counter(step, metric);
      }
      // 10⁶ operations in a millisecond are 10⁹ in a second.
      Gauge<Double> gflops = () -> ratio(step, Metric.KERNEL_MFLOP, Metric.KERNEL_MS);
      registry.register(step + "." + GFLOPS, gflops);
      Gauge<Double> padding = () -> ratio(step, Metric.PADDED_ROWS, Metric.KERNEL_ROWS);
      registry.register(step + "." + PADDING, padding);
    }
  }

  /** One counter over another; 0 while the other is 0. */
  private double ratio(String step, Metric metric, Metric over) {
    long divisor = value(step, over);
    return divisor == 0 ? 0 : (double) value(step, metric) / divisor;
  }

  /**
   * The source of this application, made when it is first asked for.
   *
   * @param steps names of all steps
   */
  public static synchronized RunMetrics of(SparkContext context, List<String> steps) {
    MetricsSystem system = context.env().metricsSystem();
    for (Source source : CollectionConverters.asJava(system.getSourcesByName(NAME))) {
      if (source instanceof RunMetrics known) {
        return known;
      }
    }
    RunMetrics made = new RunMetrics(steps);
    system.registerSource(made);
    return made;
  }

  /** Adds to a counter. */
  public void add(String step, Metric metric, long amount) {
    counter(step, metric).inc(amount);
  }

  /** What a counter has come to. */
  public long value(String step, Metric metric) {
    return counter(step, metric).getCount();
  }

  private Counter counter(String step, Metric metric) {
    return registry.counter(step + "." + metric);
  }

  @Override
  public String sourceName() {
    return NAME;
  }

  @Override
  public MetricRegistry metricRegistry() {
    return registry;
  }
}

package org.sparkmoe.job.run;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import java.util.Properties;
import java.util.stream.Stream;
import org.apache.spark.SparkContext;
import org.apache.spark.metrics.sink.PrometheusServlet;
import org.apache.spark.sql.SparkSession;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.junit.jupiter.api.io.TempDir;
import org.sparkmoe.datasets.checkpoint.Fixtures;
import org.sparkmoe.datasets.tokens.LocalSpark;
import org.sparkmoe.datasets.tokens.TokenOptions;
import org.sparkmoe.job.metrics.Metric;
import org.sparkmoe.job.metrics.RunMetrics;
import org.sparkmoe.kernels.backend.Backend;

/** What a run adds to Spark's metrics, as a sink sees it. */
@ExtendWith(LocalSpark.class)
final class RunMetricsTest {
  private static final Fixtures.Block BLOCK = Fixtures.blocks().getFirst();

  @TempDir private Path folder;

  private static RunMetrics metrics(SparkContext context) {
    return RunMetrics.of(context, Stream.of(Stage.values()).map(Stage::toString).toList());
  }

  @Test
  void aRunCountsWhatItDoes(SparkSession spark) {
    RunMetrics metrics = metrics(spark.sparkContext());
    long before = metrics.value("dispatch", Metric.TOKENS);
    long bytes = metrics.value("dispatch", Metric.SHUFFLE_BYTES);
    long rows = metrics.value("experts", Metric.KERNEL_ROWS);

    RunSummary summary =
        Runs.run(
            spark,
            Runs.request(
                BLOCK,
                TokenOptions.of(Runs.inputTensor(BLOCK)),
                folder.resolve("run"),
                new Runs.Way(Backend.SCALAR, 2)));

    assertThat(metrics(spark.sparkContext())).as("one for the application").isSameAs(metrics);
    assertThat(metrics.value("dispatch", Metric.TOKENS) - before).isEqualTo(summary.rows());
    assertThat(metrics.value("dispatch", Metric.SHUFFLE_BYTES) - bytes)
        .isEqualTo(summary.dispatchBytes());
    assertThat(metrics.value("dispatch", Metric.BLOCKS)).isPositive();
    assertThat(metrics.value("combine", Metric.TOKENS)).isGreaterThanOrEqualTo(summary.tokens());
    assertThat(metrics.value("experts", Metric.TASKS)).isPositive();
    assertThat(metrics.value("experts", Metric.KERNEL_MS)).isPositive();
    StageFigures experts =
        summary.stages().stream()
            .filter(stage -> stage.stage() == Stage.EXPERTS)
            .findFirst()
            .orElseThrow();
    assertThat(experts.kernels().rows()).as("given").isEqualTo(summary.routes());
    assertThat(experts.kernels().computedRows())
        .as("SCALAR pads nothing")
        .isEqualTo(summary.routes());
    assertThat(metrics.value("experts", Metric.KERNEL_ROWS) - rows).isEqualTo(summary.routes());
    assertThat(metrics.metricRegistry().getGauges().get("experts." + RunMetrics.GFLOPS).getValue())
        .isInstanceOfSatisfying(Double.class, speed -> assertThat(speed).isPositive());
    assertThat(prometheus(spark.sparkContext()))
        .anyMatch(line -> line.matches("metrics_\\S+_driver_moe_dispatch_tokens_Count\\S* \\d+"));
  }

  /** What Spark's servlet answers, by its own code. */
  private static List<String> prometheus(SparkContext context) {
    com.codahale.metrics.MetricRegistry registry = new com.codahale.metrics.MetricRegistry();
    registry.register(
        context.applicationId() + ".driver." + RunMetrics.NAME, metrics(context).metricRegistry());
    return new PrometheusServlet(new Properties(), registry)
        .getMetricsSnapshot(null)
        .lines()
        .toList();
  }
}

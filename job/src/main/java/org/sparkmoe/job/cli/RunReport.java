package org.sparkmoe.job.cli;

import org.apache.spark.sql.SparkSession;
import org.sparkmoe.job.report.Reports;
import org.sparkmoe.job.run.RunExtra;
import org.sparkmoe.job.run.RunSummary;
import picocli.CommandLine;

/**
 * Adds the page to a run. A run is worth more than its page: what goes wrong here is told, and ends
 * nothing.
 */
final class RunReport implements RunExtra {
  private final SparkSession spark;
  private final boolean wanted;
  private String failureOrNull;

  RunReport(SparkSession spark, boolean wanted) {
    this.spark = spark;
    this.wanted = wanted;
  }

  @Override
  public void addTo(String folder) {
    if (!wanted) {
      return;
    }
    try {
      Reports.write(spark, folder, Reports.fileOf(folder));
    } catch (Exception e) {
      // Spark's AnalysisException is a checked one that nothing declares.
      failureOrNull = Failure.of(e).message();
    }
  }

  /** Says where the page is, or why there is none. */
  void tell(RunSummary summary, CommandLine line) {
    if (failureOrNull != null) {
      line.getErr()
          .printf(
              "moe: the run is complete but has no report: %s; moe report %s tries again%n",
              failureOrNull, summary.output());
      line.getErr().flush();
    } else if (wanted) {
      line.getOut().println("report   " + Reports.fileOf(summary.output()));
    }
    line.getOut().flush();
  }
}

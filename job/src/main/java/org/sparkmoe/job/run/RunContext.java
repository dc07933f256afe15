package org.sparkmoe.job.run;

import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.Planner;

/**
 * What all steps of one run share.
 *
 * @param planner of the request
 * @param table its tokens
 * @param directory where it is written
 * @param monitor told which step runs
 */
record RunContext(
    SparkSession spark,
    Planner planner,
    TokenTable table,
    RunDirectory directory,
    StageMonitor monitor) {

  /** A step as Spark shows it. */
  String title(String step) {
    return "layer %d · %s".formatted(planner.layer().index(), step);
  }
}

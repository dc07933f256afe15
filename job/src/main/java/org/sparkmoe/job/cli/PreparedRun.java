package org.sparkmoe.job.cli;

import org.apache.spark.sql.Dataset;
import org.apache.spark.sql.Row;
import org.apache.spark.sql.SparkSession;
import org.sparkmoe.datasets.delta.DeltaTables;
import org.sparkmoe.datasets.tokens.TokenSource;
import org.sparkmoe.datasets.tokens.TokenTable;
import org.sparkmoe.job.plan.JobPlan;
import org.sparkmoe.job.plan.JobRequest;
import org.sparkmoe.job.plan.Planner;

/**
 * A layer and its tokens, both opened, and found to fit each other.
 *
 * @param planner of the layer
 * @param table its tokens
 */
record PreparedRun(Planner planner, TokenTable table) {

  /**
   * Opens both.
   *
   * @throws org.sparkmoe.datasets.InputException for what cannot be used
   */
  static PreparedRun of(SparkSession spark, JobRequest request) {
    if (request.outputFormat() == JobRequest.OutputFormat.DELTA) {
      DeltaTables.require(spark, "--output-format delta");
    }
    Planner planner = Planner.of(request, spark.sparkContext());
    TokenTable table = TokenSource.open(spark, request.tokens());
    table.requireWidth(planner.layer().spec().hidden());
    return new PreparedRun(planner, table);
  }

  /** The plan for the tokens that there are, counted by their ids. */
  JobPlan plan() {
    Dataset<Row> rows = table.rows();
    long count = rows.select(TokenTable.TOKEN_ID).count();
    return planner.plan(count, rows.rdd().getNumPartitions());
  }
}
